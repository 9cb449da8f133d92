"""The master's books: what workers reported, and the windows with their parts.

Pure: messages in, JSON-ready values out. Workers are known by Locust's client id, `<name>_<hex>`; people read the name.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swarm.settings import BadSettings

KEPT_WINDOWS = 16  # the orchestrator reads a window right after it closed


def short_name(client_id: str) -> str:
    """Return the readable part of a Locust client id."""
    return client_id.rpartition("_")[0] or client_id


def short_names(client_ids: Iterable[str]) -> dict[str, str]:
    """Return client id -> name; where a name would be shared, all but the first keep the whole id."""
    names: dict[str, str] = {}
    for client_id in client_ids:
        name = short_name(client_id)
        names[client_id] = client_id if name in names.values() else name
    return names


@dataclass(slots=True)
class Window:
    """One window: whom it was sent to, and what came back. parts: client id -> part."""

    window_id: str
    start_s: float
    end_s: float
    parts: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def message(self) -> dict[str, Any]:
        return {"window_id": self.window_id, "start_s": self.start_s, "end_s": self.end_s}

    def summary(self) -> dict[str, Any]:
        """Return what GET /lab/window/<id> answers: rows of the closed parts, merged."""
        names = short_names(self.parts)
        workers: dict[str, Any] = {}
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for client_id, part in self.parts.items():
            if part is None:
                workers[names[client_id]] = {"closed": False, "cpu_ratio": None}
                continue
            workers[names[client_id]] = {key: part[key] for key in ("closed", "cpu_ratio", "from_s", "to_s")}
            for row in part["rows"]:
                _merge(rows, row)
        return {
            "window_id": self.window_id,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "closed": bool(self.parts) and all(part is not None for part in self.parts.values()),
            "workers": workers,
            "rows": [_render(row) for row in rows.values()],
        }


class Ledger:
    """Reports by client id, and the last windows by id; `current` is the one opened last."""

    def __init__(self) -> None:
        self.reports: dict[str, dict[str, Any]] = {}
        self.windows: OrderedDict[str, Window] = OrderedDict()
        self.current: Window | None = None

    def open_window(self, told: Any, workers: Iterable[str]) -> tuple[Window, bool]:
        """Return the window that a request body asks for, and whether it is new.

        Raises BadSettings for a body that is wrong, or an id that was used with other times.
        """
        window = _parse_window(told)
        known = self.windows.get(window.window_id)
        if known is not None:
            if (known.start_s, known.end_s) != (window.start_s, window.end_s):
                raise BadSettings(f"window {window.window_id!r} exists with other times; take a new id")
            return known, False
        window.parts = dict.fromkeys(workers)
        self.windows[window.window_id] = window
        while len(self.windows) > KEPT_WINDOWS:
            self.windows.popitem(last=False)
        self.current = window
        return window, True

    def take_report(self, client_id: str, report: dict[str, Any]) -> Window | None:
        """Keep a worker's report; return the window that this worker does not know yet, if any."""
        self.reports[client_id] = report
        if self.current is None:
            return None
        self.current.parts.setdefault(client_id, None)
        return self.current if report["window_id"] != self.current.window_id else None

    def take_part(self, client_id: str, part: dict[str, Any]) -> None:
        """Keep a scored part; the first one of a worker counts."""
        window = self.windows.get(part["window_id"])
        if window is not None and window.parts.get(client_id) is None:
            window.parts[client_id] = part

    def forget_all_but(self, client_ids: Iterable[str]) -> None:
        """Drop the reports of workers that are gone, except what still counts for the current window."""
        known = set(client_ids)
        for client_id in [gone for gone in self.reports if gone not in known]:
            report = self.reports[client_id]
            if self.current is None or report["window_id"] != self.current.window_id:
                del self.reports[client_id]
                continue
            for row in report["rows"]:
                row.update(users=0, connecting=0, established=0)

    def connections(self) -> dict[str, int]:
        """Return the sums over all workers; answered and failed since the last window was opened."""
        sums = {"connecting": 0, "established": 0, "answered": 0, "failed": 0}
        window_id = self.current.window_id if self.current else None
        for report in self.reports.values():
            for row in report["rows"]:
                sums["connecting"] += row["connecting"]
                sums["established"] += row["established"]
                if report["window_id"] == window_id:
                    sums["answered"] += row["answered"]
                    sums["failed"] += row["failed"]
        return sums

    def by_variant(self, key: str) -> Counter[str]:
        """Return variant -> the sum of one field over all workers."""
        sums: Counter[str] = Counter()
        for report in self.reports.values():
            for row in report["rows"]:
                sums[row["variant"]] += row[key]
        return sums


def _parse_window(told: Any) -> Window:
    if not isinstance(told, Mapping):
        raise BadSettings(f"expected a JSON object with window_id, start_s and end_s, saw {told!r}")
    window_id, start_s, end_s = told.get("window_id"), told.get("start_s", 0), told.get("end_s", 0)
    if not isinstance(window_id, str) or not 0 < len(window_id) <= 200 or "/" in window_id:
        raise BadSettings(f"window_id: expected a name without '/', saw {window_id!r}")
    for name, value in (("start_s", start_s), ("end_s", end_s)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
            raise BadSettings(f"{name}: expected CLOCK_MONOTONIC seconds, saw {value!r}")
    if not start_s < end_s:
        raise BadSettings(f"expected start_s before end_s, saw {start_s} and {end_s}")
    return Window(window_id, float(start_s), float(end_s))


def _merge(rows: dict[tuple[str, str], dict[str, Any]], row: dict[str, Any]) -> None:
    total = rows.setdefault(
        (row["variant"], row["name"]),
        {
            "variant": row["variant"],
            "name": row["name"],
            "histogram_us": Counter(),
            "errors": Counter(),
            "connections_opened": 0,
            "in_flight": 0,
            "oldest_in_flight_us": None,
        },
    )
    total["histogram_us"].update(row["histogram_us"])
    total["errors"].update(row["errors"])
    total["connections_opened"] += row["connections_opened"]
    total["in_flight"] += row["in_flight"]
    oldest = [age for age in (total["oldest_in_flight_us"], row["oldest_in_flight_us"]) if age is not None]
    total["oldest_in_flight_us"] = max(oldest, default=None)


def _render(row: dict[str, Any]) -> dict[str, Any]:
    histogram = row["histogram_us"]
    return row | {
        "answered": sum(histogram.values()),
        "histogram_us": {str(latency_us): histogram[latency_us] for latency_us in sorted(histogram)},
        "errors": dict(row["errors"]),
    }
