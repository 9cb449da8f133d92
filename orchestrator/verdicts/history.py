"""Find the nights from which on a figure is another one: runs of a suite -> series of nightly medians -> changes.

Pure. The method is E-divisive with a t-test, as `apache-otava` has it (Matteson & James 2014, arXiv 1306.4933; Fleming
et al. 2023, doi 10.1145/3578244.3583719). A change informs; what gates is tonight against the baseline (drift.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import numpy as np
from otava.series import AnalysisOptions, AnalyzedSeries, Metric, Series

from orchestrator.model import CONTROL, Run
from orchestrator.verdicts.compare import FIGURES, Figure, differences, load_of

# A tenth of otava's default. A night looks at some forty series (variants x scenarios x figures), and each night anew.
# Measured on 400 stationary histories of 60 nights: at 0.001 one false change in ten nights of forty series, at 0.0001
# one in seventy. What it costs: a step of five times the nights' spread is found on its second night in 97 of 100, one
# of three times in 42, and in 95 by the fifth (docs/nightly.md).
MOST_P_VALUE = 0.0001
# otava's default: two windows overlap by half, so that a change near one's edge lies in the middle of the next.
WINDOW_NIGHTS = 50
# With fewer there is no spread worth the name on either side.
LEAST_NIGHTS = 6
# One odd night is a night, not a change: it takes a second one that agrees.
LEAST_AGREEING = 2
# How far apart two series may place what was one event: E-divisive places a change of a few spreads within a night.
NEARBY_NIGHTS = 1


@dataclass(frozen=True, slots=True)
class Point:
    """One night's figure: the median of its valid trials."""

    run_id: str
    started_at: str
    value: float


@dataclass(frozen=True, slots=True)
class History:
    """One figure of one variant under one scenario, night by night, the oldest first."""

    scenario: str
    variant: str
    figure: Figure
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """From one night on a figure is another one, as far as the nights since then tell."""

    scenario: str
    variant: str
    figure: Figure
    index: int  # of the first night that is different, in its history
    run_id: str  # that night
    started_at: str
    before: float  # medians of the nights between this change and its neighbours
    after: float
    nights_after: int
    p_value: float  # Student's, of the two sides; the place was chosen for it, so it flatters
    since: tuple[str, ...] = ()  # what else is different since that night: kernel, engine, image
    is_machine: bool = False  # all stable variants changed alike: it is nothing that the variant did

    @property
    def ratio(self) -> float:
        return self.after / self.before

    @property
    def is_worse(self) -> bool:
        return (self.ratio < 1.0) == self.figure.more_is_better


def read_histories(runs: Sequence[Run]) -> tuple[History, ...]:
    """Return every figure that some night measured, by variant and scenario; second names are left out.

    runs: of one suite and one machine, the oldest first. A night without a valid value of a figure is no point of its
    series, nor is one whose load was declared otherwise than the newest's. Trials that had to do without a setting
    (ablations) do not count.
    """
    points: dict[tuple[str, str, str], list[Point]] = {}
    for run in runs:
        others = {
            scenario
            for scenario in {spec.scenario for spec in run.plan.trials}
            if differences(load_of(run, scenario), load_of(runs[-1], scenario))
        }
        values: dict[tuple[str, str, str], list[float]] = {}
        for trial in run.trials:
            if trial.spec.reverted or trial.spec.variant.endswith(CONTROL) or trial.spec.scenario in others:
                continue
            for figure in FIGURES:
                if (value := figure.of(trial)) is not None:
                    values.setdefault((trial.spec.scenario, trial.spec.variant, figure.name), []).append(value)
        for key, found in values.items():
            points.setdefault(key, []).append(Point(run.run_id, run.started_at, median(found)))
    figures = {figure.name: figure for figure in FIGURES}
    return tuple(
        History(scenario, variant, figures[name], tuple(found)) for (scenario, variant, name), found in points.items()
    )


def find_changes(history: History, least: float) -> tuple[Change, ...]:
    """Return the nights from which on a series runs on another level, the oldest first.

    least: the relative change that is worth a word; smaller ones are none. A level holds for two nights at least: a
    single night that stands out, the newest included, is passed over.
    """
    values = [point.value for point in history.points]
    if len(values) < LEAST_NIGHTS:
        return ()
    kept: list[float | None] = list(values)
    found = _levels(kept, least)
    while lone := [a for a, b in pairwise([0, *found, len(values)]) if b - a < LEAST_AGREEING and kept[a] is not None]:
        for index in lone:
            kept[index] = None  # otava repeats the night before in its place
        if sum(value is not None for value in kept) < LEAST_NIGHTS:
            return ()  # no two nights agree: there is no level to leave
        found = _levels(kept, least)
    edges = [0, *found, len(values)]
    sides = [[value for value in kept[a:b] if value is not None] for a, b in pairwise(edges)]
    return tuple(
        Change(
            history.scenario,
            history.variant,
            history.figure,
            index,
            history.points[index].run_id,
            history.points[index].started_at,
            before=median(before),
            after=median(after),
            nights_after=len(values) - index,
            p_value=p_value,
        )
        for (index, p_value), before, after in zip(found.items(), sides, sides[1:], strict=False)
        if before and after
    )


def _levels(values: Sequence[float | None], least: float) -> dict[int, float]:
    """Return where otava sees a change: index of the first value after it -> p value."""
    options = AnalysisOptions()
    options.window_len, options.max_pvalue, options.min_magnitude = WINDOW_NIGHTS, MOST_P_VALUE, least
    series = Series("", None, list(range(len(values))), {"figure": Metric()}, {"figure": list(values)}, {})
    with np.errstate(divide="ignore", invalid="ignore"):  # counted figures may not vary at all
        # Not series.analyze(): it logs by the root logger, which installs a handler for everybody.
        changes = AnalyzedSeries(series, options).change_points["figure"]
    return {int(change.index): float(change.pvalue()) for change in changes}


def find_all_changes(
    runs: Sequence[Run], worth: Callable[[str, str], float], stable: Collection[str]
) -> tuple[Change, ...]:
    """Return every change in the history of a suite, the newest first, each with what else is different since.

    worth(scenario, figure's name): the relative change that is worth a word. stable: variants that nobody changes.
    """
    changes = [
        change
        for history in read_histories(runs)
        for change in find_changes(history, worth(history.scenario, history.figure.name))
    ]
    places = {run.run_id: place for place, run in enumerate(runs)}
    told = [
        replace(
            change,
            since=what_differs(runs, places[change.run_id], change.variant),
            is_machine=_is_shared(change, changes, places, runs, stable),
        )
        for change in changes
    ]
    return tuple(sorted(told, key=lambda change: -places[change.run_id]))


def _is_shared(
    change: Change, changes: Sequence[Change], places: Mapping[str, int], runs: Sequence[Run], stable: Collection[str]
) -> bool:
    """Whether all stable variants that ran this scenario changed alike at about that night."""
    witnesses = {
        trial.spec.variant
        for trial in runs[places[change.run_id]].trials
        if trial.spec.variant in stable and trial.spec.scenario == change.scenario
    }
    agreeing = {
        other.variant
        for other in changes
        if (other.scenario, other.figure.name, other.is_worse) == (change.scenario, change.figure.name, change.is_worse)
        and abs(places[other.run_id] - places[change.run_id]) <= NEARBY_NIGHTS
    }
    return bool(witnesses) and witnesses <= agreeing


def what_differs(runs: Sequence[Run], place: int, variant: str) -> tuple[str, ...]:
    """Return what of host, profile, scenarios and images is another than the night before: "kernel 6.17 -> 6.18"."""
    if place == 0:
        return ()
    before, after = runs[place - 1].host, runs[place].host
    names = ("kernel", "operating_system", "engine_version", "cgroup_version", "nofile_granted", "cpu_list")
    said = [
        f"{name.replace('_', ' ')} {before[name]} -> {after[name]}"
        for name in names
        if name in before and name in after and before[name] != after[name]
    ]
    was, is_now = runs[place - 1].declared, runs[place].declared
    said += [
        f"{name} declared otherwise ({what})"
        for name in was
        if name.startswith(("profile ", "scenario ")) and (what := differences(was[name], is_now.get(name)))
    ]
    for image in (variant, "swarm"):
        old, new = image_of(runs[place - 1], image), image_of(runs[place], image)
        if old and new and old != new:
            said.append(f"image of {image} {old} -> {new}")
    return tuple(said)


def image_of(run: Run, name: str) -> str:
    """Return the digest of what a variant, or a part of the lab, ran from; "" where it is not known."""
    images = run.host.get("images")
    return str(images.get(name, "")) if isinstance(images, Mapping) else ""


def on_one_machine(runs: Sequence[Run], newest: Run) -> tuple[Run, ...]:
    """Return the runs of the machine that the newest one ran on; kernel and engine may have changed."""
    return tuple(run for run in runs if _machine(run) == _machine(newest))


def _machine(run: Run) -> tuple[object, ...]:
    memory = run.host.get("memory_bytes")
    gib = round(memory / (1 << 30)) if isinstance(memory, int | float) else None  # a kernel's own share varies
    return run.host.get("cpu_model"), run.host.get("cpus"), run.host.get("architecture"), gib
