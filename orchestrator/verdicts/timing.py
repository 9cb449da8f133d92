"""Turn a run's trials into where its time went."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model import Run


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a run's finished trials, void ones included."""

    trials: int
    loaded_s: float
    overhead_s: float  # setting up, verifying, taking down
    overhead_s_per_trial: float | None  # None: no trial finished


def time_run(run: Run) -> Timing:
    """Return the seconds a run spent under load and around it."""
    trials = len(run.trials)
    overhead_s = sum(result.overhead_s for result in run.trials)
    return Timing(
        trials=trials,
        loaded_s=sum(result.loaded_s for result in run.trials),
        overhead_s=overhead_s,
        overhead_s_per_trial=overhead_s / trials if trials else None,
    )
