"""Put the variants of a run into tiers: groups that cannot be told apart, best first. Pure.

A ranking would promise more than the trials hold. Every pair of variants is judged on every figure, all of them as one
family, with the same rules as any comparison; whoever cannot be told from the first of a tier belongs to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

from orchestrator.model import Run
from orchestrator.verdicts.ceiling import with_ceilings
from orchestrator.verdicts.compare import FIGURES, Figure, Judged, Side, judge_pairs, side
from orchestrator.verdicts.effect import LEAST_PAIRS


@dataclass(frozen=True, slots=True)
class Tiers:
    """The groups of one figure under one scenario."""

    scenario: str
    figure: Figure
    groups: tuple[tuple[str, ...], ...]  # best first; inside one from the best seen to the worst
    typical: dict[str, float]  # variant -> geometric mean over its valid trials
    bounds: frozenset[str]  # variants whose figure is a bound: the load was the limit
    left_out: tuple[str, ...]  # variants with fewer valid trials than a verdict needs


def tier_run(
    run: Run, thresholds: Callable[[str, str], float], noise: Callable[[str, str], float] = lambda *_: 0.0
) -> tuple[Tiers, ...]:
    """Return the tiers of every scenario and figure for which at least two variants have enough valid trials.

    thresholds, noise: as for `judge_pairs`.
    """
    run = with_ceilings(run)
    planned = dict.fromkeys((spec.scenario, spec.variant) for spec in run.plan.trials if not spec.reverted)
    by_scenario: dict[str, list[Side]] = {}
    for scenario, variant in planned:
        by_scenario.setdefault(scenario, []).append(side(variant, variant, scenario, run.trials))
    enough = {
        scenario: [one for one in sides if sum(t.void is None for t in one.trials.values()) >= LEAST_PAIRS]
        for scenario, sides in by_scenario.items()
    }
    pairs = [(scenario, a, b) for scenario, sides in enough.items() for a, b in combinations(sides, 2)]
    judged = judge_pairs(pairs, thresholds, noise)
    return tuple(
        found
        for scenario, sides in by_scenario.items()
        for figure in FIGURES
        if (found := _tiers(scenario, figure, sides, judged)) is not None
    )


def only(run: Run, variants: Collection[str]) -> Run:
    """Return the run as if it had these variants alone: the family that a correction is for is what was asked.

    The others' ceilings stay in the notes: who came up to one did so whether it is asked about or not.
    """
    run = with_ceilings(run)
    return replace(
        run,
        plan=replace(run.plan, trials=tuple(spec for spec in run.plan.trials if spec.variant in variants)),
        trials=tuple(trial for trial in run.trials if trial.spec.variant in variants),
    )


def _tiers(scenario: str, figure: Figure, sides: Sequence[Side], judged: Sequence[Judged]) -> Tiers | None:
    values = {one.name: list(one.values(figure).values()) for one in sides}
    enough = {name: found for name, found in values.items() if len(found) >= LEAST_PAIRS}
    typical = {name: math.exp(fmean(map(math.log, found))) for name, found in enough.items()}
    if len(typical) < 2:
        return None
    names = sorted(typical, key=lambda name: typical[name], reverse=figure.more_is_better)
    ours = [one for one in judged if (one.scenario, one.figure.name) == (scenario, figure.name)]
    return Tiers(
        scenario,
        figure,
        groups=tuple(tuple(group) for group in tiers(names, ours)),
        typical=typical,
        bounds=frozenset(one.name for one in sides if one.name in typical and one.is_censored(figure)),
        left_out=tuple(name for name, found in values.items() if 0 < len(found) < LEAST_PAIRS),
    )


def tiers(names: Sequence[str], judged: Iterable[Judged]) -> list[list[str]]:
    """Return the names in groups, best first; inside a group nobody is worse than its first member.

    names: ordered from the best figure to the worst. judged: every pair's verdict on that one figure. Being alike is
    not transitive: the last of a tier may well differ from the first of the next by less than from its own first.
    """
    told_apart = {
        frozenset((one.baseline, one.candidate)) for one in judged if one.word in ("better", "worse")
    }  # fmt: skip
    groups: list[list[str]] = []
    for name in names:
        if groups and frozenset((groups[-1][0], name)) not in told_apart:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups
