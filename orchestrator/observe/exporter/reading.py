"""Take one reading of a target: every source once, each failure named and none turned into a number."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from .errors import Absent, Malformed, Unavailable
from .look import Kept, Look, Value, Watched
from .pace import Budget, Pace
from .source import Source
from .sources import SOURCES
from .taskstats import Taskstats

Later = Callable[[Callable[[], None]], object]  # has something done, perhaps in another thread


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one target around one instant."""

    at_s: float  # CLOCK_MONOTONIC, just before the first source
    values: Mapping[str, Value]
    missing: Mapping[str, str]  # name -> why it could not be read; never also in values
    notes: Mapping[str, str]  # name -> what to know about its value
    due_in_s: Mapping[str, float] = field(default_factory=dict)  # name of a kept value -> before it is read anew


class Ledger:
    """What reading costs and how often it fails, by source: the exporter's own figures."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        """more: sources besides those of a target."""
        self._lock = threading.Lock()
        self._seconds: Counter[str] = Counter()
        self._errors: Counter[str] = Counter(dict.fromkeys([*(source.name for source in SOURCES), *more], 0))
        self._errors["taskstats"] = 0

    def spent(self, source: str, seconds: float) -> None:
        """Add the CPU time one read took."""
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


def _at_once(work: Callable[[], None]) -> None:
    work()


def take(
    watched: Watched,
    taskstats: Taskstats,
    ledger: Ledger,
    *,
    fresh: bool,
    pace: Pace | None = None,
    later: Later = _at_once,
    sources: tuple[Source, ...] = SOURCES,
) -> Reading:
    """Read every source of the target now.

    fresh: a reading was asked for: of what is dear, kept values with their age are taken. False: the regular sample,
    which reads what is dear when its pace lets it. pace: None reads everything. later: does in another thread what is
    read apart.
    Never raises for what the target or the kernel does: that is under `missing`, and counted in the ledger.
    """
    look = Look(watched, taskstats, fresh)
    at_s = time.monotonic()
    values: dict[str, Value] = {}
    due_in_s: dict[str, float] = {}
    for source in sources:
        kept = watched.kept.get(source.name)
        if pace and source.budget and kept and not _is_now(look, source, source.budget, ledger, pace, later):
            found, missing = kept.values, kept.missing
            if fresh:
                age = f"read {at_s - kept.at_s:.1f} s ago: reading it takes too long for a reading"
                look.notes |= dict.fromkeys(found, age)
                left_s = pace.due_in_s(source.name, watched.target.name, source.budget)
                due_in_s |= dict.fromkeys(found, left_s)
        else:
            found, missing = _read(look, source, ledger, pace)
        values |= found
        look.missing |= missing
    for source_name in look.errors:
        ledger.failed(source_name)
    notes = {name: note for name, note in look.notes.items() if name in values}
    return Reading(at_s, values, look.missing, notes, due_in_s)


def _is_now(look: Look, source: Source, budget: Budget, ledger: Ledger, pace: Pace, later: Later) -> bool:
    """Tell whether a dear source is read now; where it is read apart, have that begin, and what is kept is taken."""
    watched = look.watched
    if not pace.is_due(source.name, watched.target.name, budget, fresh=look.fresh):
        return False
    if not budget.is_apart:
        return True
    pace.begin(source.name, watched.target.name)
    apart = Look(watched, look.taskstats, fresh=False, members=dict(look.members))
    later(lambda: _read_apart(apart, source, ledger, pace))
    return False


def _read_apart(look: Look, source: Source, ledger: Ledger, pace: Pace) -> None:
    if not look.watched.is_let_go:
        _read(look, source, ledger, pace)


def _read(
    look: Look, source: Source, ledger: Ledger, pace: Pace | None
) -> tuple[dict[str, Value], dict[str, str]]:  # fmt: skip
    """Return what a source gives and what it could not, by name; keep it where it is dear."""
    at_s, started_s = time.monotonic(), time.thread_time()
    found: dict[str, Value] = {}
    missing: dict[str, str] = {}
    try:
        found = source.read(look)
    except Absent as why:
        missing = dict.fromkeys(source.gives, str(why))
    except (OSError, Unavailable, Malformed, KeyError, ValueError) as why:
        # That a server ended is its own news (up is 0), not a failure to read it.
        if look.members or source.name == SOURCES[0].name:
            ledger.failed(source.name)
        missing = dict.fromkeys(source.gives, reason(why))
    missing |= {name: look.missing[name] for name in source.gives if name in look.missing}
    cost_s = time.thread_time() - started_s  # breaks, and waiting for a CPU, are no cost of ours
    ledger.spent(source.name, cost_s)
    if pace and source.budget and not look.watched.is_let_go:
        look.watched.kept[source.name] = Kept(at_s, found, missing)
        pace.spent(source.name, look.watched.target.name, source.budget, cost_s)
    return found, missing


def reason(why: Exception) -> str:
    """Say in one line why something could not be read."""
    if isinstance(why, KeyError):
        return f"the kernel's text has no {why}"
    return f"{type(why).__name__}: {why}" if isinstance(why, OSError) else str(why)
