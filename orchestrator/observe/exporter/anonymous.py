"""Count the epoll and io_uring instances of processes, what they watch and what they hold, at a bounded cost.

Both grow with connections: finding the instances reads every descriptor's link (3 µs each), counting reads one line per
watch (1-3 µs each), and of a ring one for each registered file and each poll. The kernel holds the instance's mutex
while it writes those lines, so the server's own epoll_wait and epoll_ctl wait meanwhile, and gives its CPU to nobody
else, a SCHED_FIFO thread included (ep_show_fdinfo does not reschedule): 2,000 watches stop both for some 3 ms, 17,000
for 13 to 48 ms. Therefore:
- What was found is kept for SCAN_EACH_S and a count for COUNT_EACH_S, longer where counting is dear. These bounds are
  the target's, not each process's: sixty servers that hold a million connections together would otherwise cost a tenth
  of a CPU, and a reading seconds.
- A caller that wants them fresh gets them fresh unless the last count took longer than AT_ONCE_S: then it gets the kept
  one with its age. A regular sample goes on to the next process only while it has counted for less than AT_ONCE_S.
- A process that takes longer than AT_ONCE_S alone is counted only while its target is idle. The answers that a busy one
  owes would all be late by the count. Until then it keeps its last count if it has as many descriptors as then, and
  has none otherwise.
An instance shared by two processes or held in two descriptors counts twice: the kernel shows nothing that tells them
apart.
A ring's text needs its lock, which the kernel only tries to take: what a busy ring does not tell within RING_TRIES is
what it told last.
Sources: fs/eventpoll.c ep_show_fdinfo, io_uring/fdinfo.c.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .files import read_text
from .parse import Ring, count_watches, parse_ring

SCAN_EACH_S = 15.0  # a server makes its instances at start; going through 17,000 descriptors takes some 100 ms
SCAN_PIECE = 400  # looked at within one sample: 2 ms, so that nobody waits long for the CPU that is used for it
SCAN_REST_FACTOR = 200  # a server that has none is gone through again and again: for at most 0.5 % of the time
COUNT_EACH_S = 5.0  # a chart of watches needs no more
REST_FACTOR = 500  # after a count, rest so many times what it took: at most 0.2 % of the time is spent counting
SCAN_FRESH_BELOW = 1000  # descriptors that may be gone through within a fresh reading: 3 ms
# Above, a process whose instances are known is not gone through again: new ones come at start, with few descriptors.
SCAN_AGAIN_BELOW = 5000
AT_ONCE_S = 0.005  # CPU time, some 3,000 watches
WATCH_S = 1.5e-6  # CPU time for each; tells what a first count will take, or one after many more have connected
BUSY_SHARE = 0.02  # of one CPU, all processes of the target together; ten thousand idle connections take none
_BUSY_OVER_S = 0.5  # CPU times are tick-grained: over less than this, one tick would look like load
RING_TRIES = 3
_EPOLL, _RING = "anon_inode:[eventpoll]", "anon_inode:[io_uring]"
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the processes hold."""

    instances: int | None  # of epoll; None: the descriptors of one of the processes have not all been looked at yet
    watches: int | None  # None: one of the processes has not been counted yet
    rings: int | None  # None: as instances
    pending: int | None  # over all rings, as Ring has it; None: one of them never told
    overflow: int | None
    age_s: float  # of the oldest part; 0.0: counted now
    is_put_off: bool  # one of the processes is too dear to be counted while the target is busy


@dataclass(slots=True)
class _Known:
    fds: list[str] = field(default_factory=list)
    watches: int = 0
    rings: dict[str, Ring | None] = field(default_factory=dict)  # descriptor -> what it told last
    to_scan: list[str] = field(default_factory=list)  # descriptors that the scan under way has not come to
    links: dict[str, str] = field(default_factory=dict)  # what it has found so far
    scanned_s: float = float("-inf")
    scan_cost_s: float = 0.0
    counted_s: float = float("-inf")
    cost_s: float = 0.0
    had_fds: int = 0  # when it was counted; always 0 where the kernel does not tell cheaply (before 6.2)
    is_put_off: bool = False


class Instances:
    """Follows the processes of one target; safe to share between threads."""

    def __init__(self, proc: Path) -> None:
        self.crowd = 1  # targets that share the bounds with this one
        self._proc = proc
        self._lock = threading.Lock()
        self._known: dict[tuple[int, int], _Known] = {}
        self._load = _Load()

    def interval_s(self) -> float:
        """Return how long counts are kept now, by what the last ones cost."""
        with self._lock:
            return self._interval_s(sum(known.cost_s for known in self._known.values()))

    def count(self, processes: Mapping[tuple[int, int], float], *, fresh: bool) -> Counted:
        """Count over these processes, (pid, start) -> CPU seconds used; see the module for what `fresh` promises.

        Raises PermissionError without CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH when the server runs as somebody else.
        """
        with self._lock:
            instances, watches, age_s = 0, 0, 0.0
            asked_s = time.monotonic()
            is_busy = self._load.is_busy(asked_s, processes)
            kept: dict[tuple[int, int], _Known] = {}
            cost_s = sum(known.cost_s for known in self._known.values())
            begun_cpu_s = time.thread_time()
            # Who was counted longest ago comes first, so that those that a sample does not get to are the next one's.
            in_turn = sorted(processes, key=lambda each: self._known.get(each, _Known()).counted_s)
            for place, identity in enumerate(in_turn):
                known = self._known.get(identity, _Known())
                try:
                    if fresh or place == 0 or time.thread_time() - begun_cpu_s < AT_ONCE_S:
                        self._refresh(identity[0], known, cost_s, fresh=fresh, is_busy=is_busy)
                except _GONE:
                    continue
                kept[identity] = known
                instances += len(known.fds)
                watches += known.watches
                age_s = max(age_s, asked_s - known.counted_s)  # negative when counted just now
            self._known = kept
            is_counted = age_s < float("inf")
            is_scanned = all(known.scanned_s > float("-inf") for known in kept.values())
            rings = [ring for known in kept.values() for ring in known.rings.values()]
            told = [ring for ring in rings if ring is not None]
            is_whole = len(told) == len(rings)
            pending, overflow = sum(ring.pending for ring in told), sum(ring.overflow for ring in told)
            return Counted(
                instances if is_scanned else None,
                watches if is_scanned and is_counted else None,
                len(rings) if is_scanned else None,
                pending if is_scanned and is_whole else None,
                overflow if is_scanned and is_whole else None,
                age_s,
                any(known.is_put_off for known in kept.values()),
            )

    def _refresh(self, pid: int, known: _Known, cost_s: float, *, fresh: bool, is_busy: bool) -> None:
        """Look into one process where that is due. cost_s: what the last counts took for all of them together."""
        folder = self._proc / str(pid)
        now_s = time.monotonic()
        descriptors = (folder / "fd").stat().st_size
        is_settled = bool(known.fds or known.rings) and descriptors > SCAN_AGAIN_BELOW
        few = fresh and descriptors <= SCAN_FRESH_BELOW
        scans_s = self.crowd * sum(each.scan_cost_s for each in self._known.values())
        scan_each_s = max(SCAN_EACH_S, SCAN_REST_FACTOR * scans_s)
        if few or known.to_scan or (now_s - known.scanned_s >= scan_each_s and not is_settled):
            _scan(folder / "fd", known, at_once=few)
        known.is_put_off = is_busy and max(known.cost_s, descriptors * WATCH_S) > AT_ONCE_S
        if known.is_put_off:
            if known.had_fds != descriptors:
                known.counted_s = float("-inf")
            return
        due = now_s - known.counted_s >= self._interval_s(cost_s)
        if due or (fresh and cost_s <= AT_ONCE_S):
            started_s, started_cpu_s = time.monotonic(), time.thread_time()
            known.fds = [fd for fd in known.fds if _link(folder / "fd" / fd) == _EPOLL]
            known.watches = sum(count_watches(read_text(folder / "fdinfo" / fd)) for fd in known.fds)
            rings = [fd for fd in known.rings if _link(folder / "fd" / fd) == _RING]
            known.rings = {fd: _read_ring(folder / "fdinfo" / fd) or known.rings[fd] for fd in rings}
            known.counted_s, known.had_fds = started_s, descriptors
            known.cost_s = time.thread_time() - started_cpu_s  # not the clock: waiting for a CPU is no cost of ours

    def _interval_s(self, cost_s: float) -> float:
        return max(COUNT_EACH_S, REST_FACTOR * self.crowd * cost_s)


class _Load:
    """Tells whether a target is being used, by the CPU time of its processes since they were looked at before."""

    def __init__(self) -> None:
        self._seen_s = float("-inf")
        self._used_s: dict[tuple[int, int], float] = {}
        self._is_busy = True  # until there is something to compare with

    def is_busy(self, now_s: float, processes: Mapping[tuple[int, int], float]) -> bool:
        over_s = now_s - self._seen_s
        if over_s >= _BUSY_OVER_S:
            used_s = sum(spent_s - self._used_s.get(process, spent_s) for process, spent_s in processes.items())
            self._is_busy = not self._used_s or used_s > BUSY_SHARE * over_s
            self._seen_s, self._used_s = now_s, dict(processes)
        return self._is_busy


def _scan(folder: Path, known: _Known, *, at_once: bool) -> None:
    """Look at the next SCAN_PIECE descriptors, or all; with the last of them, take over what was found."""
    started_cpu_s = time.thread_time()
    if at_once or not known.to_scan:
        known.to_scan, known.links, known.scan_cost_s = [fd.name for fd in folder.iterdir()], {}, 0.0
    first = 0 if at_once else -SCAN_PIECE
    piece, known.to_scan = known.to_scan[first:], known.to_scan[:first]
    known.links |= {fd: link for fd in piece if (link := _link(folder / fd)) in (_EPOLL, _RING)}
    known.scan_cost_s += time.thread_time() - started_cpu_s
    if known.to_scan:
        return
    found, rings = (sorted(fd for fd, link in known.links.items() if link == kind) for kind in (_EPOLL, _RING))
    if found != sorted(known.fds) or rings != sorted(known.rings):
        known.fds, known.counted_s = found, float("-inf")
        known.rings = {fd: known.rings.get(fd) for fd in rings}
    known.scanned_s = time.monotonic()


def _read_ring(path: Path) -> Ring | None:
    for _ in range(RING_TRIES):
        ring = parse_ring(read_text(path))
        if ring is not None:
            return ring
    return None


def _link(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except _GONE:
        return ""  # closed since it was listed
