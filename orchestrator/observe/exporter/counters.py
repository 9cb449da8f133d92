"""Sum counters that each process keeps for itself, so that the sum does not fall when one of them ends.

What a process counted between the last look and its end is lost; nothing on the kernel's side keeps it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

Identity = tuple[int, int]  # pid, start in ticks since boot


class Counters:
    """Follows one target; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[Identity, tuple[int, ...]] = {}

    def follow(self, counts: Mapping[Identity, tuple[int, ...]]) -> tuple[int, ...]:
        """Take in what each process counts now and return the sums, of those that ended too; () before the first."""
        with self._lock:
            self._latest.update(counts)
            return tuple(map(sum, zip(*self._latest.values(), strict=True)))
