"""Turn finished exchanges into histograms: one running record, and one scored record per window.

Pure: no sockets, no Locust; every time comes in as CLOCK_MONOTONIC nanoseconds. Rows: swarm/row.py. The running
record is taken away in pieces (`take`) for Locust's statistics and the metrics. The scored record is kept apart and
holds exactly what docs/architecture.md, "POST /lab/window", says:

- closed: what completed in [start, end);
- hold: what was started at or after start, and ended before the window closed;
- open and storm, which only engine rows (swarm/engine_row.py) have: what was planned in [start, end).

Nothing here walks more than the rows while load runs; a histogram is a dict of whole microseconds -> count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swarm.row import FAILED_CONNECT, AnyRow, Row

NEVER_NS = 1 << 62


@dataclass(slots=True)
class Window:
    """One measured interval as this process saw it. from_ns and to_ns: when scoring really began and ended."""

    window_id: str
    start_ns: int
    end_ns: int
    from_ns: int = 0
    to_ns: int = 0
    cpu_from_ns: int = 0
    cpu_ratio: float | None = None
    engine_from_ns: int = 0
    engine_cpu_ratio: float | None = None  # the engine's thread alone; None without one


class Recorder:
    """All rows of one process, and the current window.

    read_cpu_ns: this process's CPU time. read_engine_ns: its engine's thread's, None without one. tell_engine: opens
    the engine's window, where there is an engine. `answer` and `error` are called with times that never decrease.
    """

    def __init__(
        self,
        read_cpu_ns: Callable[[], int],
        read_engine_ns: Callable[[], int | None] = lambda: None,
        tell_engine: Callable[[int, int], None] = lambda start_ns, end_ns: None,
    ):
        self._read_cpu_ns, self._read_engine_ns, self._tell_engine = read_cpu_ns, read_engine_ns, tell_engine
        # By everything that tells them apart: the engine's rows and a person's requests may share a name.
        self.rows: dict[tuple[object, ...], AnyRow] = {}
        self.window: Window | None = None
        self.closed: Window | None = None
        self._boundary_ns = NEVER_NS
        self._scoring = False
        self._since_ns = 0

    def row(self, variant: str, name: str, method: str = "GET", *, holds: bool = False, body_bytes: int = 13) -> Row:
        """Return the row of that variant, name, method and rule for windows, made at its first use."""
        key = (variant, name, method, holds)
        found = self.rows.get(key)
        if not isinstance(found, Row):
            found = self.rows[key] = Row(variant, name, method, holds=holds, body_bytes=body_bytes)
        return found

    def clear(self) -> None:
        """Forget all rows: a new test begins. The window stays, so it may be opened before the test."""
        self.rows = {}

    def answer(self, row: Row, start_ns: int, done_ns: int) -> None:
        """Record a right answer."""
        if done_ns >= self._boundary_ns:
            self.turn(done_ns)
        latency_us = (done_ns - start_ns) // 1000
        row._histogram_us[latency_us] += 1
        row.answered += 1
        if self._scoring and (start_ns >= self._since_ns or not row.holds):
            row.scored_us[latency_us] += 1

    def error(self, row: Row, kind: str, start_ns: int, done_ns: int) -> None:
        """Record an answer that was wrong or missing."""
        if done_ns >= self._boundary_ns:
            self.turn(done_ns)
        row._failed_us[(done_ns - start_ns) // 1000] += 1
        row._errors[kind] += 1
        row.failed += 1
        if kind.endswith(FAILED_CONNECT):
            row.connects_failed += 1
        if self._scoring and (start_ns >= self._since_ns or not row.holds):
            row.scored_errors[kind] += 1

    def open_window(self, window_id: str, start_ns: int, end_ns: int, now_ns: int) -> bool:
        """Begin to wait for a window; counts since "the last window" restart. A known id changes nothing.

        Returns whether the window is new.
        """
        for known in (self.window, self.closed):
            if known is not None and known.window_id == window_id:
                return False
        self.window = Window(window_id, start_ns, end_ns)
        self.closed = None
        self._scoring = False
        self._boundary_ns = start_ns
        self._tell_engine(start_ns, end_ns)
        for row in self.rows.values():
            row.begin_window()
        self.turn(now_ns)
        return True

    def turn(self, now_ns: int) -> None:
        """Pass the window's start or end, if the clock has."""
        window = self.window
        if window is None or now_ns < self._boundary_ns:
            return
        if not self._scoring and window.from_ns == 0:
            window.from_ns, window.cpu_from_ns = now_ns, self._read_cpu_ns()
            window.engine_from_ns = self._read_engine_ns() or 0  # an engine that starts later starts from 0
            self._since_ns = window.start_ns
            self._scoring = True
            self._boundary_ns = window.end_ns
        if now_ns >= window.end_ns:
            self._stop_scoring(window, now_ns)

    def close_window(self, now_ns: int, *, count_unanswered: bool) -> dict[str, Any] | None:
        """End the window now and return its part for the master, or None when none is open.

        count_unanswered: hold exchanges still without an answer become errors, because nobody will see their end.
        """
        window = self.window
        if window is None:
            return None
        self.turn(now_ns)
        if self._scoring:
            self._stop_scoring(window, now_ns)
        start_ns, to_ns = window.start_ns, window.to_ns
        rows = [row.part(start_ns, to_ns, count_unanswered=count_unanswered) for row in self.rows.values()]
        self.window, self.closed, self._boundary_ns = None, window, NEVER_NS
        return {
            "window_id": window.window_id,
            "closed": True,
            "cpu_ratio": window.cpu_ratio,
            "engine_cpu_ratio": window.engine_cpu_ratio,
            "from_s": window.from_ns / 1e9,
            "to_s": window.to_ns / 1e9,
            "rows": rows,
        }

    def _stop_scoring(self, window: Window, now_ns: int) -> None:
        self._scoring = False
        self._boundary_ns = NEVER_NS
        window.to_ns = min(now_ns, window.end_ns)
        if now_ns > window.from_ns:
            # CPU and wall are read at the same instant, which may lie a little after end_ns.
            window.cpu_ratio = (self._read_cpu_ns() - window.cpu_from_ns) / (now_ns - window.from_ns)
            engine_ns = self._read_engine_ns()
            if engine_ns is not None:
                window.engine_cpu_ratio = (engine_ns - window.engine_from_ns) / (now_ns - window.from_ns)
