"""The master's books: what workers reported, and the windows with their parts.

Pure: messages in, JSON-ready values out. Workers are known by Locust's client id, `<name>_<hex>`; people read the name.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swarm.row import LIVE, SINCE
from swarm.settings import BadSettings

KEPT_WINDOWS = 64  # the orchestrator reads a window right after it closed; a ramp has one for each step
SUMMED = ("connections_opened", "in_flight", "planned", "sent", "late", "dropped", "unanswered")
OF_WORKER = ("closed", "cpu_ratio", "engine_cpu_ratio", "memory_bytes", "from_s", "to_s", "cpus")


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

    def summary(self, *, with_rows: bool = True) -> dict[str, Any]:
        """Return what GET /lab/window/<id> answers: rows of the closed parts, merged.

        with_rows: a million latencies that are nearly all different take seconds to merge and to write; who only waits
        for the parts goes without.
        """
        names = short_names(self.parts)
        workers: dict[str, Any] = {}
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for client_id, part in self.parts.items():
            if part is None:
                workers[names[client_id]] = dict.fromkeys(OF_WORKER[:4]) | {"closed": False}
                continue
            workers[names[client_id]] = {key: part.get(key) for key in OF_WORKER}
            for row in part["rows"] if with_rows else ():
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
                row.update(dict.fromkeys(LIVE, 0))

    def connections(self) -> dict[str, Any]:
        """Return the sums over all workers, as GET /lab/state shows them; see swarm/row.py, LIVE and SINCE."""
        return self._sum(None)

    def by_row(self) -> list[dict[str, Any]]:
        """Return the same for each variant, in the order of their names."""
        variants = sorted({row["variant"] for report in self.reports.values() for row in report["rows"]})
        users = self.by_variant("users")
        return [{"variant": variant, "users": users[variant]} | self._sum(variant) for variant in variants]

    def _sum(self, variant: str | None) -> dict[str, Any]:
        live = [key for key in LIVE if key != "users"]
        sums: dict[str, Any] = dict.fromkeys((*live, *SINCE), 0)
        firsts, lasts = [], []
        window_id = self.current.window_id if self.current else None
        for report in self.reports.values():
            for row in report["rows"]:
                if variant is not None and row["variant"] != variant:
                    continue
                for key in live:
                    sums[key] += row[key]
                if report["window_id"] != window_id:
                    continue
                for key in SINCE:
                    sums[key] += row[key]
                firsts += [row["first_connect_s"]] if row["first_connect_s"] else []
                lasts += [row["last_established_s"]] if row["last_established_s"] else []
        return sums | {"first_connect_s": min(firsts, default=None), "last_established_s": max(lasts, default=None)}

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
            "lag_us": Counter(),
            "oldest_in_flight_us": None,
        }
        | dict.fromkeys(SUMMED, 0),
    )
    for key in ("histogram_us", "errors", "lag_us"):
        total[key].update(row[key])
    for key in SUMMED:
        total[key] += row[key]
    oldest = [age for age in (total["oldest_in_flight_us"], row["oldest_in_flight_us"]) if age is not None]
    total["oldest_in_flight_us"] = max(oldest, default=None)


def _render(row: dict[str, Any]) -> dict[str, Any]:
    return row | {
        "answered": sum(row["histogram_us"].values()),
        "histogram_us": _sorted(row["histogram_us"]),
        "lag_us": _sorted(row["lag_us"]),
        "errors": dict(row["errors"]),
    }


def _sorted(histogram: Mapping[int, int]) -> dict[str, int]:
    return {str(value_us): histogram[value_us] for value_us in sorted(histogram)}
