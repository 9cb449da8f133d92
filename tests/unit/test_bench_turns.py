"""Which turns make a pair, and who is who in it."""

from __future__ import annotations

from bench.turns import order, paired


def test_each_pair_has_both_and_who_is_first_changes() -> None:
    """So that a machine that becomes slower all the time takes as much from either."""
    assert [True, False, False, True, True, False] == order(3, on_first=True)
    assert [False, True, True, False] == order(2, on_first=False)


def test_rates_are_sorted_by_what_was_on() -> None:
    """(on, off), whoever came first; what wrk counted as wrong spoils all of its run."""
    pairs = paired(order(2, on_first=True), [100.0, 90.0, 80.0, 70.0], 3)

    assert [(100.0, 90.0), (70.0, 80.0)] == [(on.per_s, off.per_s) for on, off in pairs]
    assert {3} == {slot.wrong for pair in pairs for slot in pair}
