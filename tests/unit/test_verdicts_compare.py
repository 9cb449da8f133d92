"""Verdicts: what makes a difference one, and what keeps it from being called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from orchestrator.model import Kind, Metrics, TrialResult, TrialSpec
from orchestrator.verdicts.compare import Judged, Side, judge_pairs, side
from orchestrator.verdicts.tiers import tiers
from orchestrator.verdicts.validity import GENERATOR_LIMITED, OPENING_LIMITED


def trial(block: int, variant: str, throughput: float | None, *, void: str | None = None) -> TrialResult:
    spec = TrialSpec(block, block, variant, "plain", "closed", "default", 1, 1, "")
    return TrialResult(spec, void, Metrics(throughput_per_s=throughput), {}, {}, (), (), "", 1.0, 1.0)


def trials(variant: str, values: Sequence[float]) -> list[TrialResult]:
    return [trial(block, variant, value) for block, value in enumerate(values)]


def around(value: float, seed: int, pairs: int = 8, spread: float = 0.01) -> list[float]:
    return list(value * np.exp(np.random.default_rng(seed).normal(0.0, spread, pairs)))


def judged(first: Side, second: Side, threshold: float = 0.03, noise: float = 0.0) -> Judged:
    (one,) = judge_pairs([("plain", first, second)], lambda *_: threshold, lambda *_: noise)
    return one


def a_side(variant: str, values: Sequence[float]) -> Side:
    return side(variant, variant, "plain", trials(variant, values))


def test_a_slower_variant_is_worse_and_a_faster_one_better() -> None:
    """More throughput is better; the words follow the figure's direction."""
    slow, fast = a_side("slow", around(900.0, 1)), a_side("fast", around(1000.0, 2))

    assert ("worse", "better") == (judged(fast, slow).word, judged(slow, fast).word)
    assert judged(fast, slow).is_regression


def test_no_difference_says_what_could_have_been_seen() -> None:
    """Absence of evidence is told with its size."""
    one = judged(a_side("a", around(1000.0, 3)), a_side("b", around(1000.0, 4)))

    assert "no difference" == one.word
    assert one.reason.startswith("8 trials of each would have shown ")


def test_a_difference_below_the_threshold_or_the_noise_is_none() -> None:
    """Sure, but not worth a word; or no larger than A/A."""
    first, second = a_side("a", around(1000.0, 5, spread=0.001)), a_side("b", around(980.0, 6, spread=0.001))

    assert "worse" == judged(first, second, threshold=0.01).word
    assert "no difference" == judged(first, second, threshold=0.03).word
    assert "no difference" == judged(first, second, threshold=0.01, noise=0.05).word
    assert "8 trials of each would have shown" in judged(first, second, threshold=0.03).reason
    assert 0.05 == judged(first, second, threshold=0.01, noise=0.05).threshold


def test_void_trials_enter_no_verdict() -> None:
    """A block counts when both sides are valid in it; five are too few."""
    spoilt = trials("b", around(900.0, 7, pairs=8))
    spoilt[0:3] = [replace(one, void="a worker died") for one in spoilt[0:3]]
    one = judged(a_side("a", around(1000.0, 8)), side("b", "b", "plain", spoilt))

    assert ("undecided", None) == (one.word, one.effect)
    assert one.reason.startswith("5 blocks have both")


def test_a_time_to_establish_that_the_generator_set_is_no_difference_between_servers() -> None:
    """Of a hold only what was opened counts: a note on its whole window holds this figure back no more than another."""

    def held(variant: str, seconds: float, note: str) -> Side:
        made = [
            replace(one, metrics=Metrics(established_s=value), notes=(note,))
            for one, value in zip(trials(variant, [1.0] * 8), around(seconds, 11), strict=True)
        ]
        return side(variant, variant, "plain", made)

    fast, slow, free = held("a", 3.0, OPENING_LIMITED), held("b", 4.0, OPENING_LIMITED), held("c", 4.0, "")
    whole = held("d", 3.0, GENERATOR_LIMITED)

    assert "undecided" == judged(fast, slow).word
    assert ("better", (False, True)) == (judged(free, fast).word, judged(free, fast).censored)
    assert ("better", (False, False)) == (judged(free, whole).word, judged(free, whole).censored)


def test_a_lower_bound_decides_only_in_favour_of_whoever_is_ahead() -> None:
    """At least twice as fast is faster; at least as slow as somebody who was not held back is nothing."""

    def limited(variant: str, value: float, seed: int) -> Side:
        held = [replace(one, notes=(GENERATOR_LIMITED,)) for one in trials(variant, around(value, seed))]
        return side(variant, variant, "plain", held)

    slow, fast = a_side("slow", around(1000.0, 10)), limited("fast", 2000.0, 9)
    ahead, behind = judged(slow, fast), judged(a_side("fast", around(2000.0, 9)), limited("slow", 1000.0, 10))
    both = judged(limited("slow", 1000.0, 10), fast)

    assert ("better", (False, True)) == (ahead.word, ahead.censored)
    assert ahead.reason.startswith("by at least this much")
    assert "worse" == judged(fast, slow).word
    assert ["undecided", "undecided"] == [behind.word, both.word]
    assert behind.effect is not None
    assert "undecided" == judged(limited("a", 1000.0, 1), limited("b", 1000.0, 2)).word  # both at the ceiling


def test_one_lucky_pair_in_a_family_is_corrected_away() -> None:
    """A p of 0.03 among twenty comparisons of the same thing is what chance brings."""
    pairs = [
        (f"s{n}", a_side("a", around(1000.0, n, 6, 0.05)), a_side("b", around(1000.0, 500 + n, 6, 0.05)))
        for n in range(40)
    ]
    words = [one.word for one in judge_pairs(pairs, lambda *_: 0.0, lambda *_: 0.0)]
    alone = [judge_pairs([pair], lambda *_: 0.0, lambda *_: 0.0)[0].word for pair in pairs]

    assert {"no difference"} == set(words)
    assert {"no difference"} != set(alone)  # judged one by one, some would have been called


def of_kind(kind: Kind, variant: str, bound_by: str = "", **metrics: Sequence[float]) -> Side:
    """The trials of a scenario of this kind; metrics: field -> one value a block."""
    made = []
    for block, values in enumerate(zip(*metrics.values(), strict=True)):
        one = trial(block, variant, None)
        measured = Metrics(**dict(zip(metrics, values, strict=True)))
        made.append(replace(one, spec=replace(one.spec, kind=kind), metrics=measured, bound_by=bound_by))
    return side(variant, variant, "plain", made)


def test_whoever_holds_fewer_connections_is_worse() -> None:
    """What each costs and how long it waits may be the same; elsewhere the throughput says it."""
    all_of_them, some = [2000.0] * 8, [1400.0] * 8
    found = judged(of_kind("hold", "a", connections_held=all_of_them), of_kind("hold", "b", connections_held=some))
    closed = [of_kind("closed", name, connections_held=held) for name, held in (("a", all_of_them), ("b", some))]

    assert ("connections_held", "worse") == (found.figure.name, found.word)
    assert () == judge_pairs([("plain", closed[0], closed[1])], lambda *_: 0.03, lambda *_: 0.0)


def test_whoever_breaks_earlier_is_worse_unless_the_load_ended_first() -> None:
    """A ramp that its last step or its generator ended has found no breaking point of the server."""
    early, late = [600.0] * 8, [1200.0] * 8
    far, near = (of_kind("ramp", name, "latency", breaking_point=at) for name, at in (("a", late), ("b", early)))
    stopped = [of_kind("ramp", "c", why, breaking_point=early) for why in ("generator", "nothing up to 600")]

    assert "worse" == judged(far, near).word
    assert ["undecided", "undecided"] == [judged(far, one).word for one in stopped]
    assert "better" == judged(near, of_kind("ramp", "d", "generator", breaking_point=late)).word


def test_neighbours_that_cannot_be_told_apart_share_a_tier() -> None:
    """a and b alike, c behind both."""
    sides = {
        name: a_side(name, around(value, seed)) for name, value, seed in (("a", 1000, 1), ("b", 995, 2), ("c", 800, 3))
    }
    every = [("plain", sides[x], sides[y]) for x in sides for y in sides if x < y]

    assert [["a", "b"], ["c"]] == tiers(["a", "b", "c"], judge_pairs(every, lambda *_: 0.03, lambda *_: 0.0))
