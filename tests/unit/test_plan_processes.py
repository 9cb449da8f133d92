"""As many processes and workers as descriptors allow, and who loads; what no number of them can hold is left out."""

from __future__ import annotations

import pytest

from orchestrator.model import LeftOut
from orchestrator.planning.plan import make_plan
from tests.unit.small_labs import make_lab, make_variant, plan_hold


def test_one_process_is_enough_where_all_descriptors_fit() -> None:
    """2,000 connections and the reserve of 64 are exactly 2,064."""
    (spec,) = plan_hold(2000, 2064).trials

    assert (1, 1) == (spec.server_processes, spec.workers)
    assert ("2,064 of 2,064 descriptors") == spec.why_processes


def test_one_descriptor_too_few_makes_several_processes() -> None:
    """Several servers where the manifest allows, and several workers."""
    (spec,) = plan_hold(2000, 2063).trials

    assert (2, 2) == (spec.server_processes, spec.workers)


def test_several_servers_leave_room_for_an_uneven_spread() -> None:
    """10,000 over processes of 960: 11 would do on average, one hash fuller than the mean must fit too."""
    (spec,) = plan_hold(10_000, 1024).trials
    mean = 10_000 / spec.server_processes

    assert (13, 11) == (spec.server_processes, spec.workers)
    assert mean + 5 * mean**0.5 * (1 - 1 / 13) ** 0.5 <= 960
    assert spec.why_processes.startswith(
        "13 server processes: 10,000 connections, at most 960 in one process "
        "(the engine grants 1,024 descriptors, 64 reserved), and SO_REUSEPORT spreads them unevenly; 11 workers: "
    )


def test_a_worker_never_gets_more_than_ten_thousand_of_locusts_users() -> None:
    """However many descriptors it may have."""
    (spec,) = plan_hold(100_000, None, users="locust").trials

    assert ("locust", 1, 10) == (spec.users, spec.server_processes, spec.workers)
    assert (
        "10 workers: 100,000 connections, one drives at most 10,000 of Locust's own users"
        == spec.why_processes.partition("; ")[2]
    )


def test_an_engine_drives_as_many_connections_as_it_has_descriptors() -> None:
    """100,000 in one worker where they fit, in six of 20,000 descriptors."""
    (one,) = plan_hold(100_000, None).trials
    (six,) = plan_hold(100_000, 20_000).trials

    assert ("engine", 1, 1) == (one.users, one.server_processes, one.workers)
    assert ("engine", 6, 6) == (six.users, six.server_processes, six.workers)


@pytest.mark.parametrize(
    ("said", "speaks", "decided"),
    [
        ("auto", "http", "engine"),
        ("auto", "raw", "locust"),
        ("engine", "http", "engine"),
        ("engine", "raw", "locust"),
        ("locust", "http", "locust"),
    ],
)
def test_who_loads_is_decided_with_the_plan(said: str, speaks: str, decided: str) -> None:
    """The engine wherever it can: it speaks HTTP only."""
    (spec,) = plan_hold(10, None, users=said, speaks=speaks, fixed_delay=True).trials

    assert decided == spec.users


def test_a_single_process_that_cannot_hold_them_is_left_out() -> None:
    """The reason names what it needs and what there is."""
    plan = plan_hold(20_000, 20_000, processes="one")

    fix = "a higher hard limit of the engine (LimitNOFILE of its service)"
    reason = f"needs 20,064 descriptors in one process; the engine grants 20,000. Fix: {fix}"
    assert ((), (LeftOut("c-epoll", "hold-2k", reason),)) == (plan.trials, plan.left_out)


def test_the_profile_binds_where_it_wants_less_than_the_engine_grants() -> None:
    """The reason blames the profile then."""
    lab = make_lab(make_variant("c-epoll", processes="one"), nofile=1024, trials=1)
    plan = make_plan(lab, "quick", nofile_granted=1 << 20)

    fix = "a higher nofile in profile default"
    assert [f"needs 2,064 descriptors in one process; profile default allows 1,024. Fix: {fix}"] == [
        out.reason for out in plan.left_out
    ]


def test_what_lacks_descriptors_can_be_attempted() -> None:
    """One process of each kind, which the plan says is too few; what lacks a route stays left out."""
    lab = make_lab(make_variant("c-epoll", processes="one"), make_variant("bare", lacks=("delay",)), trials=1)
    scarce = make_plan(lab, "quick", nofile_granted=1000, attempt=True)
    none = make_plan(lab, "quick", nofile_granted=64, attempt=True)

    assert {("plain", "c-epoll"), ("plain", "bare"), ("hold-2k", "c-epoll")} == {
        (spec.scenario, spec.variant) for spec in scarce.trials
    }
    (held,) = (spec for spec in scarce.trials if spec.kind == "hold")
    assert (1, 3, True) == (held.server_processes, held.workers, held.why_processes.startswith("needs 2,064 desc"))
    assert [(1, 1)] * 3 == [(spec.server_processes, spec.workers) for spec in none.trials]
    assert ["bare"] == [out.variant for out in scarce.left_out]


@pytest.mark.parametrize("nofile_granted", [0, 64, 65])
def test_an_engine_that_grants_next_to_nothing_runs_nothing(nofile_granted: int) -> None:
    """Not even thousands of processes help when the reserve alone does not fit."""
    plan = plan_hold(2000, nofile_granted)

    assert () == plan.trials
    assert f"needs 2,064 descriptors in one process; the engine grants {nofile_granted}." in plan.left_out[0].reason


def test_a_variant_with_processes_of_its_own_is_one_container() -> None:
    """It is told how many to make where the descriptors of one process are too few; else as many as it has CPUs."""
    few = plan_hold(2_000, 20_000, processes="own").trials[0]
    many = plan_hold(100_000, 20_000, processes="own").trials[0]

    assert (1, 0) == (few.server_processes, few.own_processes)
    assert (1, 6) == (many.server_processes, many.own_processes)
    assert "6 processes of its own: 100,000 connections" in many.why_processes
