"""Builders of nights: runs of a suite whose figures are known, with and without an A/A control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from orchestrator.model import Metrics, Plan, Run, TrialResult, TrialSpec

HOST: Mapping[str, object] = {
    "kernel": "6.18.1", "cpu_model": "a CPU", "cpus": 2, "architecture": "x86_64", "memory_bytes": 8 << 30,
    "engine_version": "28.1", "images": {"fast": "aaaa", "rock": "bbbb", "stone": "cccc", "swarm": "dddd"},
}  # fmt: skip


def host(**changes: object) -> dict[str, object]:
    return {**HOST, **changes}


def values(level: float, seed: int, blocks: int = 10, spread: float = 0.01) -> list[float]:
    return [float(v) for v in level * np.exp(np.random.default_rng(seed).normal(0.0, spread, blocks))]


def a_trial(
    block: int, variant: str, scenario: str = "plain", void: str | None = None, **metrics: float
) -> TrialResult:
    spec = TrialSpec(block, block, variant, scenario, "closed", "default", 1, 1, "")
    return TrialResult(spec, void, Metrics(**metrics), {}, {312: 10}, (), (), "", 1.0, 1.0)  # type: ignore[arg-type]  # floats


def a_night(
    number: int,
    throughput: Mapping[str, Sequence[float]],
    *,
    facts: Mapping[str, object] = HOST,
    finished: bool = True,
    scenario: str = "plain",
) -> Run:
    """Return the run of a night. number: days since the first of January. throughput: variant -> one value a block."""
    trials: list[TrialResult] = []
    for block in range(len(next(iter(throughput.values())))):
        for variant, found in throughput.items():
            one = a_trial(block, variant, scenario, throughput_per_s=found[block])
            trials.append(replace(one, spec=replace(one.spec, index=len(trials))))
    day = str(np.datetime64("2026-01-01") + np.timedelta64(number, "D"))
    run_id = f"{day.replace('-', '')}T023000Z-nightly-{number:06x}"
    plan = Plan("nightly", 1, tuple(trial.spec for trial in trials), ())
    ended = f"{day}T03:00:00+00:00" if finished else None
    return Run(run_id, "nightly", f"{day}T02:30:00+00:00", ended, facts, plan, tuple(trials))


def steady(number: int, levels: Mapping[str, float], *, control: str = "fast", blocks: int = 10, **rest: object) -> Run:
    """Return a night on which each variant has its level, with its A/A control."""
    found = {name: values(level, 1000 * number + place, blocks) for place, (name, level) in enumerate(levels.items())}
    found[f"{control}~control"] = values(levels[control], 1000 * number + 999, blocks)
    return a_night(number, found, **rest)  # type: ignore[arg-type]  # passed on
