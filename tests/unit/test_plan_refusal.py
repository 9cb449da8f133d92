"""A plan that cannot work is refused in one line before anything starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.errors import BadInput
from orchestrator.model import Bound, LeftOut, Plan, TrialSpec
from orchestrator.planning.refusal import find_impossible, refuse_empty, refuse_impossible

PORTS = Bound("source ports", 28_232, "1 source x 28,232 ports", "a wider ip_local_port_range", "container")
FILES = Bound("server descriptors", 99_680, "5 x 19,936", "a sixth process", "host", wanted=100_000)
SPEC = TrialSpec(0, 0, "c-epoll", "hold-40k", "hold", "c100k", 1, 1, "", "engine")


def plan_of(*bounds: Bound, reverted: str = "") -> Plan:
    """Return a plan of one trial with the bounds given."""
    return Plan("s", 1, (replace(SPEC, bounds=bounds, reverted=reverted),), ())


def test_the_line_names_trial_constraint_fix_and_owner() -> None:
    """Everything a person needs to go on."""
    with pytest.raises(BadInput) as caught:
        refuse_impossible(plan_of(replace(PORTS, wanted=40_000.0), FILES))

    assert (
        "c-epoll on hold-40k: 40,000 connections wanted, but source ports allow at most 28,232 (1 source x 28,232 "
        "ports). Fix (container): a wider ip_local_port_range, or try it all the same with --attempt"
    ) == str(caught.value)
    assert 2 == caught.value.exit_code


@pytest.mark.parametrize(
    "bound",
    [
        replace(PORTS, wanted=28_232.0),
        replace(PORTS, wanted=40_000.0, hard=False),
        replace(PORTS, wanted=40_000.0, most=None),
    ],
)
def test_what_fits_or_only_slows_or_is_not_known_is_not_refused(bound: Bound) -> None:
    """Exactly the limit fits; a soft constraint costs time; an unknown one forbids nothing."""
    refuse_impossible(plan_of(bound))

    assert [] == find_impossible(plan_of(bound))


def test_an_ablation_may_ask_for_more_than_there_is() -> None:
    """Its trials are meant to meet the limit."""
    plan = plan_of(replace(PORTS, wanted=40_000.0), reverted="net.ipv4.ip_local_port_range=32768 60999")

    assert [] == find_impossible(plan)


def test_a_plan_of_which_nothing_is_left_says_why() -> None:
    """Each reason once, with constraint, figures and fix; a plan with a trial left is none of them."""
    needs = "needs 2,064 descriptors in one process; profile default allows 1,024. Fix: a higher nofile in it"
    lacks = "declares that it lacks delay"
    left = (LeftOut("a", "hold", needs), LeftOut("b", "hold", needs), LeftOut("c", "hold", lacks))
    with pytest.raises(BadInput) as caught:
        refuse_empty(Plan("s", 1, (), left))
    refuse_empty(Plan("s", 1, (SPEC,), left))

    assert (
        f"suite s: none of its 3 pairings can run: a on hold {needs}; c on hold {lacks}. "
        "Try: lab plan s for all of them, or --attempt, which runs what lacks descriptors all the same"
    ) == str(caught.value)


def test_several_pairings_are_counted_once_each() -> None:
    """Repetitions of a pairing are one."""
    bound = replace(PORTS, wanted=40_000.0)
    specs = [replace(SPEC, bounds=(bound,), variant=variant, block=block) for block in (0, 1) for variant in "ab"]
    with pytest.raises(BadInput, match=r"\(and 1 more pairings\)"):
        refuse_impossible(Plan("s", 1, tuple(specs), ()))
