"""Turn two sets of trials into verdicts: faster, slower, no difference, or undecided.

A verdict is about one figure of one scenario, candidate against baseline. A difference is called only when three things
agree: the interval leaves out 1, the whole family's correction still lets it stand, and it is larger than what is
worth mentioning (the declared threshold) and than what this machine shows between a thing and itself (A/A).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.model import CONTROL, Kind, Metrics, Run, Thresholds, TrialResult
from orchestrator.verdicts.ceiling import is_censored, with_ceilings
from orchestrator.verdicts.effect import (
    CONFIDENCE,
    Effect,
    TooFewPairs,
    correct,
    measure_between,
    measure_effect,
)
from orchestrator.verdicts.validity import OPENING_LIMITED, UNSUPPORTED

Word = Literal["better", "worse", "no difference", "undecided"]
DEFAULT_THRESHOLD = 0.03  # relative; below it nobody changes a server
# What a load at its limit holds back: the truth is at least as good as what was seen.
_HELD_BACK = frozenset({"throughput_per_s", "p50_s", "p99_s", "breaking_point"})


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing worth comparing."""

    name: str  # of the field of Metrics
    title: str
    more_is_better: bool
    read: Callable[[Metrics], float | None]
    kinds: tuple[Kind, ...] = ()  # of the scenarios that it tells something of; (): of all that measure it

    def of(self, trial: TrialResult) -> float | None:
        """Return the figure of a valid trial; None where it was not measured above 0."""
        if trial.void is not None or (self.kinds and trial.spec.kind not in self.kinds):
            return None
        value = self.read(trial.metrics)
        return value if value is not None and value > 0.0 else None


def _field(name: str, title: str, *, more_is_better: bool, kinds: tuple[Kind, ...] = ()) -> Figure:
    return Figure(name, title, more_is_better, lambda metrics: getattr(metrics, name), kinds)


FIGURES: tuple[Figure, ...] = (
    _field("throughput_per_s", "throughput", more_is_better=True),
    _field("p50_s", "median latency", more_is_better=False),
    _field("p99_s", "p99 latency", more_is_better=False),
    _field("memory_bytes_per_connection", "memory per connection", more_is_better=False),
    _field("cpu_s_per_10k_requests", "CPU per request", more_is_better=False),
    _field("established_s", "time to establish", more_is_better=False),
    _field("breaking_point", "breaking point", more_is_better=True),
    # Elsewhere a connection that fails is missing from the throughput.
    _field("connections_held", "connections held", more_is_better=True, kinds=("hold",)),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict with everything it rests on."""

    scenario: str
    figure: Figure
    baseline: str  # a variant, or "variant in RUN"
    candidate: str
    word: Word
    reason: str  # why undecided; else what decided
    effect: Effect | None = None
    p_corrected: float | None = None  # over the family it was judged in
    threshold: float = DEFAULT_THRESHOLD  # relative; the larger of the declared one and the A/A noise
    censored: tuple[bool, bool] = (False, False)  # baseline, candidate: the load was the limit, seen is a bound

    @property
    def is_regression(self) -> bool:
        return self.word == "worse"


@dataclass(frozen=True, slots=True)
class Side:
    """The trials of one variant under one scenario, by the block they ran in."""

    name: str
    trials: Mapping[int, TrialResult]
    load: object = None  # what lab.yaml declared of the scenario, as its run kept it; None: not known

    def values(self, figure: Figure) -> dict[int, float]:
        """Return block -> figure, of valid trials that measured it above 0."""
        return {block: value for block, trial in self.trials.items() if (value := figure.of(trial)) is not None}

    @property
    def is_unsupported(self) -> bool:
        """Whether the machine refused every one of its trials."""
        voids = [trial.void or "" for trial in self.trials.values()]
        return bool(voids) and all(void.startswith(UNSUPPORTED) for void in voids)

    def is_censored(self, figure: Figure) -> bool:
        """Whether in some valid trial the load kept the figure from being better."""
        valid = [trial for trial in self.trials.values() if trial.void is None]
        if figure.name == "established_s":
            return any(OPENING_LIMITED in trial.notes for trial in valid)
        return figure.name in _HELD_BACK and any(is_censored(trial) for trial in valid)


def side(name: str, variant: str, scenario: str, trials: Iterable[TrialResult]) -> Side:
    """Return the trials of a pairing, settings in place; name: what the verdict calls it."""
    own = (t for t in trials if (t.spec.variant, t.spec.scenario, t.spec.reverted) == (variant, scenario, ""))
    return Side(name, {trial.spec.block: trial for trial in own})


def side_of(run: Run, name: str, variant: str, scenario: str) -> Side:
    """Return the same of a run that is to be compared with another one."""
    return replace(side(name, variant, scenario, run.trials), load=load_of(run, scenario))


def load_of(run: Run, scenario: str) -> object:
    """Return what was declared of a scenario when a run began; None where that was not kept."""
    return run.declared.get(f"scenario {scenario}")


def differences(was: object, is_now: object) -> str:
    """Return what is declared otherwise: "connections 50 -> 100". Fields that only one of them has do not count."""
    if not isinstance(was, Mapping) or not isinstance(is_now, Mapping):
        return ""
    both = sorted(was.keys() & is_now.keys())
    return ", ".join(f"{key} {was[key]} -> {is_now[key]}" for key in both if was[key] != is_now[key])


def worth_a_word(declared: Thresholds) -> Callable[[str, str], float]:
    """Return the threshold of each (scenario, figure's name): the declared one, or the default."""

    def threshold(scenario: str, figure: str) -> float:
        found = declared.of(scenario, figure)
        return DEFAULT_THRESHOLD if found is None else found

    return threshold


def judge_pairs(
    pairs: Sequence[tuple[str, Side, Side]],
    thresholds: Callable[[str, str], float],
    noise: Callable[[str, str], float],
    *,
    between_runs: bool = False,
) -> tuple[Judged, ...]:
    """Judge a whole family at once: (scenario, baseline, candidate) times every figure that both sides measured.

    thresholds(scenario, figure's name): the relative difference that is worth a word. noise(scenario, figure's name):
    the largest that A/A pairs showed, 0.0 where there were none. between_runs: the sides share no blocks.
    """
    judged = [
        _one(
            scenario,
            figure,
            baseline,
            candidate,
            max(thresholds(scenario, figure.name), noise(scenario, figure.name)),
            between_runs,
        )
        for scenario, baseline, candidate in pairs
        for figure in FIGURES
        if baseline.values(figure) or candidate.values(figure)
    ]
    measured = [one for one in judged if one.effect is not None]
    corrected = correct([one.effect.p_value for one in measured if one.effect is not None])
    by_id = {id(one): p for one, p in zip(measured, corrected, strict=True)}
    return tuple(_decide(one, by_id[id(one)]) if id(one) in by_id else one for one in judged)


def _one(
    scenario: str, figure: Figure, baseline: Side, candidate: Side, threshold: float, between_runs: bool
) -> Judged:
    first, second = baseline.values(figure), candidate.values(figure)
    both = sorted(first.keys() & second.keys())
    made = Judged(scenario, figure, baseline.name, candidate.name, "undecided", "", threshold=threshold)
    made = replace(made, censored=(baseline.is_censored(figure), candidate.is_censored(figure)))
    if between_runs and (other := differences(baseline.load, candidate.load)):
        return replace(made, reason=f"it is another load: {other}")
    try:
        if between_runs:
            effect = measure_between(list(first.values()), list(second.values()))
        else:
            effect = measure_effect([first[block] for block in both], [second[block] for block in both])
    except TooFewPairs as few:
        return replace(made, reason=str(few))
    return replace(made, effect=effect)


def _decide(one: Judged, p_corrected: float) -> Judged:
    effect = one.effect
    if effect is None:
        return one
    one = replace(one, p_corrected=p_corrected)
    seen = f"; {_could_have_seen(effect)}"
    if not effect.excludes_one:
        return _unless_censored(one, "no difference", _could_have_seen(effect))
    if p_corrected >= 1.0 - CONFIDENCE:
        why = f"not after correction for the family (p {p_corrected:.2f}){seen}"
        return _unless_censored(one, "no difference", why)
    if effect.size <= one.threshold:
        why = f"smaller than {one.threshold:.1%}, which is not worth a word{seen}"
        return _unless_censored(one, "no difference", why)
    more = effect.ratio > 1.0
    return _unless_censored(one, "better" if more == one.figure.more_is_better else "worse", "")


def _unless_censored(one: Judged, word: Word, reason: str) -> Judged:
    """Take what a bound allows: where only the side that is ahead was held back, it is ahead by at least as much."""
    if not any(one.censored):
        return replace(one, word=word, reason=reason)
    ahead_only = {"better": (False, True), "worse": (True, False)}
    if one.censored == ahead_only.get(word):
        return replace(one, word=word, reason="by at least this much: the load was the limit on the side ahead")
    reason = f"at least one side is {_bound(one.figure)}: the load was the limit"
    return replace(one, word="undecided", reason=reason)


def _bound(figure: Figure) -> str:
    return "only known to be at least this good" if figure.more_is_better else "only known to be at most this slow"


def _could_have_seen(effect: Effect) -> str:
    return f"{effect.pairs} trials of each would have shown {effect.detectable_ratio - 1.0:.1%}"


def pairs_within(run: Run, baseline: str, candidates: Sequence[str]) -> list[tuple[str, Side, Side]]:
    """Return every scenario in which both were planned: baseline against each candidate, block by block."""
    run = with_ceilings(run)
    planned = dict.fromkeys((spec.scenario, spec.variant) for spec in run.plan.trials)
    return [
        (scenario, side(baseline, baseline, scenario, run.trials), side(other, other, scenario, run.trials))
        for scenario in dict.fromkeys(scenario for scenario, _ in planned)
        for other in candidates
        if (scenario, baseline) in planned and (scenario, other) in planned
    ]


def pairs_between(old: Run, new: Run) -> list[tuple[str, Side, Side]]:
    """Return every pairing that both runs planned, the older run's as the baseline; an A/A control is no candidate."""
    old, new = with_ceilings(old), with_ceilings(new)
    planned = [dict.fromkeys((spec.scenario, spec.variant) for spec in run.plan.trials) for run in (old, new)]
    return [
        (
            scenario,
            side_of(old, f"{variant} in {old.run_id}", variant, scenario),
            side_of(new, f"{variant} in {new.run_id}", variant, scenario),
        )
        for scenario, variant in planned[0]
        if (scenario, variant) in planned[1] and not variant.endswith(CONTROL)
    ]
