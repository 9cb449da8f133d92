"""Take one reading of a target: every source once, each failure named and none turned into a number."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import Malformed, Unavailable
from .look import Look, Value, Watched
from .sources import SOURCES, Source
from .taskstats import Taskstats


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one target around one instant."""

    at_s: float  # CLOCK_MONOTONIC, just before the first source
    values: Mapping[str, Value]
    missing: Mapping[str, str]  # name -> why it could not be read; never also in values
    notes: Mapping[str, str]  # name -> what to know about its value


class Ledger:
    """What reading costs and how often it fails, by source: the exporter's own figures."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: Counter[str] = Counter()
        self._errors: Counter[str] = Counter(dict.fromkeys([source.name for source in SOURCES], 0))
        self._errors["taskstats"] = 0

    def spent(self, source: str, seconds: float) -> None:
        """Add the time one read took."""
        with self._lock:
            self._seconds[source] += seconds  # type: ignore[assignment]

    def failed(self, source: str) -> None:
        """Count one read that gave nothing."""
        with self._lock:
            self._errors[source] += 1

    def totals(self) -> tuple[Mapping[str, float], Mapping[str, int]]:
        """Return seconds and errors by source."""
        with self._lock:
            return dict(self._seconds), dict(self._errors)


def take(
    watched: Watched, taskstats: Taskstats, ledger: Ledger, *, fresh: bool, sources: tuple[Source, ...] = SOURCES
) -> Reading:
    """Read every source of the target now.

    fresh: True counts epoll watches now where that is affordable; False may use a count of the last seconds.
    Never raises for what the target or the kernel does: that is under `missing`, and counted in the ledger.
    """
    look = Look(watched, taskstats, fresh)
    at_s = time.monotonic()
    values: dict[str, Value] = {}
    for source in sources:
        started_s = time.perf_counter()
        try:
            values |= source.read(look)
        except (OSError, Unavailable, Malformed, KeyError, ValueError) as why:
            # That a server ended is its own news (up is 0), not a failure to read it.
            if look.members or source is sources[0]:
                ledger.failed(source.name)
            look.missing |= dict.fromkeys(source.gives, _reason(why))
        ledger.spent(source.name, time.perf_counter() - started_s)
    for source_name in look.errors:
        ledger.failed(source_name)
    return Reading(at_s, values, look.missing, {name: note for name, note in look.notes.items() if name in values})


def _reason(why: Exception) -> str:
    if isinstance(why, KeyError):
        return f"the kernel's text has no {why}"
    return f"{type(why).__name__}: {why}" if isinstance(why, OSError) else str(why)
