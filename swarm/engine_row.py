"""A row that the engine fills: beside swarm/row.py's, so that statistics, windows and reports stay one path."""

from __future__ import annotations

from typing import Any

from swarm.engine.binding import Engine
from swarm.kinds import UNANSWERED
from swarm.row import FAILED_CONNECT, LIVE, SINCE, Piece

COUNTED = tuple(name for name in (*LIVE, *SINCE) if name != "users")


class EngineRow:
    """One variant under one name, counted by one engine row, which is used again in the next test.

    is_scheduled: exchanges are planned, so a window's part waits for the outcome of each.
    """

    is_logged = False

    def __init__(
        self, engine: Engine, variant: str, name: str, *, holds: bool, is_scheduled: bool, body_bytes: int = 13
    ):
        self.variant, self.name, self.method, self.holds, self.body_bytes = variant, name, "GET", holds, body_bytes
        self.title = f"{variant} {name}"
        self.is_scheduled = is_scheduled
        self.users = 0
        self._engine = engine
        self._number = engine.add_row(by_start=holds)
        self._opened_before = 0
        self._connects_failed = 0

    @property
    def number(self) -> int:
        """The engine's number of this row."""
        return self._number

    def begin_test(self) -> None:
        """Forget what an earlier test left; its connections may still be closing."""
        self.take()
        self._connects_failed = 0
        self._opened_before = self._engine.counts(self._number)["opened"]

    def take(self) -> Piece:
        record = self._engine.take(self._number)
        self._connects_failed += sum(n for kind, n in record.errors.items() if kind.endswith(FAILED_CONNECT))
        return Piece(
            histogram_us=record.answered_us,
            failed_us=record.failed_us,
            errors=record.errors,
            lag_us=record.lag_us,
            planned=record.planned,
            sent=record.sent,
            late=record.late,
            dropped=record.dropped,
        )

    def begin_window(self) -> None:
        """The engine restarted its own counts when it was told of the window."""
        self._connects_failed = 0

    def standing(self) -> dict[str, Any]:
        counts = self._engine.counts(self._number)
        return {key: counts[key] for key in COUNTED} | {
            "variant": self.variant,
            "name": self.name,
            "method": self.method,
            "users": self.users,
            "opened": counts["opened"] - self._opened_before,
            "connects_failed": self._connects_failed,
            "first_connect_s": counts["first_connect_ns"] / 1e9 or None,
            "last_established_s": counts["last_established_ns"] / 1e9 or None,
        }

    def pending(self) -> int:
        return self._engine.scored(self._number).unanswered if self.is_scheduled else 0

    def part(self, start_ns: int, to_ns: int, *, count_unanswered: bool) -> dict[str, Any]:
        record = self._engine.scored(self._number)
        errors, dropped = dict(record.errors), record.dropped
        if self.is_scheduled:
            # Patience is over: what was sent will have no answer, and what was not will not be sent.
            unsent = max(0, min(record.unanswered, record.planned - record.sent - record.dropped))
            missing, dropped = record.unanswered - unsent, dropped + unsent
        else:
            missing = record.unanswered if self.holds and count_unanswered else 0
        if missing:
            errors[UNANSWERED] = errors.get(UNANSWERED, 0) + missing
        histogram, counts = dict(record.answered_us.items()), self._engine.counts(self._number)
        return {
            "variant": self.variant,
            "name": self.name,
            "answered": sum(histogram.values()),
            "histogram_us": histogram,
            "errors": errors,
            "connections_opened": counts["opened"] - self._opened_before,
            "in_flight": record.unanswered,
            "oldest_in_flight_us": (to_ns - record.oldest_ns) // 1000 if record.oldest_ns else None,
            "planned": record.planned,
            "sent": record.sent if self.is_scheduled else counts["sent"],
            "late": record.late,
            "dropped": dropped,
            "unanswered": record.unanswered,
            "lag_us": dict(record.lag_us.items()),
        }
