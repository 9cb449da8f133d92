"""Carry out one trial: TrialSpec -> TrialResult, in a pod of its own.

Pod, verification, load, gathering, taking down, in this order. Whatever goes wrong with the variant or the swarm makes
the trial void with its reason; only what the whole run depends on (the engine, a limit) is raised.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.containers.launch import ended
from orchestrator.errors import LimitRefused, NotReady, Refused
from orchestrator.model import Metrics, ReadBack, TrialResult, TrialSpec
from orchestrator.offer import Load, offer
from orchestrator.pod import Bench, pod_for
from orchestrator.verdicts.histogram import mean_s, merge
from orchestrator.verdicts.measured import Counted, measure
from orchestrator.verdicts.validity import Evidence, measurement_notes, void_reason


def execute(bench: Bench, spec: TrialSpec) -> TrialResult:
    """Run one trial and return what came of it; its pod is gone afterwards, whatever happened."""
    began_s = time.monotonic()
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    read_backs: list[ReadBack] = []
    loaded_s = 0.0
    try:
        with pod_for(bench, spec, read_backs) as pod:
            load = offer(bench, spec, pod)
            loaded_s = load.loaded_s
            ends = [e for e in (ended(bench.site.client, s) for s in pod.servers) if e]
        result = _judge(bench, spec, load, ends)
    except LimitRefused:
        raise
    except (NotReady, Refused) as error:
        why = f"refused: {error}" if isinstance(error, Refused) else str(error)
        names = [f for f in Metrics.__dataclass_fields__ if f != "errors"]
        result = TrialResult(
            spec, why, Metrics(), dict.fromkeys(names, "the trial did not get to its window"), {}, (), (), "", 0.0, 0.0
        )
    overhead_s = time.monotonic() - began_s - loaded_s
    return replace(
        result, read_backs=tuple(read_backs), started_at=started_at, loaded_s=loaded_s, overhead_s=overhead_s
    )


def _judge(bench: Bench, spec: TrialSpec, load: Load, server_ends: list[str]) -> TrialResult:
    """Turn what was gathered into a result, void or not."""
    scenario, variant = bench.lab.scenarios[spec.scenario], bench.lab.variants[spec.variant]
    rows = [r for r in load.window.rows if r.variant == spec.variant]
    histogram = merge(r.histogram_us for r in rows)
    errors: dict[str, int] = {}
    for row in rows:
        for kind, number in row.errors.items():
            errors[kind] = errors.get(kind, 0) + number
    readings = (load.idle, load.first, load.held, load.last)
    idle, first, held, last = (r.values if r is not None else None for r in readings)
    metrics, missing = measure(Counted(scenario, histogram, errors, load.established, idle, first, held, last))
    evidence = Evidence(
        kind=scenario.kind,
        workers_expected=spec.workers,
        workers_closed=sum(load.window.workers_closed.values()),
        requested=scenario.connections,
        held=metrics.connections_held,
        failed=metrics.connections_failed,
        answered=sum(histogram.values()),
        errors_total=sum(errors.values()),
        window_s=load.window_s,
        throttled_s=_growth(first or idle, last, "throttled_s"),
        p50_s=metrics.p50_s,
        p99_s=metrics.p99_s,
        p999_s=metrics.p999_s,
        mean_latency_s=mean_s(histogram) if histogram else None,
        deviates=variant.specimen,
        generator_cpu_ratio=max(load.window.worker_cpu_ratio.values(), default=None),
    )
    void = void_reason(evidence)
    notes = list(measurement_notes(evidence))
    if server_ends:
        notes.append("; ".join(server_ends))
        void = void or (None if variant.specimen else server_ends[0])
    if spec.server_processes > 1 or spec.workers > 1:
        notes.append(f"{spec.server_processes} server and {spec.workers} worker processes: {spec.why_processes}")
    return TrialResult(spec, void, metrics, missing, histogram, (), tuple(notes), "", 0.0, 0.0)


def _growth(before: Mapping[str, float] | None, after: Mapping[str, float] | None, name: str) -> float | None:
    if before is None or after is None or name not in before or name not in after:
        return None
    return after[name] - before[name]
