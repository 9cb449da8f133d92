"""A ramp: waited for step by step, told from the one before, and given up where it does not begin."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.errors import NotReady
from orchestrator.load.master import Ramp
from orchestrator.model import Step
from orchestrator.offer import ramp as ramping
from tests.unit.load_played import RAMP, STAIRS, Clock, Swarm, clock, run

__all__ = ["clock"]  # pytest finds the fixture by this name

STEPS = (
    Step(50.0, 500.0, 0.001, 0.002, 0.0, 50, 0.2, ""),
    Step(100.0, 900.0, 0.001, 0.002, 0.0, 100, 0.4, ""),
    Step(200.0, 10.0, 0.001, 0.002, 0.5, 110, 0.4, "errors"),
)
NAMES = ("ramp-0", "ramp-1", "ramp-2")


def test_a_ramp_is_waited_for_and_not_mistaken_for_the_one_before(clock: Clock) -> None:
    """The master still tells of an earlier trial's ramp at first; it ends its own load; what bound is in a note."""
    before = Ramp(False, STEPS[:1], 50.0, "nothing up to 50", ("old-0",))
    swarm = Swarm(clock, lambda since_s: {"state": "running" if since_s < 0.3 else "stopped"})
    swarm.ramps = [before, before, Ramp(True, (), None, "", ("ramp-0",)), Ramp(False, STEPS, 100.0, "errors", NAMES)]
    load = run(clock, RAMP, swarm)

    assert load.ramp is not None
    assert (STEPS, 100.0, "errors") == (load.ramp.steps, load.ramp.breaking_point, load.ramp.bound_by)
    assert (100, {}) == (load.established, load.window.rows[0].errors)
    assert ("errors at 200, where it ended: 9 ECONNREFUSED in connect",) == load.notes


def test_a_ramp_that_does_not_begin_is_given_up(clock: Clock) -> None:
    """One line with what was expected, not a wait for ever."""
    swarm = Swarm(clock)
    swarm.ramps = [Ramp(False, (), None, "")]
    with pytest.raises(NotReady, match=r"^ramp plain: expected its first step in time, seen no steps"):
        run(clock, RAMP, swarm)


@pytest.mark.parametrize(
    ("first", "last", "factor", "steps"), [(50, 200, 2.0, 3), (50, 5000, 1.5, 13), (50, 50, 2.0, 1), (1, 1000, 10.0, 4)]
)
def test_steps_are_counted_up_to_the_last_one(first: float, last: float, factor: float, steps: int) -> None:
    """The last step is `last` itself, however far the factor would go."""
    assert steps == ramping.count_steps(replace(STAIRS, first=first, last=last, factor=factor))
