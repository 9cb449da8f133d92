"""Sums over processes and threads stay counters when one of them ends."""

from __future__ import annotations

import pytest

from orchestrator.observe.exporter.counters import Counters
from orchestrator.observe.exporter.errors import Unavailable
from orchestrator.observe.exporter.switches import Switches
from orchestrator.observe.exporter.taskstats import TaskCounts


def test_faults_of_a_process_that_ended_stay_counted() -> None:
    """Two processes had 5 and 7; one is gone, the other had two more."""
    faults = Counters()
    faults.follow({(1, 1): (5, 0), (2, 1): (7, 1)})

    assert (14, 1) == faults.follow({(2, 1): (9, 1)})


def test_switches_an_older_kernel_forgets_are_taken_from_its_run_queue_counts() -> None:
    """A thread with 50 voluntary and 10 involuntary switches ended; both counters keep them."""
    switches = Switches()
    switches.follow({(1, 1): TaskCounts(voluntary=60, involuntary=12, timeslices=72, wait_s=1.0)})
    totals = switches.follow({(1, 1): TaskCounts(voluntary=10, involuntary=2, timeslices=72, wait_s=1.0)})

    assert (60, 12, 72) == (totals.voluntary, totals.involuntary, totals.timeslices)


def test_switches_on_a_newer_kernel_are_taken_as_they_are() -> None:
    """Where nothing was forgotten nothing is added."""
    switches = Switches()
    totals = switches.follow({(1, 1): TaskCounts(60, 12, 72, 1.0), (2, 1): TaskCounts(1, 1, 2, 0.5)})

    assert (61, 13, 74, 1.5) == (totals.voluntary, totals.involuntary, totals.timeslices, totals.wait_s)


def test_a_process_that_vanished_keeps_its_last_switches() -> None:
    """The sum over processes is a counter: it does not fall when one of them ends."""
    switches = Switches()
    switches.follow({(1, 1): TaskCounts(60, 12, 72, 1.0), (2, 1): TaskCounts(5, 0, 5, 0.5)})

    assert 65 == switches.follow({(1, 1): TaskCounts(60, 12, 72, 1.0)}).voluntary


def test_switches_that_nothing_can_tell_are_missing_from_then_on() -> None:
    """Without run-queue counts a fall means threads ended with switches nobody kept."""
    switches = Switches()
    switches.follow({(1, 1): TaskCounts(60, 12, None, None)})

    for counts in (TaskCounts(10, 2, None, None), TaskCounts(500, 2, None, None)):
        with pytest.raises(Unavailable, match="threads exited"):
            switches.follow({(1, 1): counts})
