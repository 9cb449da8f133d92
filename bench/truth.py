"""Does a stall of a known length show in an open run as the arithmetic says? And does a closed run say what it is?

The server is frozen for a second in the middle of the window, its own pid from the host; both instants are measured,
and stall.py says what every quantile must then be. Nothing is fitted: the rate and the delay are the scenario's.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from bench.active import why_spoilt
from bench.lines import worst
from bench.outcome import Outcome
from bench.stall import QUANTILES, Stall, constant_arrivals, expected, worst_deviation
from bench.stand import Stand
from bench.witness import Ordered
from orchestrator.containers.labels import LAB, ROLE
from orchestrator.errors import NotReady
from orchestrator.model import TrialResult
from orchestrator.report.figures import duration
from orchestrator.report.remaining import Step, loaded_s
from orchestrator.verdicts.histogram import quantile_s
from orchestrator.verdicts.validity import CLOSED_LOOP

DEVIATION = "truth: worst deviation of p50, p90, p99, p99.9"
SAYS_SO = "truth: closed trials that say so"
STALL_S = 1.0
_WINDOW_S = 60.0  # the longest until a trial opens its window
_STOPPED_S = 1.0  # the longest until a signal has stopped a process


@dataclass(slots=True)
class Freezer:
    """Freezes a lab's one server in the middle of the window that `master` is told; a context manager."""

    client: docker.DockerClient
    lab: str
    master: Ordered
    length_s: float
    stall: Stall | None = None
    window: tuple[float, float] | None = None
    error: str = ""
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> Freezer:
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.master.window_told.set()  # a trial that never opened its window must not be waited for
        self._thread.join()

    def _work(self) -> None:
        if not self.master.window_told.wait(_WINDOW_S) or not self.master.windows:
            self.error = "the trial opened no window"
            return
        self.window = next(iter(self.master.windows.values()))
        middle_s = sum(self.window) / 2
        try:
            container, pid = self._server()
            time.sleep(max(0.0, middle_s - self.length_s / 2 - time.monotonic()))
            self.stall = freeze(self.length_s, pid, _signaller(self.client, container, pid))
        except (NotReady, OSError, docker.errors.APIError) as error:
            self.error = f"{type(error).__name__}: {error}"

    def _server(self) -> tuple[str, int]:
        filters: dict[str, Any] = {"label": [f"{LAB}={self.lab}", f"{ROLE}=server"]}
        found = self.client.containers.list(filters=filters, ignore_removed=True)
        if len(found) != 1:
            raise NotReady(f"one server was expected in lab {self.lab}, {len(found)} are there")
        container = str(found[0].id)
        return container, int(self.client.api.inspect_container(container)["State"]["Pid"])


def _signaller(client: docker.DockerClient, container: str, pid: int) -> Callable[[signal.Signals], None]:
    """Return what sends a signal to the server: this process if it may, else the engine."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return lambda number: client.api.kill(container, number.name)
    return lambda number: os.kill(pid, number)


def freeze(length_s: float, pid: int, send: Callable[[signal.Signals], None]) -> Stall:
    """Stop a process for length_s seconds, and return when it stood still. It goes on again whatever happens.

    Each instant is half-way between just before the signal was sent and the kernel's word that the state has changed.
    """
    try:
        began_s = _until(pid, lambda: send(signal.SIGSTOP), stopped=True)
        time.sleep(max(0.0, began_s + length_s - time.monotonic()))
    finally:
        ended_s = _until(pid, lambda: send(signal.SIGCONT), stopped=False)
    return Stall(began_s, ended_s)


def _until(pid: int, act: Callable[[], None], *, stopped: bool) -> float:
    before_s = time.monotonic()
    act()
    while is_stopped(pid) is not stopped:
        if time.monotonic() > before_s + _STOPPED_S:
            raise NotReady(f"process {pid} did not {'stop' if stopped else 'go on'} within {_STOPPED_S:.0f} s")
    return (before_s + time.monotonic()) / 2


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped by a signal: state T of proc_pid_stat(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@dataclass(frozen=True, slots=True)
class Round:
    """One trial with a stall in it. seen, wanted: quantile -> seconds; empty when there is nothing to compare."""

    result: TrialResult
    stall: Stall | None
    window: tuple[float, float] | None
    seen: dict[float, float]
    wanted: dict[float, float]
    spoilt: str

    @property
    def deviation(self) -> float | None:
        """The worst relative difference over all quantiles."""
        return worst_deviation(self.seen, self.wanted) if self.seen else None

    def document(self) -> dict[str, object]:
        """Return it for the details file."""
        metrics = self.result.metrics
        return {
            "stall_s": [self.stall.began_s, self.stall.ended_s] if self.stall else None,
            "window_s": list(self.window) if self.window else None,
            "seen_s": {str(q): s for q, s in self.seen.items()},
            "expected_s": {str(q): s for q, s in self.wanted.items()},
            "planned": metrics.planned,
            "sent": metrics.sent,
            "late": metrics.late,
            "dropped": metrics.dropped,
            "void": self.result.void,
            "notes": list(self.result.notes),
        }

    def sentence(self) -> str:
        """Return every quantile as seen and, in brackets, as the arithmetic has it."""
        if self.deviation is None:
            return self.spoilt or "nothing to compare"
        pairs = (f"p{q * 100:g} {duration(self.seen[q])} ({duration(self.wanted[q])})" for q in QUANTILES)
        return f"{', '.join(pairs)}; worst {self.deviation:.2%}"


def stall_once(stand: Stand, suite: str, scenario: str, length_s: float) -> Round:
    """Run one open trial with a stall in the middle of its window."""
    told = stand.lab.scenarios[scenario]
    master = Ordered(stand.control.master_url)
    with Freezer(stand.ground.client, stand.ground.lab_id, master, length_s) as freezer:
        result, _ = stand.trial(stand.spec(suite, scenario, "c-epoll"), master)
    seen: dict[float, float] = {}
    wanted: dict[float, float] = {}
    if freezer.stall and freezer.window and result.histogram_us:
        wanted = expected(constant_arrivals(*freezer.window, told.rate_per_s), told.delay_s, freezer.stall)
        seen = {q: quantile_s(result.histogram_us, q) for q in QUANTILES}
    return Round(result, freezer.stall, freezer.window, seen, wanted, freezer.error)


def measure(stand: Stand, rounds: int) -> Outcome:
    """Run the rounds, then one closed trial, and return both lines."""
    outcome = Outcome()
    scenario, closed = stand.lab.scenarios["stall"], stand.lab.scenarios["throughput-engine"]
    deviations: list[float | None] = []
    spoilt = ""
    steps = [
        *(Step(f"round {n + 1}: a stall of 1 s", loaded_s(scenario)) for n in range(rounds)),
        Step("a closed loop"),
    ]
    with stand.progress.stage("truth", steps) as stage:
        for n in range(rounds):
            stage.begin()
            one = stall_once(stand, "truth", scenario.name, STALL_S)
            deviations.append(one.deviation)
            outcome.rounds.append({"round": n, **one.document()})
            outcome.remarks.append(f"round {n + 1}, seen (by arithmetic): {one.sentence()}")
            spoilt = spoilt or one.spoilt or why_spoilt(n, one.result)
            stage.end(one.sentence())
        stage.begin()
        result, _ = stand.trial(stand.spec("truth", closed.name, "c-epoll"))
        says_so = any(CLOSED_LOOP in remark for remark in result.notes)
        stage.end(f"its notes: {'; '.join(result.notes)}")
    outcome.add(DEVIATION, deviations, worst(deviations, "at most", 0.0), spoilt)
    outcome.add(SAYS_SO, [float(says_so)], float(says_so), f"void: {result.void}" if result.void else "")
    return outcome
