"""Turn what the steps of a stage took so far into what the rest will take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.model import Scenario


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a stage does: an image to build, a trial to run."""

    name: str
    expected_s: float = 0.0  # the part known beforehand, such as a trial's time under load


def remaining_s(steps: Sequence[Step], took_s: Sequence[float], current_s: float = 0.0) -> float | None:
    """Return the seconds the steps that did not end yet will take, or None before the first one ended.

    took_s: measured, for the first len(took_s) steps. current_s: how long the next one has been going on.
    Each open step is given what is known of it plus the mean surplus that the ended ones showed over theirs. A step
    that overruns counts as about to end: the estimate stands still rather than turn negative.
    """
    if not took_s:
        return None
    surplus_s = sum(took - step.expected_s for step, took in zip(steps, took_s, strict=False)) / len(took_s)
    left_s = [max(0.0, step.expected_s + surplus_s) for step in steps[len(took_s) :]]
    if left_s:
        left_s[0] = max(0.0, left_s[0] - current_s)
    return sum(left_s)


def loaded_s(scenario: Scenario) -> float:
    """Return the seconds one trial of a scenario spends under load, at the least (a ramp: if nothing binds)."""
    if scenario.kind == "hold":
        return scenario.delay_s
    if scenario.ramp is not None:
        rises = scenario.ramp.last / scenario.ramp.first
        steps = math.ceil(math.log(rises) / math.log(scenario.ramp.factor) - 1e-9) + 1 if rises > 1.0 else 1
        return steps * (scenario.ramp.settle_s + scenario.ramp.step_s)
    return scenario.warmup_s + scenario.measure_s
