"""Turn what was counted in one trial into its metrics, with a reason beside each one that is missing.

Pure: plain numbers in, `Metrics` out. Readings come from the exporter, rows from the swarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from orchestrator.model import Metrics, Scenario, Step
from orchestrator.verdicts.histogram import quantile_s

Values = Mapping[str, float]
Found = dict[str, float | int | None]

_ONE_EACH = "hold: each connection asks once, so the delay sets the rate"
_ONLY_HOLD = "too few connections to tell memory per connection from noise; hold scenarios measure it"
_PLANNING = ("planned", "sent", "late", "dropped", "lag_p99_s")
_NO_PLAN = "only open and storm scenarios plan arrivals"
_NO_RAMP = "only a ramp has a breaking point"
_NOT_TIMED = "the swarm did not say when its connections were open"
_ONLY_TIMED = "only hold scenarios time the opening of all connections"
_NOT_WEIGHED = "the swarm did not say how much memory its workers take"
_AS_NEEDED = "as many of the pool are open as arrivals need"
_ALL_STEPS = "ramp: the server's costs are those of all steps together, at different loads"
_NO_STATE = "the swarm does not know how many are open"
_NO_STEP = "no step of the ramp held"
_MEMORY_PARTS = ("memory_user_bytes", "memory_kernel_bytes", "memory_socket_bytes")
_NO_SOCKETS = "cgroup v1 charges socket memory to nobody unless memory.kmem.tcp.limit_in_bytes is set"
_NO_DUMP = "the exporter's inet_diag did not tell either"
_ONLY_HELD = "only holds look at sockets by inet_diag, with all of them open"
# A note of the trials whose socket memory is not their cgroup's.
SOCKETS_BY_DIAG = "socket memory as inet_diag sums it: cgroup v1 charges it to nobody, so it is not in the memory"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What became of the arrivals planned in a window (open, storm)."""

    planned: int = 0
    sent: int = 0
    late: int = 0
    dropped: int = 0
    lag_us: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sockets:
    """The server's ends of its connections, as one dump by inet_diag saw them."""

    established: int
    memory_bytes: float  # received and unread, queued to send, set aside ahead, behind a busy lock


@dataclass(frozen=True, slots=True)
class Counted:
    """Everything one trial counted.

    idle, first, held, last: values of readings before the load, when scoring began, with the connections open (hold)
    and at the end; None where there is none. established: connections open at `held` (hold), in the window (closed,
    open, storm) or in the last step that held (ramp). The histogram and errors of a ramp are that step's.
    """

    scenario: Scenario
    histogram_us: Mapping[int, int]
    errors: Mapping[str, int]
    established: int | None
    idle: Values | None
    first: Values | None
    held: Values | None
    last: Values | None
    arrivals: Arrivals = Arrivals()
    steps: tuple[Step, ...] = ()
    breaking_point: float | None = None
    established_s: float | None = None
    generator_memory_bytes: int | None = None
    sockets: Sockets | None = None  # hold: the last dump before `held` was over


def measure(counted: Counted) -> tuple[Metrics, dict[str, str]]:
    """Return the metrics and, for each that is None, the reason."""
    scenario = counted.scenario
    answered = sum(counted.histogram_us.values())
    wrong = sum(counted.errors.values())
    missing = _inapplicable(scenario)
    values: Found = {
        "requests": answered + wrong,
        "established_s": counted.established_s,
        "generator_memory_bytes": counted.generator_memory_bytes,
    }
    too_few = _NO_STEP if scenario.kind == "ramp" and counted.breaking_point is None else _too_few(answered, wrong)
    for name, q in (("p50_s", 0.5), ("p99_s", 0.99), ("p999_s", 0.999)):
        if too_few is None:
            values[name] = quantile_s(counted.histogram_us, q)
        else:
            missing[name] = too_few
    if scenario.kind == "hold":
        _hold(counted, answered, values, missing)
    elif scenario.kind == "ramp":
        _ramp(counted, values, missing)
    else:
        values["throughput_per_s"] = answered / scenario.measure_s
        _connections(counted, answered, values, missing)
    if scenario.kind in ("open", "storm"):
        _arrivals(counted.arrivals, values, missing)
    _costs(counted, answered, too_few, values, missing)
    metrics = Metrics(errors=dict(counted.errors), **values)  # type: ignore[arg-type]  # built by name
    for one in fields(Metrics):
        if getattr(metrics, one.name) is None:
            missing.setdefault(one.name, "not recorded")
    return metrics, {k: v for k, v in missing.items() if getattr(metrics, k) is None}


def _inapplicable(scenario: Scenario) -> dict[str, str]:
    """Return the reasons of figures that the scenario's kind does not have, or that nobody reported."""
    reasons = {"generator_memory_bytes": _NOT_WEIGHED}
    reasons["established_s"] = _NOT_TIMED if scenario.kind == "hold" else _ONLY_TIMED
    if scenario.kind not in ("open", "storm"):
        reasons.update(dict.fromkeys(_PLANNING, _NO_PLAN))
    if scenario.kind != "ramp":
        reasons["breaking_point"] = _NO_RAMP
    if scenario.kind == "hold":
        reasons["throughput_per_s"] = _ONE_EACH
    else:
        reasons["memory_bytes_per_connection"] = f"{scenario.kind}: {_ONLY_HOLD}"
    return reasons


def _hold(counted: Counted, answered: int, values: Found, missing: dict[str, str]) -> None:
    """Each connection has one outcome: held ones were answered rightly."""
    values["connections_requested"] = counted.scenario.connections
    values["connections_held"] = answered
    values["connections_failed"] = counted.scenario.connections - answered
    memory, reason = _memory_per_connection(counted)
    values["memory_bytes_per_connection"] = memory
    if reason:
        missing["memory_bytes_per_connection"] = reason


def _connections(counted: Counted, answered: int, values: Found, missing: dict[str, str]) -> None:
    """closed: users and how many of them are connected. open: a pool. storm: each planned connect has one outcome."""
    kind, requested = counted.scenario.kind, counted.scenario.connections
    if kind == "storm":
        planned = counted.arrivals.planned
        values |= {"connections_requested": planned, "connections_held": answered}
        values["connections_failed"] = planned - answered
        return
    values["connections_requested"] = requested
    if counted.established is None:
        missing["connections_held"] = missing["connections_failed"] = _NO_STATE
        return
    held = min(counted.established, requested)
    values["connections_held"] = held
    if kind == "open":
        missing["connections_failed"] = f"open: {_AS_NEEDED}"
    else:
        values["connections_failed"] = requested - held


def _ramp(counted: Counted, values: Found, missing: dict[str, str]) -> None:
    """The last step that held stands for the trial: what it offered, answered and had open."""
    held = [step for step in counted.steps if not step.binds]
    missing["connections_failed"] = f"ramp: {_AS_NEEDED}"
    if counted.breaking_point is None or not held:
        first = next(iter(counted.steps), None)  # none: somebody stopped it
        why = _NO_STEP + (f": {first.binds} bound at the first, {first.offered:,.10g}" if first else "")
        missing |= dict.fromkeys(("breaking_point", "throughput_per_s", "connections_held"), why)
        missing["connections_requested"] = why
        return
    step = held[-1]
    values["breaking_point"] = counted.breaking_point
    values["throughput_per_s"] = step.answered_per_s
    values["connections_held"] = step.established
    of_connections = counted.scenario.ramp is not None and counted.scenario.ramp.of == "connections"
    values["connections_requested"] = round(step.offered) if of_connections else counted.scenario.connections


def _arrivals(arrivals: Arrivals, values: Found, missing: dict[str, str]) -> None:
    """Planned, sent, late and dropped as counted; the lag of what was sent."""
    values |= {name: getattr(arrivals, name) for name in ("planned", "sent", "late", "dropped")}
    if arrivals.lag_us:
        values["lag_p99_s"] = quantile_s(arrivals.lag_us, 0.99)
    else:
        missing["lag_p99_s"] = "nothing was sent in the window"


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
    values: Found,
    missing: dict[str, str],
) -> None:
    """Add what the server spent: threads, CPU, switches."""
    last = counted.last
    if last is None:
        why = "the exporter gave no reading at the end"
        for name in ("threads_peak", "memory_bytes", "cpu_s_per_10k_requests", "context_switches_per_request"):
            missing[name] = why
        missing |= dict.fromkeys(_MEMORY_PARTS, why)
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
    _memory_parts(counted, loaded, values, missing)
    if counted.scenario.kind == "ramp":
        missing |= dict.fromkeys(("cpu_s_per_10k_requests", "context_switches_per_request"), _ALL_STEPS)
        return
    before = counted.idle if counted.scenario.kind == "hold" else counted.first
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


def _memory_parts(counted: Counted, loaded: Values, values: Found, missing: dict[str, str]) -> None:
    """Split the server's memory as its cgroup accounts it; what is neither kernel's nor sockets' is user space's.

    Sockets that it does not account are inet_diag's to tell, and then no part of the whole.
    """
    whole, kernel = loaded.get("cgroup_memory_bytes"), loaded.get("cgroup_kernel_memory_bytes")
    sockets = loaded.get("cgroup_sock_bytes")
    if whole is None or kernel is None:
        missing |= dict.fromkeys(_MEMORY_PARTS, "the exporter could not read the cgroup's memory by its parts")
        return
    values["memory_kernel_bytes"] = kernel
    values["memory_user_bytes"] = whole - kernel - (sockets or 0.0)
    if sockets is not None:
        values["memory_socket_bytes"] = sockets
    elif why := _unseen(counted):
        missing["memory_socket_bytes"] = f"{_NO_SOCKETS}; {why}"
    elif counted.sockets is not None:
        values["memory_socket_bytes"] = counted.sockets.memory_bytes


def _unseen(counted: Counted) -> str:
    """Return why no dump tells what the sockets of all open connections take; "" where one does."""
    if counted.held is None:
        return _ONLY_HELD
    if counted.sockets is None:
        return _NO_DUMP
    seen, established = counted.sockets.established, counted.established or 0
    return f"inet_diag's last look saw {seen:,} of {established:,} open" if seen < established else ""


def is_by_diag(counted: Counted, metrics: Metrics) -> bool:
    """Whether the socket memory is inet_diag's sum and not the cgroup's account."""
    return metrics.memory_socket_bytes is not None and "cgroup_sock_bytes" not in (counted.held or counted.last or {})


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
