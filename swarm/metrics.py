"""Turn the workers' deltas into Prometheus text.

Text format: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4), written by hand. Every series
carries run_id, scenario and variant; counters only grow until `set_labels` names another run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from swarm.bulk import LADDER_S
from swarm.catalogue import DURATION, ERRORS, RESPONSE_BYTES, SCHEDULE, SCHEDULE_LAG, Metric
from swarm.settings import BadSettings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[tuple[str, str], ...]
Gauges = Mapping[Metric, Mapping[tuple[str, Labels], float]]


class Metrics:
    """Counters since this run began.

    scenario: the label given by set_labels; without one, what each worker says it runs.
    """

    def __init__(self) -> None:
        self.run_id = "arena"
        self.scenario: str | None = None
        self._buckets: dict[Labels, list[int]] = {}
        self._sums_us: dict[Labels, int] = {}
        self._errors: dict[Labels, int] = {}
        self._bytes: dict[Labels, int] = {}
        self._schedule: dict[str, dict[Labels, int]] = {word: {} for word in SCHEDULE}
        self._lag_buckets: dict[Labels, list[int]] = {}
        self._lag_sums_us: dict[Labels, int] = {}

    def set_labels(self, told: Any) -> None:
        """Name the run and the scenario from now on. Raises BadSettings."""
        if not isinstance(told, Mapping):
            raise BadSettings(f"expected a JSON object with run_id and scenario, saw {told!r}")
        run_id, scenario = told.get("run_id"), told.get("scenario")
        if not isinstance(run_id, str) or not 0 < len(run_id) <= 200:
            raise BadSettings(f"run_id: expected a name, saw {run_id!r}")
        if scenario is not None and (not isinstance(scenario, str) or len(scenario) > 200):
            raise BadSettings(f"scenario: expected a name or nothing, saw {scenario!r}")
        if run_id != self.run_id:
            self._buckets, self._sums_us, self._errors, self._bytes = {}, {}, {}, {}
            self._schedule, self._lag_buckets, self._lag_sums_us = {word: {} for word in SCHEDULE}, {}, {}
        self.run_id, self.scenario = run_id, scenario or None

    def add(self, report: Mapping[str, Any]) -> None:
        """Add one worker's deltas."""
        scenario = self.scenario or report["scenario"] or ""
        for row in report["rows"]:
            if row["users"]:
                self._begin((*self._base(scenario, row["variant"]), ("method", row["method"]), ("name", row["name"])))
        for delta in report["deltas"]:
            base = self._base(scenario, delta["variant"])
            named = (*base, ("method", delta["method"]), ("name", delta["name"]))
            if delta["answered"]:
                self._bytes[named] = self._bytes.get(named, 0) + delta["body_bytes"]
            for outcome in ("answered", "failed"):
                if not delta[outcome]:
                    continue
                labels = (*named, ("outcome", outcome))
                _pile(self._buckets, labels, delta[outcome])
                self._sums_us[labels] = self._sums_us.get(labels, 0) + delta[f"{outcome}_sum_us"]
            for kind, count in delta["errors"].items():
                labels = (*base, ("kind", kind))
                self._errors[labels] = self._errors.get(labels, 0) + count
            if not delta["lag"] and not any(delta[word] for word in SCHEDULE):
                continue  # this row follows no schedule
            for word, series in self._schedule.items():
                series[base] = series.get(base, 0) + delta[word]
            _pile(self._lag_buckets, base, delta["lag"])
            self._lag_sums_us[base] = self._lag_sums_us.get(base, 0) + delta["lag_sum_us"]

    def _begin(self, named: Labels) -> None:
        """Let a row's counters begin at nothing: Prometheus takes one that is born with a value for no growth at all,
        and a hold's answers may all come between two of its looks."""
        for outcome in ("answered", "failed"):
            labels = (*named, ("outcome", outcome))
            _pile(self._buckets, labels, {})
            self._sums_us.setdefault(labels, 0)
        self._bytes.setdefault(named, 0)

    def render(self, scenario: str, gauges: Gauges) -> str:
        """Return the exposition. gauges: metric -> {(variant, further labels): value}."""
        lines: list[str] = []
        for metric, buckets, sums_us in (
            (DURATION, self._buckets, self._sums_us),
            (SCHEDULE_LAG, self._lag_buckets, self._lag_sums_us),
        ):
            name = metric.name
            lines += metric.head()
            for labels, piled in buckets.items():
                running = 0
                for edge, count in zip((*map(repr, LADDER_S), "+Inf"), piled, strict=True):
                    running += count
                    lines.append(f"{name}_bucket{_braces((*labels, ('le', edge)))} {running}")
                lines.append(f"{name}_sum{_braces(labels)} {sums_us[labels] / 1e6!r}")
                lines.append(f"{name}_count{_braces(labels)} {running}")
        counters = {metric: self._schedule[word] for word, metric in SCHEDULE.items()}
        for metric, counts in (counters | {RESPONSE_BYTES: self._bytes, ERRORS: self._errors}).items():
            lines += metric.head()
            lines += [f"{metric.name}{_braces(labels)} {count}" for labels, count in counts.items()]
        for metric, series in gauges.items():
            lines += metric.head()
            for (variant, further), value in series.items():
                labels = self._base(self.scenario or scenario, variant) + further
                lines.append(f"{metric.name}{_braces(labels)} {value!r}")
        return "\n".join(lines) + "\n"

    def _base(self, scenario: str, variant: str) -> Labels:
        return (("run_id", self.run_id), ("scenario", scenario), ("variant", variant))


def _pile(series: dict[Labels, list[int]], labels: Labels, sparse: Mapping[int, int]) -> None:
    buckets = series.setdefault(labels, [0] * (len(LADDER_S) + 1))
    for rung, count in sparse.items():
        buckets[int(rung)] += count


def _braces(labels: Iterable[tuple[str, str]]) -> str:
    return "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
