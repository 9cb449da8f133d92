"""Find trials that were as fast as the load itself could be: their figures are bounds, not the server's own. Pure.

A generator that fills its CPU says so in the trial (validity.GENERATOR_LIMITED). What it reached there, with the
variant that was fastest, is the ceiling of this load on this machine: the reference. Whoever comes as close to it as
two trials of the same thing come to each other may have been held back by it too, although its own generator was just
below the limit. Such figures are censored, "at least", and so is a comparison that rests on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from orchestrator.model import Run, TrialResult
from orchestrator.verdicts.validity import GENERATOR_LIMITED

AT_CEILING = "at least: as fast as the load was where the generator was the limit"
# Trials of one variant on a quiet machine differ by this much (A/A pairs of `make bench`); nearer is not told apart.
_NEAR_RATIO = 0.03

_Load = tuple[str, str, str]  # scenario, who loads, the setting taken back


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the load reached at most under one scenario."""

    variant: str  # the reference: the fastest of those that filled the generator
    by_block: Mapping[int, float]  # answers/s

    def at(self, block: int) -> float:
        """Return the ceiling while that block ran; where the reference was not limited in it, the usual one."""
        return self.by_block.get(block) or median(self.by_block.values())


def is_censored(trial: TrialResult) -> bool:
    """Whether the trial's throughput is only known to be at least what was seen, and its latency at most.

    A ramp's figures are bounds unless the server's own errors or latency ended it: its generator did, its last step, or
    somebody who stopped it.
    """
    if trial.spec.kind == "ramp" and trial.bound_by not in ("errors", "latency"):
        return True
    return any(note in (GENERATOR_LIMITED, AT_CEILING) for note in trial.notes)


def with_ceilings(run: Run) -> Run:
    """Return the run with a note on each trial that came up to the ceiling of its scenario."""
    return replace(run, trials=mark(run.trials))


def mark(trials: Iterable[TrialResult]) -> tuple[TrialResult, ...]:
    """Return the trials, those at the ceiling with the note. Closed loops only: elsewhere a clock sets the rate."""
    found = tuple(trials)
    ceilings = find_ceilings(found)
    return tuple(_marked(trial, ceilings.get(_load(trial))) for trial in found)


def find_ceilings(trials: Sequence[TrialResult]) -> dict[_Load, Ceiling]:
    """Return the ceiling of each load that filled its generator in some valid trial."""
    limited: dict[_Load, dict[str, dict[int, float]]] = {}
    for trial in trials:
        rate = trial.metrics.throughput_per_s
        if trial.spec.kind == "closed" and trial.void is None and rate and GENERATOR_LIMITED in trial.notes:
            limited.setdefault(_load(trial), {}).setdefault(trial.spec.variant, {})[trial.spec.block] = rate
    ceilings = {}
    for load, by_variant in limited.items():
        name = max(by_variant, key=lambda one: median(by_variant[one].values()))
        ceilings[load] = Ceiling(name, by_variant[name])
    return ceilings


def _load(trial: TrialResult) -> _Load:
    return trial.spec.scenario, trial.spec.users, trial.spec.reverted


def _marked(trial: TrialResult, ceiling: Ceiling | None) -> TrialResult:
    rate = trial.metrics.throughput_per_s
    if ceiling is None or trial.void is not None or rate is None or is_censored(trial):
        return trial
    if trial.spec.kind != "closed" or rate < (1.0 - _NEAR_RATIO) * ceiling.at(trial.spec.block):
        return trial
    return replace(trial, notes=(*trial.notes, AT_CEILING))
