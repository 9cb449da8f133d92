"""Tiers of a run: groups by figure and scenario, with those left out who have too few valid trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from orchestrator.model import Metrics, Plan, Run, TrialResult
from orchestrator.verdicts.tiers import only, tier_run
from orchestrator.verdicts.validity import GENERATOR_LIMITED
from tests.unit.test_verdicts_compare import around, trials


def a_run(*sides: Sequence[TrialResult]) -> Run:
    every = tuple(one for side in sides for one in side)
    return Run("r", "s", "", "", {}, Plan("s", 1, tuple(one.spec for one in every), ()), every)


def test_a_run_is_tiered_by_figure_with_the_best_first() -> None:
    """a and b alike, c behind; their geometric means stand beside."""
    (found,) = tier_run(
        a_run(trials("c", around(800.0, 3)), trials("b", around(995.0, 2)), trials("a", around(1000.0, 1))),
        lambda *_: 0.03,
    )

    assert ("plain", "throughput_per_s") == (found.scenario, found.figure.name)
    assert [{"a", "b"}, {"c"}] == [set(group) for group in found.groups]
    assert 800.0 == pytest.approx(found.typical["c"], rel=0.02)


def test_less_is_better_where_the_figure_says_so() -> None:
    """Latency is ordered the other way round."""

    def slow(variant: str, value: float, seed: int) -> list[TrialResult]:
        made = trials(variant, around(value, seed))
        return [replace(t, metrics=Metrics(p99_s=t.metrics.throughput_per_s)) for t in made]

    (found,) = tier_run(a_run(slow("dear", 0.2, 1), slow("cheap", 0.1, 2)), lambda *_: 0.03)

    assert (("cheap",), ("dear",)) == found.groups


def test_too_few_valid_trials_leave_a_variant_out() -> None:
    """It is named; two that are left are tiered, one alone is not."""
    few = [replace(one, void="throttled") if one.spec.block else one for one in trials("few", around(1000.0, 5))]
    a, b = trials("a", around(1000.0, 6)), trials("b", around(500.0, 7))
    (found,) = tier_run(a_run(few, a, b), lambda *_: 0.03)

    assert ((("a",), ("b",)), ("few",)) == (found.groups, found.left_out)
    assert () == tier_run(a_run(few, a), lambda *_: 0.03)


def test_two_at_the_ceiling_of_the_load_share_a_tier() -> None:
    """Whatever their figures: neither is known to be faster."""
    first = [replace(one, notes=(GENERATOR_LIMITED,)) for one in trials("a", around(1000.0, 8))]
    second = [replace(one, notes=(GENERATOR_LIMITED,)) for one in trials("b", around(900.0, 9))]
    (found,) = tier_run(a_run(first, second), lambda *_: 0.03)

    assert ((("a", "b"),), frozenset({"a", "b"})) == (found.groups, found.bounds)


def test_a_ceiling_stays_when_whoever_showed_it_is_not_asked_about() -> None:
    """Both came up to what the load gave wild: a twentieth between them may be the load's."""
    wild = [replace(one, notes=(GENERATOR_LIMITED,)) for one in trials("wild", [1000.0] * 8)]
    run = a_run(wild, trials("a", around(980.0, 1, spread=0.002)), trials("b", around(1030.0, 2, spread=0.002)))
    (found,) = tier_run(only(run, ("a", "b")), lambda *_: 0.03)

    assert ((("b", "a"),), frozenset({"a", "b"})) == (found.groups, found.bounds)
