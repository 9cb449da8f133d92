"""Climb down the ladder for each target until a rung holds: eBPF, perf's events, or neither.

Below both are taskstats and /proc, which need no probe: the exporter reads them anyway, and the caller has that.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import NotCounting, UnknownTarget
from .reader import Counts, Reader
from .target import RUNGS, Target

BELOW = "taskstats"  # the rung that is always there
SLACK_S = 2.0  # beyond its time, that a reading may be late in coming


@dataclass(slots=True)
class Watched:
    """One target: the reader that counts for it, or why there is none."""

    target: Target
    reader: Reader | None
    refused: Mapping[str, str]  # rung -> why it does not hold
    marks_s: tuple[float, ...] = ()  # CLOCK_MONOTONIC
    kept: Counts | None = field(default=None)  # the last counts of a reader that was ended

    @property
    def rung(self) -> str:
        return BELOW if self.reader is None else self.reader.rung

    @property
    def counts(self) -> Counts | None:
        """The counts of this instant while it is counted, the last ones afterwards; None where nothing ever was."""
        if self.kept is not None or self.reader is None:
            return self.kept
        with contextlib.suppress(NotCounting):
            return self.reader.read_now()
        return self.reader.latest


class Ladder:
    """The targets by name. Its methods may be called from any thread."""

    def __init__(self, reader: str, begin: Callable[[list[str]], Reader] = Reader, proc: Path = Path("/proc")) -> None:
        self._reader = reader
        self._begin = begin
        self._proc = proc
        self._lock = threading.Lock()  # for the map, never held while a reader begins or answers
        self._watched: dict[str, Watched] = {}
        self._host: tuple[str, Mapping[str, str]] | None = None
        self.refusals: Counter[str] = Counter()  # by rung

    def find_rung(self, pid: int) -> None:
        """Find out which rung this host allows, by counting for one process and stopping at once."""
        try:
            watched = self._climb(Target("self", {}, (pid,), pid))
        except NotCounting:  # not raised where every rung may be tried
            return
        if watched.reader is not None:
            watched.reader.end()
        with self._lock:
            self._host = (watched.rung, watched.refused)

    @property
    def host(self) -> tuple[str, Mapping[str, str]] | None:
        """The rung that this host allows, and why not a better one; None while that is being found out."""
        with self._lock:
            return self._host

    def count_for(self, target: Target) -> Watched:
        """Count for a target from now on, in place of an earlier one of that name. Raises NotCounting when it broke."""
        self.forget(target.name)
        watched = self._climb(target)
        if watched.reader is not None:
            watched.marks_s = tuple(round(watched.reader.ready_s + in_s, 6) for in_s in target.marks_in_s)
            for at_s in watched.marks_s:
                watched.reader.mark(at_s)
            watched.reader.read_now()  # nothing yet: where a counter begins, Prometheus must have seen it
        with self._lock:
            self._watched[target.name] = watched
        return watched

    def read_now(self, name: str) -> tuple[Watched, Counts]:
        """Return a target's counts as they are now. Raises UnknownTarget, NotCounting."""
        watched = self._find(name)
        if watched.reader is None or watched.kept is not None:
            raise NotCounting(f"{name}: nothing is being counted")
        return watched, watched.reader.read_now()

    def finish(self, name: str) -> tuple[Watched, list[Counts]]:
        """Wait for a target's marks, end its reader, keep its last counts. Raises UnknownTarget, NotCounting."""
        watched = self._find(name)
        if watched.reader is None:
            raise NotCounting(f"{name}: nothing is being counted: {'; '.join(watched.refused.values())}")
        try:
            marks = watched.reader.marks(watched.marks_s, max(time.monotonic(), *watched.marks_s, 0.0) + SLACK_S)
            if watched.kept is None:
                watched.kept = watched.reader.read_now()
        finally:
            watched.reader.end()
        return watched, marks

    def forget(self, name: str) -> None:
        """Stop counting for a target; one that is not known is forgotten already."""
        with self._lock:
            watched = self._watched.pop(name, None)
        if watched is not None and watched.reader is not None:
            watched.reader.end()

    def known(self) -> list[Watched]:
        """Return the targets whose processes are still there; the others are forgotten."""
        with self._lock:
            all_of_them = list(self._watched.items())
        gone = [name for name, watched in all_of_them if not any(map(self._is_there, watched.target.pids))]
        for name in gone:
            self.forget(name)
        return [watched for name, watched in all_of_them if name not in gone]

    def close(self) -> None:
        """End every reader."""
        with self._lock:
            names = list(self._watched)
        for name in names:
            self.forget(name)

    def _is_there(self, pid: int) -> bool:
        return (self._proc / str(pid)).exists()

    def _find(self, name: str) -> Watched:
        with self._lock:
            watched = self._watched.get(name)
        if watched is None:
            raise UnknownTarget(name)
        return watched

    def _climb(self, target: Target) -> Watched:
        refused: dict[str, str] = {}
        for rung in (rung for rung in RUNGS if rung in target.rungs):
            command = [self._reader, rung, "--interval-ms", str(round(target.interval_s * 1000))]
            for pid in target.pids:
                command += ["--pid", str(pid)]
            if target.net is not None:
                command += ["--net", str(target.net)]
            try:
                return Watched(target, self._begin(command), refused)
            except NotCounting as why:
                refused[rung] = str(why)
                self.refusals[rung] += 1
        return Watched(target, None, refused)
