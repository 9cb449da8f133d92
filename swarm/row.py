"""What is counted together: one variant under one name.

`AnyRow` is what the recorder and the worker ask of a row; `Row` is filled by Python, one exchange at a time, and
swarm/engine_row.py's by the engine. A histogram is whole microseconds -> count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import ItemsView, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from swarm.kinds import UNANSWERED


class Exchange(Protocol):
    """Something that may be waiting for an answer: started_ns is 0 while it is not."""

    started_ns: int


class Histogram(Protocol):
    """Whole microseconds -> count: a dict, or the engine's cells."""

    def items(self) -> ItemsView[int, int] | Iterator[tuple[int, int]]: ...


@dataclass(slots=True)
class Piece:
    """What one row gathered since the last take."""

    histogram_us: Histogram  # right answers
    failed_us: Histogram  # how long the wrong and missing ones took
    errors: dict[str, int]
    lag_us: Histogram = field(default_factory=dict)  # from plan to send; only what follows a schedule has one
    planned: int = 0
    sent: int = 0
    late: int = 0
    dropped: int = 0
    body_bytes: int | None = None  # of the right answers, where they are not all of one size


class AnyRow(Protocol):
    """What the worker and the recorder ask of a row, whoever fills it."""

    variant: str
    name: str
    method: str
    title: str
    body_bytes: int
    users: int
    is_logged: bool  # Locust's statistics have these requests already

    def take(self) -> Piece:
        """Return what was gathered since the last take, and start anew."""

    def begin_window(self) -> None:
        """Restart what is counted since the last window was opened."""

    def standing(self) -> dict[str, Any]:
        """Return the counts for the master's books (LIVE and SINCE)."""

    def part(self, start_ns: int, to_ns: int, *, count_unanswered: bool) -> dict[str, Any]:
        """Return the scored part of a window that has ended, for the master. to_ns: when scoring really ended."""

    def pending(self) -> int:
        """Return how many exchanges planned in the window have no outcome yet; 0 for rows without a schedule."""


LIVE = ("users", "connecting", "established", "waiting")  # now
FAILED_CONNECT = " in connect"  # how the kinds of errors end that are a connect's (kinds.name_errno)
SINCE = ("answered", "failed", "planned", "sent", "late", "dropped")  # since the last window was opened


class Row:
    """The record of one variant under one name."""

    __slots__ = (
        "_body_bytes",
        "_errors",
        "_failed_us",
        "_histogram_us",
        "answered",
        "body_bytes",
        "connecting",
        "connects_failed",
        "established",
        "failed",
        "first_connect_ns",
        "holds",
        "is_logged",
        "last_established_ns",
        "method",
        "name",
        "open",
        "opened",
        "scored_errors",
        "scored_us",
        "sent",
        "title",
        "users",
        "variant",
    )

    def __init__(self, variant: str, name: str, method: str = "GET", *, holds: bool = False, body_bytes: int = 13):
        self.variant, self.name, self.method, self.holds, self.body_bytes = variant, name, method, holds, body_bytes
        self.title = f"{variant} {name}"  # Locust's table and errors have one name per row
        self.is_logged = False
        self.users = self.connecting = self.established = self.opened = self.answered = self.failed = self.sent = 0
        self.connects_failed = 0
        self._body_bytes: int | None = None  # of right answers; None: they are all of one size
        self.first_connect_ns = self.last_established_ns = 0
        self.open: set[Exchange] = set()
        self.scored_us: dict[int, int] = defaultdict(int)
        self.scored_errors: dict[str, int] = defaultdict(int)
        self.take()

    def count_body(self, length: int) -> None:
        """Add the body of one right answer, in bytes; for requests whose answers are not all of one size."""
        self._body_bytes = (self._body_bytes or 0) + length

    def take(self) -> Piece:
        """Return what was gathered since the last take, and start anew; constant time."""
        piece = None
        if hasattr(self, "_errors"):
            piece = Piece(self._histogram_us, self._failed_us, self._errors, body_bytes=self._body_bytes)
        self._body_bytes = None
        self._histogram_us: dict[int, int] = defaultdict(int)
        self._failed_us: dict[int, int] = defaultdict(int)
        self._errors: dict[str, int] = defaultdict(int)
        return piece or Piece({}, {}, {})

    def begin_window(self) -> None:
        self.answered = self.failed = self.sent = self.connects_failed = 0
        self.first_connect_ns = self.last_established_ns = 0
        self.scored_us, self.scored_errors = defaultdict(int), defaultdict(int)

    def standing(self) -> dict[str, Any]:
        told = {
            key: getattr(self, key, 0)
            for key in ("variant", "name", "method", *LIVE, *SINCE, "opened", "connects_failed")
        }
        # A hold's exchange begins before its connect: those that still connect have not asked.
        told["waiting"] = max(0, sum(1 for exchange in self.open if exchange.started_ns) - self.connecting)
        return told | {
            "first_connect_s": self.first_connect_ns / 1e9 or None,
            "last_established_s": self.last_established_ns / 1e9 or None,
        }

    def pending(self) -> int:
        return 0

    def part(self, start_ns: int, to_ns: int, *, count_unanswered: bool) -> dict[str, Any]:
        waiting = [exchange.started_ns for exchange in self.open if 0 < exchange.started_ns < to_ns]
        if self.holds and count_unanswered:
            missing = sum(1 for started_ns in waiting if started_ns >= start_ns)
            if missing:
                self.scored_errors[UNANSWERED] += missing
        return {
            "variant": self.variant,
            "name": self.name,
            "answered": sum(self.scored_us.values()),
            "histogram_us": dict(self.scored_us),
            "errors": dict(self.scored_errors),
            "connections_opened": self.opened,
            "in_flight": len(waiting),
            "oldest_in_flight_us": (to_ns - min(waiting)) // 1000 if waiting else None,
            "planned": 0,
            "sent": self.sent,
            "late": 0,
            "dropped": 0,
            "unanswered": len(waiting),
            "lag_us": {},
        }
