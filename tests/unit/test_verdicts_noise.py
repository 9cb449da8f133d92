"""The A/A floor: how far one image is from itself."""

from __future__ import annotations

import pytest

from orchestrator.model import Run
from orchestrator.verdicts.noise import floor_of, noise_floor, self_differences
from tests.unit.nights import a_night

KEY = ("plain", "throughput_per_s")


def test_a_nights_difference_is_over_its_blocks_and_has_no_sign() -> None:
    """The geometric mean of the blocks' ratios: 1.04 and 1 / 1.04 are the same distance."""
    up = a_night(1, {"fast": [100.0, 200.0], "fast~control": [104.0, 208.0]})
    down = a_night(1, {"fast": [104.0, 208.0], "fast~control": [100.0, 200.0]})
    mixed = a_night(1, {"fast": [100.0, 104.0], "fast~control": [104.0, 100.0]})

    assert [pytest.approx(0.04)] * 2 == [self_differences(night)[KEY] for night in (up, down)]
    assert pytest.approx(0.0, abs=1e-12) == self_differences(mixed)[KEY]


def test_only_blocks_that_both_names_measured_count() -> None:
    """A void trial takes its block out; a night without a pair says nothing."""
    night = a_night(1, {"fast": [100.0, 100.0], "fast~control": [102.0, 0.0]})

    assert pytest.approx(0.02) == self_differences(night)[KEY]
    assert {} == self_differences(a_night(1, {"fast": [100.0]}))


def night_of(number: int, control: float, blocks: int = 6) -> Run:
    return a_night(number, {"fast": [100.0] * blocks, "fast~control": [control] * blocks})


def test_the_floor_is_the_95th_percentile_of_the_nights() -> None:
    """By nearest rank: of twenty nights the second largest may be left out, of fewer none."""
    nights = [night_of(n, 100.0 + n) for n in range(1, 21)]

    assert pytest.approx(0.19) == noise_floor(nights)[KEY]
    assert pytest.approx(0.05) == noise_floor(nights[:5])[KEY]
    assert pytest.approx(0.05) == floor_of(nights[:5])(*KEY)
    assert ({}, 0.0) == (noise_floor([]), floor_of([])(*KEY))


def test_a_night_of_few_a_a_blocks_raises_no_floor() -> None:
    """One block that was off by half would hide every smaller regression until twenty nights have passed."""
    nights = [night_of(1, 102.0), night_of(2, 150.0, blocks=5)]

    assert pytest.approx(0.5) == self_differences(nights[1])[KEY]
    assert pytest.approx(0.02) == noise_floor(nights)[KEY]
