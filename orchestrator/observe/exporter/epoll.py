"""Count the epoll instances of processes and the descriptors they watch, at a bounded cost.

Both grow with connections: finding the instances reads every descriptor's link (3 µs each), counting reads one line per
watch (1-2 µs each). The kernel holds the instance's mutex while it writes those lines, so the server's own epoll_wait
and epoll_ctl wait meanwhile: 2,000 watches stop it for some 3 ms, 17,000 for some 25 ms. So what was found is kept for
SCAN_EACH_S and a count for COUNT_EACH_S, longer where counting is dear. A caller that wants them fresh gets them fresh
unless the last count took longer than FRESH_WITHIN_S: then it gets the kept one with its age. These bounds are the
target's, not each process's: sixty servers that hold a million connections together would otherwise cost a tenth of a
CPU, and a reading seconds. An instance shared by two processes or held in two descriptors counts twice: the kernel
shows nothing that tells them apart.
Source: fs/eventpoll.c ep_show_fdinfo.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .files import read_text
from .parse import count_watches

SCAN_EACH_S = 15.0  # a server makes its instances at start; going through 17,000 descriptors takes some 100 ms
COUNT_EACH_S = 5.0  # a chart of watches needs no more
REST_FACTOR = 500  # after a count, rest so many times what it took: at most 0.2 % of the time is spent counting
FRESH_WITHIN_S = 0.05  # CPU time of the last count: some 30,000 watches, more than one process usually may hold
SCAN_FRESH_BELOW = 1000  # descriptors that may be gone through within a fresh reading: 3 ms
# Above, a process whose instances are known is not gone through again: new ones come at start, with few descriptors.
SCAN_AGAIN_BELOW = 5000
_LINK = "anon_inode:[eventpoll]"
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the processes hold."""

    instances: int
    watches: int
    age_s: float  # of the oldest part; 0.0: counted now


@dataclass(slots=True)
class _Known:
    fds: list[str] = field(default_factory=list)
    watches: int = 0
    scanned_s: float = float("-inf")
    counted_s: float = float("-inf")
    cost_s: float = 0.0


class Instances:
    """Follows the processes of one target; safe to share between threads."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._lock = threading.Lock()
        self._known: dict[tuple[int, int], _Known] = {}

    def count(self, processes: Iterable[tuple[int, int]], *, fresh: bool) -> Counted:
        """Count over these processes (pid, start); see the module for what `fresh` promises.

        Raises PermissionError without CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH when the server runs as somebody else.
        """
        with self._lock:
            instances, watches, age_s = 0, 0, 0.0
            asked_s = time.monotonic()
            kept: dict[tuple[int, int], _Known] = {}
            cost_s = sum(known.cost_s for known in self._known.values())
            for identity in processes:
                known = self._known.get(identity, _Known())
                try:
                    self._refresh(identity[0], known, cost_s, fresh=fresh)
                except _GONE:
                    continue
                kept[identity] = known
                instances += len(known.fds)
                watches += known.watches
                age_s = max(age_s, asked_s - known.counted_s)  # negative when counted just now
            self._known = kept
            return Counted(instances, watches, age_s)

    def _refresh(self, pid: int, known: _Known, cost_s: float, *, fresh: bool) -> None:
        """Look into one process where that is due. cost_s: what the last counts took for all of them together."""
        folder = self._proc / str(pid)
        now_s = time.monotonic()
        descriptors = (folder / "fd").stat().st_size
        is_settled = bool(known.fds) and descriptors > SCAN_AGAIN_BELOW
        few = fresh and descriptors <= SCAN_FRESH_BELOW
        if few or (now_s - known.scanned_s >= SCAN_EACH_S and not is_settled):
            found = [fd.name for fd in (folder / "fd").iterdir() if _is_epoll(fd)]
            if found != known.fds:
                known.fds, known.counted_s = found, float("-inf")
            known.scanned_s = now_s
        due = now_s - known.counted_s >= max(COUNT_EACH_S, REST_FACTOR * cost_s)
        if due or (fresh and cost_s <= FRESH_WITHIN_S):
            started_s, started_cpu_s = time.monotonic(), time.thread_time()
            known.fds = [fd for fd in known.fds if _is_epoll(folder / "fd" / fd)]
            known.watches = sum(count_watches(read_text(folder / "fdinfo" / fd)) for fd in known.fds)
            known.counted_s = started_s
            known.cost_s = time.thread_time() - started_cpu_s  # not the clock: waiting for a CPU is no cost of ours


def _is_epoll(fd: Path) -> bool:
    try:
        return str(fd.readlink()) == _LINK
    except _GONE:
        return False  # closed since it was listed
