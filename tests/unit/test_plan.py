"""A suite becomes ordered, seeded trials; what a variant cannot serve is left out with the reason."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from orchestrator.errors import BadInput
from orchestrator.model import Plan, Scenario
from orchestrator.planning.ablation import profile_of
from orchestrator.planning.plan import make_plan, serves
from tests.unit.small_labs import HOLD, PLAIN, SIX, make_lab, make_variant, plan_hold

GOLDEN = [
    "plain/c-epoll",
    "plain/go-nethttp",
    "plain/py-asyncio",
    "plain/c-threads",
    "hold-2k/c-threads",
    "hold-2k/py-asyncio",
    "hold-2k/c-epoll",
    "hold-2k/go-nethttp",
]  # of seed 7 over the last four


def test_an_ablation_takes_one_setting_back_at_a_time() -> None:
    """Each pairing runs with all in place and without each setting, in as many processes, in every block."""
    lab = make_lab(make_variant("c-epoll"), make_variant("c-threads"), scenarios=(HOLD,), nofile=1500, trials=2)
    reverts = ("nofile=512", "net.core.somaxconn=128")
    lab = replace(lab, suites={"quick": replace(lab.suites["quick"], reverts=reverts)})
    plan = make_plan(lab, "quick", nofile_granted=None)

    assert 12 == len(plan.trials)
    for block in (plan.trials[:6], plan.trials[6:]):
        assert {(v, r) for v in ("c-epoll", "c-threads") for r in ("", *reverts)} == {
            (spec.variant, spec.reverted) for spec in block
        }
        assert 1 == sum(before.variant != after.variant for before, after in pairwise(block))
    assert {(2, 2)} == {(spec.server_processes, spec.workers) for spec in plan.trials}


def test_a_trial_of_an_ablation_has_its_own_profile() -> None:
    """A sysctl or the descriptors as the trial says; all else, and every other trial, as in the profile."""
    lab = make_lab(make_variant("c-epoll"), scenarios=(HOLD,), trials=1)
    lab = replace(lab, profiles={"default": replace(lab.profiles["default"], sysctls={"a": "1", "b": "2"})})
    (spec,) = make_plan(lab, "quick", nofile_granted=None).trials
    whole, sysctl, files = (profile_of(lab, replace(spec, reverted=text)) for text in ("", "b=3 4", "nofile=512"))

    assert lab.profiles["default"] == whole
    assert ({"a": "1", "b": "3 4"}, whole.nofile) == (sysctl.sysctls, sysctl.nofile)
    assert (whole.sysctls, 512) == (files.sysctls, files.nofile)


def order_of(plan: Plan) -> list[str]:
    """Return the pairings in the order of the trials."""
    return [f"{spec.scenario}/{spec.variant}" for spec in plan.trials]


def test_quick_is_four_closed_and_six_hold_trials_per_block() -> None:
    """Two blocks of ten; the seeds' closed pairings are left out, in the suite's order."""
    plan = make_plan(make_lab(), "quick", nofile_granted=None)

    assert (20, list(range(20)), [0] * 10 + [1] * 10) == (
        len(plan.trials),
        [spec.index for spec in plan.trials],
        [spec.block for spec in plan.trials],
    )
    assert [("plain", "seed-go"), ("plain", "seed-c")] == [(out.scenario, out.variant) for out in plan.left_out]


def test_each_block_holds_every_pairing_once() -> None:
    """Interleaving never repeats a pairing before all others had their turn."""
    order = order_of(make_plan(make_lab(trials=5), "quick", nofile_granted=None))
    blocks = [order[start : start + 10] for start in range(0, 50, 10)]

    assert [10] * 5 == [len(set(block)) for block in blocks]
    assert 1 == len({frozenset(block) for block in blocks})


def test_blocks_differ_in_order() -> None:
    """Ten pairings shuffled five times come out in more than one order, scenarios included."""
    order = order_of(make_plan(make_lab(trials=5), "quick", nofile_granted=None))
    blocks = [tuple(order[start : start + 10]) for start in range(0, 50, 10)]

    assert 5 == len(set(blocks))
    assert {"plain", "hold-2k"} == {block[0].partition("/")[0] for block in blocks}


def test_the_trials_of_a_scenario_are_neighbours_within_a_block() -> None:
    """What is compared runs close together, so that drift falls on all alike."""
    order = order_of(make_plan(make_lab(trials=1), "quick", nofile_granted=None))
    scenarios = [pairing.partition("/")[0] for pairing in order]

    assert 1 == sum(before != after for before, after in pairwise(scenarios))


def test_a_seed_gives_the_same_order_for_ever() -> None:
    """The order is part of a published result; this one was written down on Python 3.11."""
    plan = make_plan(make_lab(*SIX[2:], trials=1, seed=7), "quick", nofile_granted=None)

    assert GOLDEN == order_of(plan)


def test_another_seed_gives_another_order() -> None:
    """The seed is what decides."""
    one, two = (make_plan(make_lab(seed=seed), "quick", nofile_granted=None) for seed in (1, 2))

    assert (1, 2, True) == (one.seed, two.seed, order_of(one) != order_of(two))


def test_an_unknown_suite_is_refused_with_the_known_ones() -> None:
    """The line says what to write."""
    with pytest.raises(BadInput, match=r"^/lab/lab.yaml: 'quik' is not a suite; write one of: quick$"):
        make_plan(make_lab(), "quik", nofile_granted=None)


@pytest.mark.parametrize(
    ("changes", "scenario", "reason"),
    [
        ({}, PLAIN, None),
        ({}, HOLD, None),
        ({"fixed_delay": True}, HOLD, None),
        ({"fixed_delay": True, "speaks": "raw"}, HOLD, None),
        ({"fixed_delay": True}, PLAIN, "knows one answer only, after a fixed delay; plain asks for /plain at once"),
        ({"speaks": "raw"}, PLAIN, "speaks the raw line protocol; plain asks for HTTP /plain"),
        ({}, replace(HOLD, answer="release"), None),
        (
            {"fixed_delay": True},
            replace(HOLD, answer="release"),
            "knows one answer only, after a fixed delay; hold-2k is answered on release",
        ),
        ({"speaks": "raw"}, replace(PLAIN, kind="storm"), "speaks the raw line protocol; plain asks for HTTP /plain"),
        (
            {"speaks": "raw"},
            HOLD,
            "speaks the raw line protocol and has no delay to set; hold-2k needs its answers delayed",
        ),
    ],
)
def test_a_variant_serves_what_its_manifest_allows(
    changes: dict[str, object], scenario: Scenario, reason: str | None
) -> None:
    """The reason is in words, or None."""
    assert reason == serves(make_variant("v", **changes), scenario)


def test_a_variant_is_left_out_on_a_kernel_it_does_not_run_on() -> None:
    """5.4 is older than 5.10, though not as text or as a decimal."""
    lab = make_lab(make_variant("uring", kernel_least=(5, 10)), make_variant("c-epoll"), trials=1)
    plan = make_plan(lab, "quick", nofile_granted=None, kernel=(5, 4))

    assert {"needs Linux 5.10 or newer; this kernel is 5.4"} == {out.reason for out in plan.left_out}
    assert {"c-epoll"} == {spec.variant for spec in plan.trials}


def test_a_kernel_new_enough_leaves_nothing_out() -> None:
    """The least kernel itself is enough."""
    lab = make_lab(make_variant("uring", kernel_least=(5, 10)), trials=1)

    assert () == make_plan(lab, "quick", nofile_granted=None, kernel=(5, 10)).left_out


def test_a_wall_is_no_reason_to_leave_a_trial_out() -> None:
    """Meeting it is what the trial shows."""
    plan = plan_hold(2_000, 20_000, wall="FD_SETSIZE", connections_most=1_000)

    assert (1, ()) == (len(plan.trials), plan.left_out)


def test_a_trial_knows_how_its_variant_is_grouped() -> None:
    """A stored run is drawn without its lab file."""
    assert ("c", "epoll") == (SPEC.language, SPEC.technique)


SPEC = plan_hold(10, None).trials[0]
RELEASED = replace(HOLD, name="released", path="/hold", answer="release")
IMAGE = {"image": "my/app:1", "runtime": ""}


@pytest.mark.parametrize(
    ("changes", "scenario", "expected"),
    [
        ({"lacks": ("hold",)}, HOLD, None),
        ({"lacks": ("hold",)}, RELEASED, "declares that it lacks hold, which released asks for"),
        ({"lacks": ("stats", "echo-chunked")}, RELEASED, "declares that it lacks stats, which released asks for"),
        ({"lacks": ("delay",)}, HOLD, "declares that it lacks delay, which hold-2k asks for"),
        ({"lacks": ("delay", "hold", "release", "stats")}, PLAIN, None),
        ({**IMAGE, "routes": {"plain": "/hello"}}, PLAIN, None),
        ({**IMAGE, "routes": {"plain": "/hello", "delay": "/s?{ms}"}}, HOLD, None),
        (
            {**IMAGE, "routes": {"plain": "/hello"}},
            HOLD,
            "hold-2k asks for /delay; the routes of the image my/app:1 map plain only",
        ),
        (
            {**IMAGE, "routes": {"plain": "/hello", "delay": "/s?{ms}"}},
            RELEASED,
            "released asks for /hold; the routes of the image my/app:1 map delay and plain only",
        ),
        (
            {**IMAGE, "routes": {"plain": "/hello"}},
            replace(PLAIN, name="stats", path="/stats"),
            "stats asks for /stats; the routes of the image my/app:1 map plain only",
        ),
    ],
)
def test_what_a_variant_does_not_have_is_not_asked_of_it(
    changes: dict[str, object], scenario: Scenario, expected: str | None
) -> None:
    """The pairing is left out with the reason."""
    assert expected == serves(make_variant("mine", **changes), scenario)
