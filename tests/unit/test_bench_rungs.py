"""What a pair of windows with a rung off and on says, and when it says nothing."""

from __future__ import annotations

import pytest

from bench.lines import LINES
from bench.rungs import RUNGS, ratio, spoilt_by
from bench.wrk import Slot


def slot(per_s: float | None) -> Slot:
    return Slot("wrk", per_s, per_s, 0, "" if per_s else "not counted")


@pytest.mark.parametrize(
    ("off", "on", "expected"), [(100.0, 90.0, 0.9), (None, 90.0, None), (100.0, None, None), (0.0, 90.0, None)]
)
def test_a_pair_is_on_by_off_or_nothing(off: float | None, on: float | None, expected: float | None) -> None:
    """A slot that could not be counted makes no ratio, and neither does a server that answered nothing."""
    assert expected == ratio((slot(off), slot(on)))


def test_a_pair_that_was_not_counted_or_went_wrong_spoils_the_rung() -> None:
    """The pair and the reason are named; a sound one spoils nothing."""
    sound = (slot(100.0), slot(90.0))

    assert "" == spoilt_by("ebpf", [sound])
    assert "pair 2, ebpf: not counted" == spoilt_by("ebpf", [sound, (slot(100.0), slot(None))])
    wrong = Slot("wrk", 90.0, 90.0, 3)
    assert "pair 1, ebpf: 3 wrong or missing answers" == spoilt_by("ebpf", [(slot(100.0), wrong)])


def test_every_rung_has_its_line() -> None:
    """Each is in bench.json, measured or not."""
    assert {f"rungs {rung}: throughput on / off" for rung in RUNGS} == {
        line.name for line in LINES if line.experiment == "rungs"
    }
