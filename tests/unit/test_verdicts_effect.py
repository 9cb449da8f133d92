"""Effects of paired blocks: seeded data with a known answer, "no difference" included."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orchestrator.verdicts.effect import TooFewPairs, correct, measure_between, measure_effect


def blocks(seed: int, pairs: int, ratio: float, spread: float, drift: float = 0.3) -> tuple[list[float], list[float]]:
    """Return baseline and candidate of blocks on a machine that drifts by `drift` between blocks, both sides alike."""
    draw = np.random.default_rng(seed)
    machine = np.exp(draw.normal(0.0, drift, pairs))
    first = 1000.0 * machine * np.exp(draw.normal(0.0, spread, pairs))
    second = 1000.0 * ratio * machine * np.exp(draw.normal(0.0, spread, pairs))
    return list(first), list(second)


def test_a_tenth_is_found_on_a_machine_that_drifts_by_a_third() -> None:
    """The blocks share the machine's mood, so the ratio is told far more sharply than either side."""
    effect = measure_effect(*blocks(seed=7, pairs=10, ratio=0.9, spread=0.01))

    assert 10 == effect.pairs
    assert 0.9 == pytest.approx(effect.ratio, rel=0.02)
    assert effect.low < 0.9 < effect.high < 1.0
    assert effect.excludes_one
    assert effect.p_value < 0.001
    assert effect.p_rank == pytest.approx(2 / 2**10)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Of 200 comparisons with a true ratio of 0.9 at least 90 % cover it; BCa alone would not with six blocks."""
    covered = 0
    for seed in range(200):
        effect = measure_effect(*blocks(seed, pairs=6, ratio=0.9, spread=0.03))
        covered += effect.low <= 0.9 <= effect.high

    assert covered >= 180


def test_the_same_twice_is_seldom_called_different() -> None:
    """Of 200 comparisons of a thing with itself at most 5 % and a little luck exclude 1."""
    false_alarms = sum(
        measure_effect(*blocks(seed, pairs=8, ratio=1.0, spread=0.05)).excludes_one for seed in range(1000, 1200)
    )

    assert false_alarms <= 14  # 10 expected at most; 14 is the binomial's 90th percentile


def test_what_could_have_been_seen_is_seen_four_times_in_five() -> None:
    """The smallest detectable ratio of these blocks, planted, is found in about 80 % of the cases."""
    spread, pairs = 0.03, 10
    detectable = math.log(measure_effect(*blocks(1, pairs, 1.0, spread)).detectable_ratio)
    exact = 3.0 * spread * math.sqrt(2.0) / math.sqrt(pairs)
    found = sum(
        measure_effect(*blocks(seed, pairs, math.exp(exact), spread)).p_value < 0.05 for seed in range(2000, 2200)
    )

    assert exact == pytest.approx(detectable, rel=0.6)  # one sample's guess of the spread
    assert 140 <= found <= 185


def test_a_ratio_and_its_inverse_are_as_large() -> None:
    """Twice as much and half as much differ by the same."""
    first, second = blocks(seed=3, pairs=6, ratio=2.0, spread=0.01)

    assert measure_effect(first, second).size == pytest.approx(measure_effect(second, first).size)


def test_blocks_that_all_say_the_same_are_certain() -> None:
    """A figure without spread has an interval without width."""
    effect = measure_effect([2.0] * 6, [3.0] * 6)

    assert 1.5 == pytest.approx(effect.ratio)
    assert 0.0 == effect.p_value
    assert effect.low == effect.ratio == effect.high
    assert (1.0, 1.0) == (measure_effect([2.0] * 6, [2.0] * 6).ratio, measure_effect([2.0] * 6, [2.0] * 6).p_value)


def test_five_blocks_are_too_few() -> None:
    """They could not reach p < 0.05 by rank, whatever they showed."""
    with pytest.raises(TooFewPairs, match="5 blocks have both; 6 are needed"):
        measure_effect([1.0] * 5, [2.0] * 5)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_figure_without_a_ratio_is_refused(bad: float) -> None:
    """Never a number made of nothing."""
    with pytest.raises(ValueError, match="above 0"):
        measure_effect([1.0] * 6, [1.0] * 5 + [bad])


def test_the_correction_is_benjamini_and_hochbergs() -> None:
    """The textbook example: p_(i) * n / i, monotone from the end."""
    assert [0.04, 0.04, 0.04, 0.04] == pytest.approx(correct([0.01, 0.02, 0.03, 0.04]))
    assert [] == correct([])


def test_two_runs_are_compared_without_pairing() -> None:
    """Trial by trial they have nothing in common: shuffling one side changes nothing, and the truth is covered."""
    draw = np.random.default_rng(5)
    first = list(1000.0 * np.exp(draw.normal(0.0, 0.02, 10)))
    second = list(900.0 * np.exp(draw.normal(0.0, 0.02, 8)))
    effect = measure_between(first, second)

    assert 8 == effect.pairs
    assert effect.low < 0.9 < effect.high < 1.0
    assert effect.ratio == pytest.approx(measure_between(first[::-1], second).ratio)
    assert max(effect.p_value, effect.p_rank) < 0.001
    with pytest.raises(TooFewPairs, match="a side has 5 valid trials"):
        measure_between(first, second[:5])
