"""Mark runs and windows in Grafana's charts, from a thread of its own: whoever measures never waits for Grafana.

An annotation is made when something begins and told its end when that comes (POST /api/annotations, then PATCH). Times
are the wall clock's, because that is what charts have; durations come from elsewhere.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dashboards.provisioning import TAG
from orchestrator.errors import LabError
from orchestrator.observe.grafana import Server

_MOST_FAILURES = 3  # in a row; then nothing further is tried in this run
_AFTER_S = 5.0  # what the last annotations get to arrive once the run is over
_BROKEN_OFF_S = 1.0  # and once somebody has pressed ^C


@dataclass(slots=True)
class Mark:
    """Something that has begun. Its number is Grafana's, known once the annotation is made."""

    text: str
    tags: tuple[str, ...]
    since_s: float  # seconds since 1970
    number: int | None = field(default=None, init=False)


class Marks:
    """The annotations of one run; `close` ends the thread. Without a server it does nothing."""

    def __init__(self, server: Server | None, clock: Callable[[], float] = time.time) -> None:
        """The thread begins with the first mark."""
        self._server = server
        self._clock = clock
        self._tasks: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._missed = 0
        self._first_failure = ""

    def begin(self, text: str, tags: Sequence[str]) -> Mark:
        """Mark that something begins now. tags: besides the lab's own, by which its dashboards find it."""
        mark = Mark(text, (TAG, *(tag for tag in tags if tag)), self._clock())
        self._do(lambda server: self._make(server, mark))
        return mark

    def end(self, mark: Mark) -> None:
        """Mark that it ends now."""
        until_s = self._clock()
        self._do(lambda server: self._finish(server, mark, until_s))

    @contextmanager
    def during(self, text: str, tags: Sequence[str]) -> Iterator[None]:
        """Mark when the block begins and when it ends. One that is broken off is given little time to say so."""
        mark = self.begin(text, tags)
        try:
            yield
        except BaseException:
            self.end(mark)
            self.close(_BROKEN_OFF_S)
            raise
        self.end(mark)

    def close(self, patience_s: float = _AFTER_S) -> str:
        """Let the last ones arrive; return "", or in one line how many did not and why."""
        if self._thread is None:
            return ""
        self._tasks.put(None)
        self._thread.join(patience_s)
        if self._thread.is_alive():
            return f"grafana: the last annotations did not arrive within {patience_s:.0f} s and are given up"
        if not self._missed:
            return ""
        return f"grafana: {self._missed} annotations are missing: {self._first_failure}"

    def _do(self, task: Callable[[Server], None]) -> None:
        server = self._server
        if server is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="grafana-marks", daemon=True)
            self._thread.start()
        self._tasks.put(lambda: task(server))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            if self._failures >= _MOST_FAILURES:
                self._missed += 1
                continue
            try:
                task()
                self._failures = 0
            except LabError as why:
                self._failures += 1
                self._missed += 1
                self._first_failure = self._first_failure or str(why)

    def _make(self, server: Server, mark: Mark) -> None:
        body = {"time": _ms(mark.since_s), "tags": list(mark.tags), "text": mark.text}
        answer: Any = server.ask("POST", "/annotations", body, once=True)
        if isinstance(answer, dict) and isinstance(answer.get("id"), int):
            mark.number = answer["id"]

    def _finish(self, server: Server, mark: Mark, until_s: float) -> None:
        if mark.number is None:  # its beginning did not arrive, and was counted then
            return
        server.ask("PATCH", f"/annotations/{mark.number}", {"timeEnd": _ms(until_s)})


def _ms(at_s: float) -> int:
    return round(at_s * 1000)
