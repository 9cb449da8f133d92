"""Carry out one trial: TrialSpec -> TrialResult, in a pod of its own.

Pod, verification, load, gathering, taking down, in this order. Whatever goes wrong with the variant or the swarm makes
the trial void with its reason; only what the whole run depends on (the engine, a limit) is raised.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.containers.launch import ended
from orchestrator.errors import LimitRefused, Lost, NotReady, Refused, Unsupported
from orchestrator.load.master import Row, Window
from orchestrator.model import Metrics, ReadBack, Scenario, TrialResult, TrialSpec, Variant
from orchestrator.observe.exporter_client import Reading
from orchestrator.offer import Load, offer
from orchestrator.offer.phase import TARGET_REFUSED
from orchestrator.pod import Bench, pod_for
from orchestrator.units import format_cpu_list, parse_cpu_list
from orchestrator.verdicts.histogram import mean_s, merge
from orchestrator.verdicts.measured import SOCKETS_BY_DIAG, Arrivals, Counted, Sockets, is_by_diag, measure
from orchestrator.verdicts.others import Spent, taken_by_others
from orchestrator.verdicts.probed import probe_notes
from orchestrator.verdicts.validity import CLOSED_LOOP, Evidence, measurement_notes, opening_notes, void_reason


def execute(bench: Bench, spec: TrialSpec, witness: Callable[[Load], None] | None = None) -> TrialResult:
    """Run one trial and return what came of it; its pod is gone afterwards, whatever happened.

    witness: is shown what the load phase brought back, readings and all, before it is judged.
    """
    began_s = time.monotonic()
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    read_backs: list[ReadBack] = []
    loaded_s = 0.0
    try:
        with pod_for(bench, spec, read_backs) as pod:
            load = offer(bench, spec, pod)
            loaded_s = load.loaded_s
            if witness is not None:
                witness(load)
            ends = [e for e in (ended(bench.site.client, s) for s in pod.servers) if e]
        result = judge_load(bench, spec, load, ends)
    except LimitRefused:
        raise
    except (NotReady, Refused, Lost, Unsupported) as error:
        why = f"refused: {error}" if isinstance(error, Refused) else str(error)
        blank = "the trial was broken off" if isinstance(error, Lost) else "the trial did not get to its window"
        names = [f for f in Metrics.__dataclass_fields__ if f != "errors"]
        result = TrialResult(spec, why, Metrics(), dict.fromkeys(names, blank), {}, (), (), "", 0.0, 0.0)
    overhead_s = time.monotonic() - began_s - loaded_s
    return replace(
        result, read_backs=tuple(read_backs), started_at=started_at, loaded_s=loaded_s, overhead_s=overhead_s
    )


def judge_load(bench: Bench, spec: TrialSpec, load: Load, server_ends: list[str]) -> TrialResult:
    """Turn what was gathered into a result, void or not. server_ends: servers that ended, in words."""
    scenario, variant = bench.lab.scenarios[spec.scenario], bench.lab.variants[spec.variant]
    rows = [r for r in load.window.rows if r.variant == spec.variant]
    histogram = merge(r.histogram_us for r in rows)
    errors: Counter[str] = Counter()
    for row in rows:
        errors.update(row.errors)
    arrivals = _arrivals(rows)
    readings = (load.idle, load.first, load.held, load.last)
    idle, first, held, last = (r.values if r is not None else None for r in readings)
    behind = is_behind(scenario, variant, spec, sum(histogram.values()))
    established = load.established
    if behind and established is not None:
        # Clients behind a wall are connected to the kernel's accept queue, not to the server; some of them are let in
        # when others give up, so that in the end more may have been answered than were ever in at once.
        most = (variant.connections_most or 0) * spec.server_processes
        established = min(established, sum(histogram.values()), most)
    seen = Counted(
        scenario, histogram, dict(errors), established, idle, first, held, last,
        arrivals=arrivals,
        steps=load.ramp.steps if load.ramp else (),
        breaking_point=load.ramp.breaking_point if load.ramp else None,
        established_s=None if behind else load.established_s,
        generator_memory_bytes=load.generator_memory_bytes,
        sockets=_sockets(load.held),
    )  # fmt: skip
    metrics, missing = measure(seen)
    evidence = Evidence(
        kind=scenario.kind,
        workers_expected=spec.workers,
        workers_closed=sum(load.window.workers_closed.values()),
        requested=metrics.connections_requested or scenario.connections,
        held=metrics.connections_held,
        failed=metrics.connections_failed,
        answered=sum(histogram.values()),
        errors_total=sum(errors.values()),
        window_s=load.window_s,
        throttled_s=_growth(first or idle, last, "throttled_s"),
        p50_s=metrics.p50_s,
        p99_s=metrics.p99_s,
        p999_s=metrics.p999_s,
        # A person's users may wait between requests: then fewer of them are busy than there are.
        mean_latency_s=mean_s(histogram) if histogram and bench.locustfile is None else None,
        deviates=variant.specimen,
        generator_cpu_ratio=busiest(load.window),
        load_cpus_ratio=_load_cpus_ratio(load.window, bench.site.load_cpus),
        shared_cpus=_shared_cpus(bench.site.server_cpus, bench.site.load_cpus),
        # Without one of its settings a server may well lose track of its connections: that is the ablation's finding.
        # Nor does one that stops accepting at its own wall see who waits behind it.
        parties=load.parties if not spec.reverted and not behind else None,
        arrivals=arrivals if scenario.kind in ("open", "storm") else None,
        complaints=load.complaints or tuple(kind for kind, _ in errors.most_common(3)),
        gate=bench.lab.gate,
        stolen_ratio=_stolen_ratio(first or idle, last),
        others=_others(load.first or load.idle, load.last, bench.site.server_cpus, bench.site.load_cpus),
    )
    void = _refused_target([*load.complaints, *errors]) or void_reason(evidence)
    notes = [*measurement_notes(evidence), *load.notes, *probe_notes(load.probe)]
    if metrics.established_s is not None:
        notes += _opening_notes(load.opening, bench.site.load_cpus)
    if bench.locustfile is not None:
        notes = [*(note for note in notes if note != CLOSED_LOOP), *_by_name(rows)]
    if is_by_diag(seen, metrics):
        notes.append(SOCKETS_BY_DIAG)
    if server_ends:
        notes.append("; ".join(server_ends))
        void = void or (None if variant.specimen else server_ends[0])
    if variant.answers:
        notes.append(f"answers with {len(variant.answers.encode())} bytes of its own instead of the contract's 13")
    if behind:
        notes.append(_wall(scenario, variant, metrics))
        missing["established_s"] = "not all were open: see the wall"
    elif scenario.kind == "hold" and metrics.connections_failed and load.server_errors:
        counted = ", ".join(f"{n:,} {name}" for name, n in sorted(load.server_errors.items(), key=lambda e: -e[1]))
        notes.append(f"the server's own errors by then: {counted}")
    if load.parties is not None and (load.parties.unknown or not load.parties.agree):
        notes.append(": ".join(filter(None, (load.parties.sentence(), "; ".join(load.parties.unknown)))))
    if spec.server_processes > 1 or spec.workers > 1 or spec.own_processes:
        notes.append(f"{spec.server_processes} server and {spec.workers} worker processes: {spec.why_processes}")
    return TrialResult(
        spec, void, metrics, missing, histogram, (), tuple(notes), "", 0.0, 0.0,
        steps=load.ramp.steps if load.ramp else (),
        bound_by=load.ramp.bound_by if load.ramp else "",
        counters=grown(load.idle, load.last),
        probe=load.probe,
    )  # fmt: skip


def _sockets(held: Reading | None) -> Sockets | None:
    """Return what the dump in a reading saw of the server's ends; None without a dump."""
    if held is None or "tcp_states" not in held.grouped or "tcp_socket_memory_bytes" not in held.grouped:
        return None
    states, memory = held.grouped["tcp_states"], held.grouped["tcp_socket_memory_bytes"]
    return Sockets(int(states.get("established", 0)), sum(memory.values()))


def is_behind(scenario: Scenario, variant: Variant, spec: TrialSpec, held: int) -> bool:
    """Whether a variant met the wall it declares: asked for more connections, it served fewer than were asked for."""
    if variant.connections_most is None or spec.reverted:
        return False
    most = variant.connections_most * spec.server_processes
    return scenario.connections > most and (scenario.kind != "hold" or held < scenario.connections)


def _wall(scenario: Scenario, variant: Variant, metrics: Metrics) -> str:
    asked = f"{scenario.connections:,} connections"
    if scenario.kind == "hold" and metrics.connections_held is not None:
        return f"wall: {variant.wall}: {metrics.connections_held:,} of {asked} held"
    return f"wall: {variant.wall}; {asked} were asked for"


def busiest(window: Window) -> float | None:
    """Return the busiest engine thread's share of one core, or the busiest worker's where no engine loads."""
    ratios = window.engine_cpu_ratio or window.worker_cpu_ratio
    return max(ratios.values(), default=None)


def grown(before: Reading, after: Reading) -> dict[str, float]:
    """Return the kernel's counters of trouble that grew in the pod, by the kernel's names."""
    found: dict[str, float] = {}
    for group in ("tcp_troubles", "tcp_ext_troubles"):
        was, now = before.grouped.get(group, {}), after.grouped.get(group, {})
        found |= {name: value - was[name] for name, value in now.items() if name in was and value > was[name]}
    return found


def _arrivals(rows: list[Row]) -> Arrivals:
    return Arrivals(
        planned=sum(row.planned for row in rows),
        sent=sum(row.sent for row in rows),
        late=sum(row.late for row in rows),
        dropped=sum(row.dropped for row in rows),
        lag_us=merge(row.lag_us for row in rows),
    )


def _by_name(rows: list[Row]) -> list[str]:
    """Say what a person's users asked for, by the names they gave their requests."""
    named = [f"{row.answered:,} right and {sum(row.errors.values()):,} wrong {row.name}" for row in rows]
    return [f"answers by name: {', '.join(named)}"] if len(rows) > 1 else []


def _load_cpus_ratio(window: Window, load_cpus: str) -> float | None:
    """Return what all workers together took of the CPUs they share."""
    if not window.worker_cpu_ratio:
        return None
    return sum(window.worker_cpu_ratio.values()) / len(parse_cpu_list(load_cpus))


def _shared_cpus(server_cpus: str, load_cpus: str) -> str:
    both = parse_cpu_list(server_cpus) & parse_cpu_list(load_cpus)
    return format_cpu_list(both) if both else ""


def _opening_notes(opening: Window | None, load_cpus: str) -> tuple[str, ...]:
    return opening_notes(*(() if opening is None else (busiest(opening), _load_cpus_ratio(opening, load_cpus))))


def _refused_target(errors: Iterable[str]) -> str | None:
    """Return what a worker's guard said about the target: then no load was sent there."""
    return next((kind[kind.index(TARGET_REFUSED) :] for kind in errors if TARGET_REFUSED in kind), None)


def _stolen_ratio(before: Mapping[str, float] | None, after: Mapping[str, float] | None) -> float | None:
    """Return what the hypervisor took of the machine's CPU time between two readings."""
    stolen_s, all_s = (_growth(before, after, name) for name in ("machine_steal_s", "machine_cpu_s"))
    return stolen_s / all_s if stolen_s is not None and all_s else None


def _others(before: Reading, after: Reading, server_cpus: str, load_cpus: str) -> dict[str, float]:
    """Return what programs outside the lab took of each side's CPUs between two readings; {} where it is not known."""
    server_s, beside_s = (_growth(before.values, after.values, name) for name in ("cpu_s", "beside_cpu_s"))
    ran_s, had_s = (reading.grouped.get("cpus_ran_s", {}) for reading in (after, before))
    if server_s is None or beside_s is None:
        return {}
    spent = Spent(
        elapsed_s=after.at_s - before.at_s,
        ran_s={cpu: seconds - had_s[cpu] for cpu, seconds in ran_s.items() if cpu in had_s},
        server_s=server_s,
        beside_s=beside_s,
        asker_s=after.asker_cpu_s - before.asker_cpu_s,
    )
    return taken_by_others(spent, frozenset(parse_cpu_list(server_cpus)), frozenset(parse_cpu_list(load_cpus)))


def _growth(before: Mapping[str, float] | None, after: Mapping[str, float] | None, name: str) -> float | None:
    if before is None or after is None or name not in before or name not in after:
        return None
    return after[name] - before[name]
