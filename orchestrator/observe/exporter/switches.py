"""Keep a target's context switches as counters that never fall.

A process's TASKSTATS answer may lose the switches of threads that exited (see taskstats.py), while its run-queue counts
keep them. Each time a thread is put on a CPU ends in one switch, so what the run-queue count holds beyond
`voluntary + involuntary` belongs to threads that exited. Their kind is known up to the last look: as far as the
involuntary count fell since then, they were involuntary; the rest counts as voluntary (a thread that ends is mostly one
that waited). The sum is exact; a thread running at this instant may count once early. Processes that vanished keep
their last counts.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import Unavailable
from .files import read_text
from .parse import parse_status
from .taskstats import TaskCounts

Identity = tuple[int, int]  # pid, start in ticks since boot


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the processes of a target since each of them started."""

    voluntary: int
    involuntary: int
    timeslices: int | None  # None: this kernel does not keep them
    wait_s: float | None


@dataclass(slots=True)
class _Process:
    counts: TaskCounts
    gone: int = 0  # switches of exited threads that `counts` no longer holds
    gone_involuntary: int = 0  # of these

    def follow(self, new: TaskCounts) -> None:
        old, self.counts = self.counts, new
        if new.timeslices is None:
            if new.voluntary + new.involuntary < old.voluntary + old.involuntary:
                raise Unavailable("threads exited and this kernel keeps no count of their switches")
            return
        more = max(0, new.timeslices - new.voluntary - new.involuntary - self.gone)
        self.gone += more
        self.gone_involuntary += min(more, max(0, old.involuntary - new.involuntary))


class Switches:
    """Follows one target; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: dict[Identity, _Process] = {}
        self._lost: str | None = None

    def follow(self, counts: Mapping[Identity, TaskCounts]) -> Totals:
        """Take in what was just read and return the totals.

        Raises Unavailable, from then on, once switches were lost that nothing on this kernel can tell.
        """
        with self._lock:
            if self._lost:
                raise Unavailable(self._lost)
            try:
                for identity, new in counts.items():
                    self._processes.setdefault(identity, _Process(TaskCounts(0, 0, 0, 0.0))).follow(new)
            except Unavailable as lost:
                self._lost = str(lost)
                raise
            return _sum(list(self._processes.values()))


def walk_threads(proc: Path, pid: int) -> TaskCounts:
    """Sum the switches of a process's live threads: the way without CAP_NET_ADMIN, 40 µs per thread.

    Threads that exited are not in it, and nothing here tells how much they had.
    """
    voluntary = involuntary = 0
    for thread in (proc / str(pid) / "task").iterdir():
        try:
            status = parse_status(read_text(thread / "status"))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it exited while we walked
        voluntary += status.voluntary
        involuntary += status.involuntary
    return TaskCounts(voluntary, involuntary, None, None)


def _sum(processes: list[_Process]) -> Totals:
    timeslices = [process.counts.timeslices for process in processes]
    waits = [process.counts.wait_s for process in processes]
    involuntary_gone = sum(process.gone_involuntary for process in processes)
    return Totals(
        voluntary=sum(process.counts.voluntary + process.gone for process in processes) - involuntary_gone,
        involuntary=sum(process.counts.involuntary for process in processes) + involuntary_gone,
        timeslices=None if None in timeslices else sum(count for count in timeslices if count is not None),
        wait_s=None if None in waits else sum(wait for wait in waits if wait is not None),
    )
