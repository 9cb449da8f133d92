"""Turn what was counted in one trial into its metrics, with a reason beside each one that is missing.

Pure: plain numbers in, `Metrics` out. Readings come from the exporter, rows from the swarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from orchestrator.model import Metrics, Scenario
from orchestrator.verdicts.histogram import quantile_s

Values = Mapping[str, float]

_ONE_EACH = "hold: each connection asks once, so the delay sets the rate"
_ONLY_HOLD = "closed: too few connections to tell memory per connection from noise; hold scenarios measure it"

_PLANNING = ("planned", "sent", "late", "dropped", "lag_p99_s")
_NO_PLAN = "only open and storm scenarios plan arrivals"
_NO_RAMP = "only a ramp has a breaking point"
_NOT_TIMED = "the swarm did not say when its connections were open"
_NOT_WEIGHED = "the swarm did not say how much memory its workers take"


@dataclass(frozen=True, slots=True)
class Counted:
    """Everything one trial counted.

    idle, first, held, last: values of readings before the load, when scoring began, with the connections open (hold)
    and at the end; None where there is none. established: connections open at `held` (hold) or in the window (closed).
    """

    scenario: Scenario
    histogram_us: Mapping[int, int]
    errors: Mapping[str, int]
    established: int | None
    idle: Values | None
    first: Values | None
    held: Values | None
    last: Values | None


def measure(counted: Counted) -> tuple[Metrics, dict[str, str]]:
    """Return the metrics and, for each that is None, the reason."""
    scenario = counted.scenario
    missing: dict[str, str] = {}
    answered = sum(counted.histogram_us.values())
    wrong = sum(counted.errors.values())
    too_few = _too_few(answered, wrong)
    values: dict[str, float | int | None] = {"requests": answered + wrong}
    for name, q in (("p50_s", 0.5), ("p99_s", 0.99), ("p999_s", 0.999)):
        if too_few is None:
            values[name] = quantile_s(counted.histogram_us, q)
        else:
            missing[name] = too_few
    values["connections_requested"] = scenario.connections
    if scenario.kind == "closed":
        values["throughput_per_s"] = answered / scenario.measure_s
        missing["memory_bytes_per_connection"] = _ONLY_HOLD
        if counted.established is None:
            missing["connections_held"] = missing["connections_failed"] = "the swarm's state could not be read"
        else:
            values["connections_held"] = min(counted.established, scenario.connections)
            values["connections_failed"] = scenario.connections - min(counted.established, scenario.connections)
    else:
        missing["throughput_per_s"] = _ONE_EACH
        values["connections_held"] = answered
        values["connections_failed"] = scenario.connections - answered
        memory, reason = _memory_per_connection(counted)
        values["memory_bytes_per_connection"] = memory
        if reason:
            missing["memory_bytes_per_connection"] = reason
    _costs(counted, answered, too_few, values, missing)
    missing.update(_inapplicable(scenario))
    metrics = Metrics(errors=dict(counted.errors), **values)  # type: ignore[arg-type]  # built by name
    for field in fields(Metrics):
        if getattr(metrics, field.name) is None:
            missing.setdefault(field.name, "not recorded")
    return metrics, {k: v for k, v in missing.items() if getattr(metrics, k) is None}


def _inapplicable(scenario: Scenario) -> dict[str, str]:
    """Return the reasons of figures that the scenario's kind does not have, or that nobody reported."""
    reasons = {"established_s": _NOT_TIMED, "generator_memory_bytes": _NOT_WEIGHED}
    if scenario.kind not in ("open", "storm"):
        reasons.update(dict.fromkeys(_PLANNING, _NO_PLAN))
    if scenario.kind != "ramp":
        reasons["breaking_point"] = _NO_RAMP
    return reasons


def _too_few(answered: int, wrong: int) -> str | None:
    """Return why percentiles and costs per request would mislead, or None.

    Where most requests failed, the few right answers are survivors, and the failures' cost would be counted as theirs.
    """
    if not answered:
        return "no right answer in the window"
    if answered < wrong:
        return f"only {answered} of {answered + wrong} requests were answered rightly: too few to stand for the rest"
    return None


def _costs(
    counted: Counted,
    answered: int,
    too_few: str | None,
    values: dict[str, float | int | None],
    missing: dict[str, str],
) -> None:
    """Add what the server spent: threads, CPU, switches."""
    last = counted.last
    if last is None:
        why = "the exporter gave no reading at the end"
        for name in ("threads_peak", "memory_bytes", "cpu_s_per_10k_requests", "context_switches_per_request"):
            missing[name] = why
        return
    if "threads_peak" in last:
        values["threads_peak"] = int(last["threads_peak"])
    else:
        missing["threads_peak"] = "the exporter could not read it"
    loaded = counted.held or last
    if "cgroup_memory_bytes" in loaded:
        values["memory_bytes"] = loaded["cgroup_memory_bytes"]
    else:
        missing["memory_bytes"] = "the exporter could not read cgroup_memory_bytes"
    before = counted.first if counted.scenario.kind == "closed" else counted.idle
    for name, source, scale in (
        ("cpu_s_per_10k_requests", "cpu_s", 10_000.0),
        ("context_switches_per_request", "context_switches_voluntary", 1.0),
    ):
        if before is None or source not in before or source not in last:
            missing[name] = f"the exporter could not read {source}"
        elif too_few is not None:
            missing[name] = too_few
        else:
            values[name] = (last[source] - before[source]) * scale / answered


def _memory_per_connection(counted: Counted) -> tuple[float | None, str | None]:
    """Return the growth of the server's memory, kernel part included, over the connections open at that moment."""
    name = "cgroup_memory_bytes"
    if counted.held is None or counted.idle is None or name not in counted.held or name not in counted.idle:
        return None, f"the exporter could not read {name}"
    if not counted.established:
        return None, "no connection was open when the reading was taken"
    growth = counted.held[name] - counted.idle[name]
    if growth < 0:
        return None, f"memory shrank by {-growth:.0f} bytes while connections were open: below what can be told"
    return growth / counted.established, None
