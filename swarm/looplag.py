"""Measure how late a worker's loop is: what every Python user in it waits, on top of the server's own time.

Locust's CPU figure moves only every ten seconds; a greenlet that sleeps and looks at the clock shows within one whether
the loop is held up. The engine has a thread of its own and does not wait for this loop.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

EVERY_S = 0.05  # twenty looks a second cost some 0.05 % of a core
KEPT = 20  # a second of them: reports come four times as often as Prometheus looks


class LoopLag:
    """The lags of the last second."""

    def __init__(self) -> None:
        self._lags_s: deque[float] = deque(maxlen=KEPT)

    def worst_s(self) -> float | None:
        """Return the worst lag of the last second in seconds; None before the first look."""
        return max(self._lags_s, default=None)

    def watch(self, sleep: Callable[[float], object], clock: Callable[[], float] = time.monotonic) -> None:
        """Look for ever. sleep: gevent's; clock: seconds, monotonic."""
        while True:
            due_s = clock() + EVERY_S
            sleep(EVERY_S)
            self._lags_s.append(max(0.0, clock() - due_s))
