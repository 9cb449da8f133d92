"""Tell what a variant did between two nights from what the machine did: stable variants are the witnesses.

Pure. Two runs share no blocks, so whatever the machine did between them is in every ratio of theirs. Within each night,
though, a variant runs beside the stable ones, block by block. What is compared is therefore tonight's figure over
the stable variants' of the same block, against the same of the baseline: a difference of differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from orchestrator.model import CONTROL, Run
from orchestrator.verdicts.ceiling import with_ceilings
from orchestrator.verdicts.compare import FIGURES, Figure, Judged, Side, judge_pairs, side_of
from orchestrator.verdicts.history import image_of

Key = tuple[str, str]  # scenario, name of the figure
Amount = Callable[[str, str], float]  # of a scenario and a figure's name


@dataclass(frozen=True, slots=True)
class Compared:
    """Tonight against the baseline."""

    judged: tuple[Judged, ...]  # what gates; `candidate` is the variant's name
    plain: Mapping[
        tuple[str, str, str], Judged
    ]  # scenario, figure's name, variant -> before the machine's part was out
    machine: Mapping[Key, float]  # what all stable variants agree on: tonight / baseline, where they changed
    remarks: tuple[str, ...]  # about the witnesses, in words


def compare_nights(old: Run, new: Run, worth: Amount, noise: Amount, stable: Sequence[str]) -> Compared:
    """Judge every pairing that both runs planned.

    worth, noise: as judge_pairs takes them. stable: variants that nobody changes; one whose image is not that of the
    baseline's run is no witness, and one whose own figure is not known, or only a bound, is none of that figure. A
    stable variant itself is judged by the others; where it is the only one, nobody can tell it from the machine, and it
    is not judged.
    Where the stable variants disagree, or none of them is a witness, a figure is judged as it is.
    """
    sides = _sides(with_ceilings(old), with_ceilings(new))
    plain = judge_pairs([(key[0], *pair) for key, pair in sides.items()], worth, noise, between_runs=True)
    by_key = {(one.scenario, one.figure.name, one.candidate): one for one in plain}
    ran = {variant for _, variant in sides}
    changed = [name for name in stable if name in ran and _is_another_image(old, new, name)]
    witnesses = [name for name in stable if name in ran and name not in changed]
    remarks = [f"{name} is no witness of the machine: its image is not the baseline's" for name in changed]
    machine: dict[Key, float] = {}
    believed: dict[Key, list[str]] = {}
    silent: dict[tuple[str, str, str], list[str]] = {}  # scenario, witness, why -> figures
    for scenario in dict.fromkeys(scenario for scenario, _ in sides):
        for figure in FIGURES:
            said = [by_key[key] for name in witnesses if (key := (scenario, figure.name, name)) in by_key]
            for one in said:
                if not _is_known(one):
                    silent.setdefault((scenario, one.candidate, one.reason), []).append(figure.title)
            known = [one for one in said if _is_known(one)]
            moved = [one for one in known if one.word in ("better", "worse")]
            if not known:
                continue
            if moved and (len(moved) < len(known) or len({one.word for one in moved}) > 1):
                names = ", ".join(f"{one.candidate} {one.word}" for one in moved)
                remarks.append(f"{scenario}, {figure.title}: the stable variants disagree ({names}); judged as it is")
                continue
            believed[scenario, figure.name] = [one.candidate for one in known]
            if moved:
                logs = [math.log(one.effect.ratio) for one in moved if one.effect is not None]
                machine[scenario, figure.name] = math.exp(fmean(logs))
    remarks += [
        f"{name} is no witness on {scenario} of {', '.join(titles)}: {why}"
        for (scenario, name, why), titles in silent.items()
    ]
    corrected = [
        (scenario, *_corrected(sides, scenario, variant, believed))
        for scenario, variant in sides
        if variant not in witnesses or any((scenario, name) in sides for name in witnesses if name != variant)
    ]
    return Compared(judge_pairs(corrected, worth, noise, between_runs=True), by_key, machine, tuple(remarks))


def _is_known(one: Judged) -> bool:
    """Whether a witness' figure is one: measured often enough on both nights, and no bound."""
    return one.effect is not None and not any(one.censored)


def _sides(old: Run, new: Run) -> dict[tuple[str, str], tuple[Side, Side]]:
    planned = [dict.fromkeys((spec.scenario, spec.variant) for spec in run.plan.trials) for run in (old, new)]
    return {
        (scenario, variant): (
            side_of(old, "baseline", variant, scenario),
            side_of(new, variant, variant, scenario),
        )
        for scenario, variant in planned[0]
        if (scenario, variant) in planned[1] and not variant.endswith(CONTROL)
    }


def _is_another_image(old: Run, new: Run, name: str) -> bool:
    return bool(image_of(old, name)) and image_of(old, name) != image_of(new, name)


def _corrected(
    sides: Mapping[tuple[str, str], tuple[Side, Side]],
    scenario: str,
    variant: str,
    believed: Mapping[Key, Sequence[str]],
) -> tuple[Side, Side]:
    """Return both sides with each figure over what its other witnesses measured in the same block.

    Scaled by their level in the baseline, so that the numbers stay of a natural size. A figure without a witness is
    left as it is; one whose only witness is the variant itself is taken out.
    """
    baseline, candidate = sides[scenario, variant]
    for figure in FIGURES:
        names = believed.get((scenario, figure.name))
        if names is None:
            continue
        others = [sides[scenario, name] for name in names if name != variant]
        then, now = (_level([other[which] for other in others], figure) for which in (0, 1))
        if others and not (then and now):  # never in the same block
            continue
        scale = math.exp(fmean(math.log(value) for value in then.values())) if then else 1.0
        baseline, candidate = _over(baseline, figure, then, scale), _over(candidate, figure, now, scale)
    return baseline, candidate


def _level(others: Sequence[Side], figure: Figure) -> dict[int, float]:
    """Return block -> the geometric mean of a figure, of blocks in which all the others measured it."""
    measured = [other.values(figure) for other in others]
    if not measured:
        return {}
    blocks = set.intersection(*(set(values) for values in measured))
    return {block: math.exp(fmean(math.log(values[block]) for values in measured)) for block in blocks}


def _over(one: Side, figure: Figure, level: Mapping[int, float], scale: float) -> Side:
    trials = {}
    for block, trial in one.trials.items():
        value = figure.read(trial.metrics)
        fair = value / level[block] * scale if value is not None and block in level else None
        changed: dict[str, Any] = {figure.name: fair}
        trials[block] = replace(trial, metrics=replace(trial.metrics, **changed))
    return replace(one, trials=trials)
