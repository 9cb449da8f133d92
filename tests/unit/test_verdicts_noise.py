"""The A/A floor: how far one image is from itself."""

from __future__ import annotations

import pytest

from orchestrator.verdicts.noise import noise_floor, self_differences
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


def test_the_floor_is_the_95th_percentile_of_the_nights() -> None:
    """By nearest rank: of twenty nights the second largest may be left out, of fewer none."""
    nights = [a_night(n, {"fast": [100.0], "fast~control": [100.0 + n]}) for n in range(1, 21)]

    assert pytest.approx(0.19) == noise_floor(nights)[KEY]
    assert pytest.approx(0.05) == noise_floor(nights[:5])[KEY]
    assert {} == noise_floor([])
