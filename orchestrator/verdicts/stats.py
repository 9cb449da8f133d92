"""Turn a kept run into the figures that are charted beside the live one: lab_run_info and lab_run_stat.

One figure for each variant and scenario, as `summarise_run` combines them; what was not measured has no figure. Units
are in the names, as Prometheus wants them. Who serves them: docs/decisions/0009.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.model import Metrics, Run
from orchestrator.verdicts.summary import Summary, summarise_run

VERSION = 1  # of what STATS means; figures kept under another one are made anew


def _errors_ratio(metrics: Metrics) -> float | None:
    """Return the share of wrong or missing answers, None where nothing was asked."""
    return sum(metrics.errors.values()) / metrics.requests if metrics.requests else None


# Label stat -> how it is read. What each means and in which unit: model/seen.py, Metrics.
STATS: Mapping[str, Callable[[Metrics], float | None]] = {
    "throughput_per_second": lambda m: m.throughput_per_s,
    "p50_seconds": lambda m: m.p50_s,
    "p99_seconds": lambda m: m.p99_s,
    "p999_seconds": lambda m: m.p999_s,
    "errors_ratio": _errors_ratio,
    "connections_held": lambda m: m.connections_held,
    "established_seconds": lambda m: m.established_s,
    "breaking_point": lambda m: m.breaking_point,
    "threads_peak": lambda m: m.threads_peak,
    "memory_bytes": lambda m: m.memory_bytes,
    "memory_bytes_per_connection": lambda m: m.memory_bytes_per_connection,
    "cpu_seconds_per_10k_requests": lambda m: m.cpu_s_per_10k_requests,
    "context_switches_per_request": lambda m: m.context_switches_per_request,
}
# Every row has these three; the first is when the run began, in seconds since 1970.
START, VALID, VOID = "start_time_seconds", "trials_valid", "trials_void"


@dataclass(frozen=True, slots=True)
class Stat:
    """One figure of a run."""

    scenario: str
    variant: str  # as tables call the row: "c-epoll", or "c-epoll without somaxconn" in an ablation
    stat: str
    value: float


def run_stats(run: Run) -> tuple[Stat, ...]:
    """Return a run's figures, rows in the order of its plan; pairings without a finished trial have none."""
    began = {START: datetime.fromisoformat(run.started_at).timestamp()}
    return tuple(
        Stat(row.scenario, row.label, stat, float(value))
        for row in summarise_run(run)
        if row.finished
        for stat, value in {**began, VALID: row.valid, VOID: row.void, **_measured(row)}.items()
    )


def describe_run(run: Run) -> dict[str, object]:
    """Return a run as the exporter is told of it: what it is known by, and its figures."""
    return {
        "run_id": run.run_id,
        "suite": run.suite,
        "started_at": run.started_at,
        "finished": "yes" if run.finished_at else "no",
        "kernel": str(run.host.get("kernel", "")),
        "stats": [
            {"scenario": s.scenario, "variant": s.variant, "stat": s.stat, "value": s.value} for s in run_stats(run)
        ],
    }


def _measured(row: Summary) -> dict[str, float]:
    found = {stat: read(row.metrics) for stat, read in STATS.items()}
    return {stat: value for stat, value in found.items() if value is not None}
