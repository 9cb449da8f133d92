"""The checks that nobody beside the server can make: how it starts, what it writes, how it ends.

Each is a promise of servers/CONTRACT.md about the process rather than its connections. They are judged here, from the
engine's side; those about connections are orchestrator/contract's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from orchestrator.containers.launch import Running
from orchestrator.containers.talk import Job, log_of, send_signal, wait_end
from orchestrator.contract.drain import EXIT_SLACK_S, judge_exit
from orchestrator.errors import NotReady
from orchestrator.verdicts.conformance import CheckResult, judged
from orchestrator.verifying.pod import ContractPod

ACT = "process"
CUT_DRAIN_S = 1.0  # LAB_DRAIN_S of the server whose time is not enough
_CUT_MOST_S = 15.0  # far from both: the second it has, and the minute that its client asked for
_CUT_DELAY_MS = 60_000
_START_S = 10  # for a process that must refuse to start
# An engine now and then loses what a command wrote that ended at once (moby/moby#27289; seen once with 20.10).
_ASKED_MOST = 3
_WORDS_MOST = 2000

# Each must be refused. The header injection among them would otherwise come back on /healthz.
BAD_ENVIRONMENT = (
    ("LAB_NONCE", ""),
    ("LAB_NONCE", "a1" * 7),
    ("LAB_NONCE", "a1" * 33),
    ("LAB_NONCE", "A1" * 16),
    ("LAB_NONCE", "a1" * 16 + "\r\nX: y"),
    ("LAB_INSTANCE", "-1"),
    ("LAB_INSTANCE", "10000"),
    ("LAB_INSTANCE", "two"),
    ("LAB_INSTANCE", ""),
    ("LAB_PORT", "0"),
    ("LAB_PORT", "65536"),
    ("LAB_BACKLOG", "many"),
    ("LAB_DRAIN_S", "-1"),
    ("LAB_DRAIN_S", "3601"),
    ("LAB_HOST", "nowhere"),
)

# Occupies a port until its input ends, so that a server finds it taken; prints which.
_OCCUPY = """
import socket, sys, time
taken = socket.create_server((sys.argv[1], 0))
print('{"port": %d}' % taken.getsockname()[1], flush=True)
time.sleep(30)
"""
# Asks for an answer that comes far too late, says so, and waits for the end.
_WAIT = """
import socket, sys, time
one = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60)
one.sendall(b'GET /delay?ms=%s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' % sys.argv[3].encode())
time.sleep(0.2)  # until it is in flight; nobody else may ask this server
print('{"ready": true}', flush=True)
try:
    one.recv(1)
except OSError:
    pass
"""


@dataclass(frozen=True, slots=True)
class OutsideCheck:
    """One line of the table."""

    id: str
    title: str
    sentence: str


CHECKS = (
    OutsideCheck("bad-environment", "bad values in the environment are refused", "A bad value: one line, exit 2."),
    OutsideCheck("address-taken", "a taken address is named", "A socket that cannot be opened: one line, exit 1."),
    OutsideCheck("health-check", "/health tells a listener from none", "The build context holds `health`."),
    OutsideCheck("quiet-log", "one line when it listens, nothing after", "Listening: one line, and nothing else."),
    OutsideCheck("sigint", "SIGINT ends it too, work in flight or not", "SIGTERM and SIGINT: ..., exit 0."),
)  # fmt: skip
# What the drain act cannot see from inside the pod: orchestrator/contract's own line, judged here.
DRAIN_EXIT = OutsideCheck("drain-exit", "exits 0 within LAB_DRAIN_S of SIGTERM", "SIGTERM: ..., exit 0.")


@dataclass(frozen=True, slots=True)
class Outside:
    """One variant's pod, as these checks see it. wanted: the ids to judge. lacks: what the manifest declares."""

    pod: ContractPod
    wanted: Collection[str]
    lacks: Collection[str]

    def judge(self, ident: str, look: Callable[[], tuple[bool, str, str]]) -> list[CheckResult]:
        """Return the check's result, or nothing where it is not wanted. look: returns is it kept, expected, seen."""
        if ident not in self.wanted:
            return []
        began_s = time.monotonic()
        try:
            is_kept, expected, seen = look()
        except NotReady as error:
            is_kept, expected, seen = False, "to be able to look", str(error)
        title = next(check.title for check in CHECKS if check.id == ident)
        took_s = time.monotonic() - began_s
        return [
            judged(
                ident, title, ACT, is_kept=is_kept, is_declared=ident in self.lacks,
                expected=expected, seen=seen, took_s=took_s,
            )
        ]  # fmt: skip

    def bad_environment(self, server: Running) -> tuple[bool, str, str]:
        """Start the image's program with one bad value after the other, in the live server's own container."""
        expected = "exit 2 and one line that names the variable, for each bad value"
        for name, value in BAD_ENVIRONMENT:
            code, words = self._second(server, {name: value})
            line = words.replace(value, "...") if value else words  # a value may be shown as it is
            if code != 2 or name not in words or len(line.splitlines()) != 1:
                return False, expected, f"{name}={value!r}: exit {code} and {words!r}"
        return True, expected, f"just that, for {len(BAD_ENVIRONMENT)} values"

    def address_taken(self, server: Running, talker: Running, host: str) -> tuple[bool, str, str]:
        expected = "exit 1 and one line"
        occupying = Job(self.pod.site.client, talker, ["python3", "-c", _OCCUPY, host]).lines()
        port = json.loads(next(occupying, "{}")).get("port")
        if port is None:
            return False, "a port to occupy", "none"
        code, words = self._second(server, {"LAB_HOST": host, "LAB_PORT": str(port)})
        return code == 1 and len(words.splitlines()) == 1, expected, f"exit {code} and {words!r}"

    def health_check(self, server: Running, port: int) -> tuple[bool, str, str]:
        codes = [
            self._code(server, ["/health"], told) for told in ({}, {"LAB_PORT": str(port + 1 if port < 65535 else 1)})
        ]
        return codes == [0, 1], "/health exits 0 beside a listener and 1 where there is none", f"exit {codes}"

    def quiet_log(self, server: Running) -> tuple[bool, str, str]:
        lines = log_of(self.pod.site.client, server).strip().splitlines()
        seen = f"{len(lines)} lines, the last {lines[-1][:200]!r}" if lines else "nothing"
        return len(lines) == 1, "one line, after every act of the suite", seen

    def exits(self, server: Running, told_s: float, most_s: float) -> tuple[bool, str, str]:
        """Judge the end of a server that was told to stop at told_s."""
        end = wait_end(self.pod.site.client, server, most_s + EXIT_SLACK_S)
        took_s = time.monotonic() - told_s
        if end is None:
            return False, f"exit code 0 within {most_s:g} s", f"still running after {took_s:.1f} s"
        is_kept, expected, seen = judge_exit(end.code, took_s, most_s)
        return is_kept, expected, f"{seen}, out of memory" if end.out_of_memory else seen

    def interrupted(self, server: Running, talker: Running, host: str) -> tuple[bool, str, str]:
        """SIGINT a server with CUT_DRAIN_S while somebody waits for an answer a minute away."""
        port = str(self.pod.variant.port)
        waiting = Job(self.pod.site.client, talker, ["python3", "-c", _WAIT, host, port, str(_CUT_DELAY_MS)]).lines()
        if next(waiting, "") == "":
            return False, "a client that waits", "it was not let in"
        told_s = time.monotonic()
        send_signal(self.pod.site.client, server, "SIGINT")
        is_kept, _, seen = self.exits(server, told_s, _CUT_MOST_S)
        is_kept = is_kept and time.monotonic() - told_s >= CUT_DRAIN_S * 0.9  # who is in flight has that time
        return is_kept, f"exit 0 once LAB_DRAIN_S={CUT_DRAIN_S:g} is over", seen

    def _second(self, server: Running, told: dict[str, str]) -> tuple[int | None, str]:
        """Start the program once more, beside itself; return exit code and words. Who is silent is asked again."""
        job = Job(self.pod.site.client, server, ["timeout", "-k", "1", str(_START_S), "/server"], told)
        for _ in range(_ASKED_MOST):
            out = list(job.lines())
            words = job.words.strip() or "\n".join(out).strip()
            if words:
                break
        return job.code, words[-_WORDS_MOST:]

    def _code(self, server: Running, command: list[str], told: dict[str, str]) -> int | None:
        job = Job(self.pod.site.client, server, command, told)
        for _ in job.lines():
            pass
        return job.code
