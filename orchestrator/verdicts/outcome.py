"""How a finished run judges itself: who was refused, what stayed undecided, what cannot run on this machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from orchestrator.model import Run
from orchestrator.verdicts.validity import UNSUPPORTED, least_valid


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run, and how it judges itself."""

    run: Run
    refused: tuple[str, ...]  # variants that failed verification
    undecided: tuple[str, ...]  # pairings with too few valid trials, and how many; but for the unsupported
    unsupported: tuple[str, ...] = ()  # variants whose technique this machine refuses


def judge(run: Run) -> Outcome:
    """Return which variants were refused, which pairings have too few valid trials, which variants cannot run here."""
    refused = {t.spec.variant for t in run.trials if t.void and t.void.startswith("refused: ")}
    # Of an ablation the trials with all settings in place: that one cannot run without a setting may be its finding.
    whole = [t for t in run.trials if not t.spec.reverted]
    valid = Counter((t.spec.variant, t.spec.scenario) for t in whole if t.void is None)
    unsupported = {t.spec.variant for t in run.trials if t.void and t.void.startswith(UNSUPPORTED)}
    planned = Counter((s.variant, s.scenario) for s in run.plan.trials if not s.reverted)
    undecided = tuple(
        f"{variant} on {scenario} ({valid[variant, scenario]} of {n}, {least_valid(n)} needed)"
        for (variant, scenario), n in planned.items()
        if valid[variant, scenario] < least_valid(n) and (variant not in unsupported or not valid)
    )
    return Outcome(run, tuple(sorted(refused)), undecided, tuple(sorted(unsupported)))
