"""What is dear is read less often, so that all targets together stay within the source's share of a core."""

from __future__ import annotations

import pytest

from orchestrator.observe.exporter import pace as module
from orchestrator.observe.exporter.pace import Budget, Pace

BUDGET = Budget(share=0.01, least_s=1.0, fresh_within_s=0.002)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


def spend(pace: Pace, target: str, cost_s: float) -> None:
    """Have a target that was read twice, at the same cost."""
    for _ in range(2):
        pace.spent("dump", target, BUDGET, cost_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_what_was_never_read_is_due(clock: Clock) -> None:
    """A target that has just come has a value within its first sample."""
    assert Pace().is_due("dump", "a", BUDGET, fresh=False)


def test_the_rest_is_what_was_spent_by_the_share(clock: Clock) -> None:
    """50 ms at a hundredth of a core are five seconds."""
    pace = Pace()
    spend(pace, "a", 0.05)
    clock.now_s += 4.8
    assert not pace.is_due("dump", "a", BUDGET, fresh=False)
    clock.now_s += 0.3

    assert pace.is_due("dump", "a", BUDGET, fresh=False)
    assert {"dump": pytest.approx(5.0)} == pace.intervals_s()


def test_how_long_something_rests_is_told(clock: Clock) -> None:
    """Five seconds less what samples are too early by; nothing for what is due, is being read or never was."""
    pace = Pace()
    assert 0.0 == pace.due_in_s("dump", "a", BUDGET)
    spend(pace, "a", 0.05)
    assert pytest.approx(4.9) == pace.due_in_s("dump", "a", BUDGET)
    clock.now_s += 1.0
    assert pytest.approx(3.9) == pace.due_in_s("dump", "a", BUDGET)
    pace.begin("dump", "a")
    assert 0.0 == pace.due_in_s("dump", "a", BUDGET)
    pace.spent("dump", "a", BUDGET, 0.05)
    clock.now_s += 1000.0

    assert 0.0 == pace.due_in_s("dump", "a", BUDGET)


def test_one_read_that_seems_dear_is_not_believed(clock: Clock) -> None:
    """A hypervisor took the CPU away for 40 ms in the middle of one read: the source does not rest for that."""
    pace = Pace()
    for cost_s in (0.04, 0.0005, 0.04, 0.0005):
        pace.spent("dump", "a", BUDGET, cost_s)
        assert {"dump": 1.0} == pace.intervals_s()
    pace.spent("dump", "a", BUDGET, 0.04)
    pace.spent("dump", "a", BUDGET, 0.04)

    assert {"dump": pytest.approx(4.0)} == pace.intervals_s()


def test_targets_share_one_budget(clock: Clock) -> None:
    """Twenty variants of an arena rest twenty times as long as one of them would, until they are forgotten."""
    pace = Pace()
    for n in range(20):
        spend(pace, str(n), 0.05)
    assert {"dump": pytest.approx(100.0)} == pace.intervals_s()
    for n in range(1, 20):
        pace.forget(str(n))

    assert {"dump": pytest.approx(5.0)} == pace.intervals_s()


def test_what_is_cheap_rests_no_less_than_its_least(clock: Clock) -> None:
    """A read of microseconds is not repeated with every look ten times a second."""
    pace = Pace()
    spend(pace, "a", 0.00001)
    clock.now_s += 0.8

    assert not pace.is_due("dump", "a", BUDGET, fresh=False)


def test_a_reading_reads_anew_only_what_is_cheap(clock: Clock) -> None:
    """Its caller waits, and may begin a scored window with it."""
    pace = Pace()
    spend(pace, "a", 0.001)
    assert pace.is_due("dump", "a", BUDGET, fresh=True)
    spend(pace, "a", 0.003)
    clock.now_s += 1000

    assert not pace.is_due("dump", "a", BUDGET, fresh=True)


def test_over_time_no_more_is_spent_than_the_share(clock: Clock) -> None:
    """Three targets whose cost grows from nothing to 0.3 s each, for an hour: a hundredth of it."""
    pace = Pace()
    spent_s = 0.0
    began_s = clock.now_s
    while clock.now_s < began_s + 3600:
        for name in "abc":
            if pace.is_due("dump", name, BUDGET, fresh=False):
                cost_s = min(0.3, (clock.now_s - began_s) / 100)
                pace.spent("dump", name, BUDGET, cost_s)
                spent_s += cost_s
        clock.now_s += 1.0

    assert 0.005 < spent_s / 3600 <= 0.0105  # the last read of each may be paid for after the hour
