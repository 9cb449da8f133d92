"""Take one reading of a target: every source once, each failure named and none turned into a number."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .errors import Absent, Malformed, Unavailable
from .look import Kept, Look, Value, Watched
from .pace import Pace
from .source import Source
from .sources import SOURCES
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

    def __init__(self, more: Iterable[str] = ()) -> None:
        """more: sources besides those of a target."""
        self._lock = threading.Lock()
        self._seconds: Counter[str] = Counter()
        self._errors: Counter[str] = Counter(dict.fromkeys([*(source.name for source in SOURCES), *more], 0))
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
    watched: Watched,
    taskstats: Taskstats,
    ledger: Ledger,
    *,
    fresh: bool,
    pace: Pace | None = None,
    sources: tuple[Source, ...] = SOURCES,
) -> Reading:
    """Read every source of the target now.

    fresh: a reading was asked for: of what is dear, kept values with their age are taken. False: the regular sample,
    which reads what is dear when its pace lets it. pace: None reads everything.
    Never raises for what the target or the kernel does: that is under `missing`, and counted in the ledger.
    """
    look = Look(watched, taskstats, fresh)
    at_s = time.monotonic()
    values: dict[str, Value] = {}
    for source in sources:
        budget, kept = source.budget, watched.kept.get(source.name)
        if pace and budget and kept and not pace.is_due(source.name, watched.target.name, budget, fresh=fresh):
            values |= kept.values
            look.missing |= kept.missing
            if fresh:
                age = f"read {at_s - kept.at_s:.1f} s ago: reading it takes too long for a reading"
                look.notes |= dict.fromkeys(kept.values, age)
            continue
        started_s, started_cpu_s = time.perf_counter(), time.thread_time()
        found: dict[str, Value] = {}
        missing: dict[str, str] = {}
        try:
            found = source.read(look)
        except Absent as why:
            missing = dict.fromkeys(source.gives, str(why))
        except (OSError, Unavailable, Malformed, KeyError, ValueError) as why:
            # That a server ended is its own news (up is 0), not a failure to read it.
            if look.members or source is sources[0]:
                ledger.failed(source.name)
            missing = dict.fromkeys(source.gives, reason(why))
        values |= found
        missing |= {name: look.missing[name] for name in source.gives if name in look.missing}
        look.missing |= missing
        ledger.spent(source.name, time.perf_counter() - started_s)
        if pace and budget:
            pace.spent(source.name, watched.target.name, budget, time.thread_time() - started_cpu_s)
            watched.kept[source.name] = Kept(at_s, found, missing)
    for source_name in look.errors:
        ledger.failed(source_name)
    return Reading(at_s, values, look.missing, {name: note for name, note in look.notes.items() if name in values})


def reason(why: Exception) -> str:
    """Say in one line why something could not be read."""
    if isinstance(why, KeyError):
        return f"the kernel's text has no {why}"
    return f"{type(why).__name__}: {why}" if isinstance(why, OSError) else str(why)
