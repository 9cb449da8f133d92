"""What other programs took of a trial's CPUs, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.verdicts.others import LOADS, SERVERS, SHARED, Spent, taken_by_others

# Ten seconds, three CPUs that always ran: the server's had 9 s of it, the load's two 15; a fourth is nobody's.
SPENT = Spent(10.0, {"0": 10.0, "1": 10.0, "2": 10.0, "3": 5.0}, server_s=9.0, beside_s=15.0, asker_s=0.0)
SERVER, LOAD = frozenset({0}), frozenset({1, 2})


def test_what_the_lab_did_not_run_was_others() -> None:
    """1 of 10 s on the server's CPU, 5 of 20 on the load's."""
    assert {SERVERS: pytest.approx(0.1), LOADS: pytest.approx(0.25)} == taken_by_others(SPENT, SERVER, LOAD)


def test_the_labs_own_process_is_no_other_program() -> None:
    """It may have run on either side, so both are credited with it, and what is said is the least."""
    assert {SERVERS: pytest.approx(0.05), LOADS: pytest.approx(0.225)} == taken_by_others(
        replace(SPENT, asker_s=0.5), SERVER, LOAD
    )


def test_what_ticks_may_be_off_by_is_not_said_of_anybody() -> None:
    """Half busy for 10 s of 250 ticks each: a standard deviation is 0.1 s, and two of them are left out."""
    found = taken_by_others(replace(SPENT, server_s=4.0), frozenset({3}), SERVER)

    assert pytest.approx((5.0 - 4.0 - 0.2) / 10.0) == found[SERVERS]


def test_ticks_that_missed_the_lab_took_nothing_from_it() -> None:
    """Less ran than the lab's own: counting is coarse, and nobody gave time back."""
    assert {SERVERS: 0.0} == taken_by_others(replace(SPENT, server_s=10.2), SERVER, frozenset({7}))


def test_a_cpu_that_is_shared_is_judged_once() -> None:
    """On one CPU: of 10 s 6 were the server's and 2 the load's."""
    spent = replace(SPENT, server_s=6.0, beside_s=2.0)

    assert {SHARED: pytest.approx(0.2)} == taken_by_others(spent, SERVER, SERVER)


@pytest.mark.parametrize("spent", [replace(SPENT, elapsed_s=0.0), replace(SPENT, ran_s={})])
def test_what_is_not_known_is_not_judged(spent: Spent) -> None:
    """No time, or no CPU, makes no ratio."""
    assert {} == taken_by_others(spent, SERVER, LOAD)
