"""Take one variant through the acts of the contract suite, in a pod of its own: a variant -> what was found of it.

crowd first, alone with the server, so that what it counts is the server's; then linger; then wire beside the starved
second server and what is judged from outside; at last drain, which ends the first server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from orchestrator.containers.launch import Running
from orchestrator.containers.talk import log_of, send_signal
from orchestrator.contract.table import BY_ID, ITEMS, ROUTES
from orchestrator.errors import NotReady
from orchestrator.model import Profile
from orchestrator.verdicts.conformance import CheckResult, judged, read_result, second_attempt
from orchestrator.verifying.outside import ACT, CHECKS, CUT_DRAIN_S, DRAIN_EXIT, Outside
from orchestrator.verifying.pod import ContractPod

FIRST, SECOND = "127.0.0.1", "127.0.0.2"  # where the two servers listen, in one namespace
DRAIN_S = 5.0
STARVED_NOFILE = 64  # little enough to fill with a hundred clients, enough for a JVM to start
OWN_PROCESSES = 2  # of a variant that makes its own: one would hide what several do wrong
_AGAIN = ("crowd", "linger", "wire")
_AGAIN_MOST = 5  # failures; more are no accident of a busy machine
MODULE = "contract"  # the name of orchestrator/contract in the swarm image


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be found out. only: check ids, None: all. patience: how many times slower than usual it may be."""

    only: Collection[str] | None = None
    acts: tuple[str, ...] = ("crowd", "linger", "wire", "starve", "drain", ACT)
    patience: float = 1.0
    connections: int | None = None  # of the crowd act in all; None: the suite's own number
    environment: Mapping[str, str] = field(default_factory=dict)  # what servers are told besides
    ends: bool = False  # True: the server is stopped though nobody asks how it ends; a sanitizer then reports its leaks

    def wants(self, act: str) -> frozenset[str]:
        """Return the checks of an act that are wanted."""
        if act not in self.acts:
            return frozenset()
        ids = [c.id for c in CHECKS] if act == ACT else [item.id for item in ITEMS if item.act == act]
        return frozenset(one for one in ids if self.only is None or one in self.only)


def perform(
    pod: ContractPod, profile: Profile, asked: Asked, crowded: AbstractContextManager[object]
) -> list[CheckResult]:
    """Return the results of every wanted check, in the order of the acts. Raises Unsupported, NotReady.

    crowded: entered for as long as the act that computes rather than waits goes on; it may be kept waiting there.
    """
    return _Acts(pod, profile, asked, crowded).all()


class _Acts:
    """One variant's way through the suite."""

    def __init__(
        self, pod: ContractPod, profile: Profile, asked: Asked, crowded: AbstractContextManager[object]
    ) -> None:
        self.pod, self.asked, self.crowded = pod, asked, crowded
        self.lacks = frozenset(pod.variant.lacks)
        # Half of what the namespace allows: a server that takes the kernel's own number, or its default, is found out.
        self.backlog = max(1, int(profile.sysctls.get("net.core.somaxconn", "4096")) // 2)
        self.outside = Outside(pod, asked.wants(ACT), self.lacks)
        self.processes = OWN_PROCESSES if pod.variant.processes == "own" else 1

    def all(self) -> list[CheckResult]:
        pod, outside = self.pod, self.outside
        free = pod.talker("talker")
        server = self._server("server", FIRST, DRAIN_S)
        pod.await_listening(server, free, FIRST)
        beside = pod.talker("beside", server)
        with self.crowded:
            results = self._act("crowd", server, beside)
        results += self._act("linger", server, beside)
        with ThreadPoolExecutor(max_workers=2) as pool:
            second = pool.submit(self._starved, free)
            wire = pool.submit(self._act, "wire", server, beside)
            results += outside.judge("bad-environment", lambda: outside.bad_environment(server))
            results += outside.judge("address-taken", lambda: outside.address_taken(server, free, FIRST))
            results += [*wire.result(), *second.result()]
        results = [*self._again(results, server, beside)]
        results += outside.judge("health-check", lambda: outside.health_check(server, pod.variant.port))
        results += outside.judge("quiet-log", lambda: outside.quiet_log(server))
        return [*results, *self._drain(server, free)]

    def _server(self, label: str, host: str, drain_s: float, nofile: int | None = None) -> Running:
        told = {"LAB_BACKLOG": str(self.backlog), "LAB_DRAIN_S": f"{drain_s:g}", **self.asked.environment}
        if self.pod.variant.processes == "own":
            told["LAB_PROCESSES"] = str(self.processes)
        return self.pod.start(label, host, told, nofile)

    def _told(self, act: str, host: str, only: Collection[str]) -> dict[str, object]:
        asked, variant = self.asked, self.pod.variant
        told: dict[str, object] = {
            "host": host,
            "port": variant.port,
            "variant": variant.name,
            "act": act,
            "only": sorted(only),
            "lacks": sorted(self.lacks & {*BY_ID, *ROUTES}),
            "nonce": self.pod.nonce,
            "backlog": self.backlog,
            "nofile": STARVED_NOFILE if host == SECOND else self.pod.site.nofile,
            "processes": self.processes,
            "runtime": variant.runtime,
            "technique": variant.technique,
            "drain_s": DRAIN_S,
        }
        if asked.patience > 1.0:
            told["patience_s"] = 10.0 * asked.patience
        if asked.connections is not None:
            told["connections"] = asked.connections
            # As many fewer at once: a process forked under a sanitizer takes so long that in a thousand the first would
            # have waited their 10 s for the last.
            told["crowd"] = asked.connections // 8
        return told

    def _again(self, results: list[CheckResult], server: Running, talker: Running) -> Iterator[CheckResult]:
        """Give what failed beside the first server a second attempt, now that nothing else asks it, and say so.

        Some checks compare milliseconds, and a dozen pods make the machine busy. A defect is there both times.
        """
        for act in _AGAIN:
            failed = {one.id for one in results if one.act == act and one.outcome == "failed" and one.id in BY_ID}
            if not failed or len(failed) > _AGAIN_MOST or self.pod.ended(server) is not None:
                continue
            better = {one.id: one for one in self._act(act, server, talker, only=failed) if one.outcome == "passed"}
            results = [second_attempt(one, better[one.id]) if one.id in better else one for one in results]
        yield from results

    def _act(
        self,
        act: str,
        server: Running,
        talker: Running,
        host: str = FIRST,
        *,
        only: Collection[str] | None = None,
        ready: Callable[[], None] | None = None,
    ) -> list[CheckResult]:
        """Run one act beside a server. only: these of its checks. ready: called once the act says that it is."""
        wanted = self.asked.wants(act) if only is None else frozenset(only)
        if not wanted:
            return []
        began_s = time.monotonic()
        results: list[CheckResult] = []
        is_done, trouble = False, ""
        try:
            for said in self.pod.ask(talker, MODULE, self._told(act, host, wanted)):
                if said.get("done"):
                    is_done = True
                elif said.get("ready"):
                    if ready is not None:
                        ready()
                else:
                    results.append(read_result(said, act))
        except (NotReady, ValueError) as error:
            trouble = str(error)
        if not is_done:
            results.append(self._broken_off(act, server, trouble, time.monotonic() - began_s))
        return results

    def _broken_off(self, act: str, server: Running, trouble: str, took_s: float) -> CheckResult:
        end = self.pod.ended(server)
        said = (log_of(self.pod.site.client, server).strip().splitlines() or ["nothing"])[-1]
        fate = "the server runs" if end is None else f"the server ended with exit code {end.code}"
        seen = "; ".join(filter(None, (trouble, fate, f"its last line: {said[:200]!r}")))
        return judged(
            f"{act}-act", f"the act {act} comes to its end", act, is_kept=False, is_declared=False,
            expected="all of its checks", seen=seen, took_s=took_s,
        )  # fmt: skip

    def _starved(self, free: Running) -> list[CheckResult]:
        """Run starve beside a second server with few descriptors, then interrupt that one."""
        outside = self.outside
        if not self.asked.wants("starve") and "sigint" not in outside.wanted:
            return []
        server = self._server("starved", SECOND, CUT_DRAIN_S, STARVED_NOFILE)
        self.pod.await_listening(server, free, SECOND)
        results: list[CheckResult] = []
        if self.asked.wants("starve"):
            results += self._act("starve", server, self.pod.talker("beside-starved", server), SECOND)
        return results + outside.judge("sigint", lambda: outside.interrupted(server, free, SECOND))

    def _drain(self, server: Running, free: Running) -> list[CheckResult]:
        """Run drain: SIGTERM goes out when the act is ready, and the server's end is timed beside it."""
        outside, client = self.outside, self.pod.site.client
        if not self.asked.wants("drain") and not self.asked.ends:
            return []
        with ThreadPoolExecutor(max_workers=1) as pool:
            ends: list[Future[tuple[bool, str, str]]] = []

            def stop() -> None:
                if not ends:
                    told_s = time.monotonic()
                    send_signal(client, server, "SIGTERM")
                    ends.append(pool.submit(outside.exits, server, told_s, DRAIN_S))

            results = self._act("drain", server, free, ready=stop)
            stop()  # where the act had nothing to do first
            seen = ends[0].result()
        results = [one for one in results if one.id != DRAIN_EXIT.id]
        if DRAIN_EXIT.id not in self.asked.wants("drain"):
            return results
        is_kept, expected, what = seen
        return [
            *results,
            judged(
                DRAIN_EXIT.id, DRAIN_EXIT.title, "drain", is_kept=is_kept, is_declared=DRAIN_EXIT.id in self.lacks,
                expected=expected, seen=what, took_s=0.0,
            ),
        ]  # fmt: skip
