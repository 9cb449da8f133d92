"""What limits a trial, by hand: each constraint's number, what binds first, and whose fix it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.load import load_lab
from orchestrator.model import Plan, Ramp, TrialSpec
from orchestrator.planning.bounds import binding, find_bounds, most_connections, predict
from orchestrator.planning.capacity import SPREAD, Limit
from orchestrator.planning.hostlimits import ContainerLimits
from orchestrator.planning.plan import ask_of, make_plan
from orchestrator.planning.refusal import find_impossible
from tests.unit.asking import COSTS, GIB, HOLD, HOST, PROFILE, VARIANT, ask, bound
from tests.unit.lab_files import LAB, write_lab


def test_server_descriptors_leave_room_for_an_uneven_spread() -> None:
    """Six of 19,936: the fullest process by five standard deviations must fit, so less than 119,616."""
    found = bound("server descriptors", ask())
    mean = (found.most or 0) / 6

    assert mean + SPREAD * (mean * 5 / 6) ** 0.5 <= 19_936 < (mean + 1) + SPREAD * ((mean + 1) * 5 / 6) ** 0.5
    assert ("host", 100_000.0, True) == (found.whose, found.wanted, found.hard)
    assert 19_936.0 == bound("server descriptors", ask(server_processes=1)).most


def test_worker_descriptors_are_shared_out_evenly() -> None:
    """Six times 19,936."""
    assert 119_616.0 == bound("worker descriptors", ask()).most


def test_descriptors_blame_the_profile_where_it_wants_less() -> None:
    """The fix is a line in lab.yaml then, and the container's."""
    found = bound("worker descriptors", ask(limit=Limit(20_000, "profile c100k allows")))

    assert ("container", "a higher nofile in profile c100k") == (found.whose, found.fix.partition(";")[0])


@pytest.mark.parametrize(
    ("sources", "ports", "most"),
    [(0, "", 96 * 28_232), (1, "", 28_232), (1, "1024 65535", 64_512), (4, "1024 65535", 4 * 64_512)],
)
def test_source_ports_are_addresses_times_the_range(sources: int, ports: str, most: int) -> None:
    """Sixteen addresses for each of six workers unless the scenario says; 28,232 ports unless the profile does."""
    sysctls = {**PROFILE.sysctls, **({"net.ipv4.ip_local_port_range": ports} if ports else {})}
    asked = ask(replace(HOLD, sources=sources), profile=replace(PROFILE, sysctls=sysctls))

    assert float(most) == bound("source ports", asked).most


def test_what_a_pod_was_seen_to_have_is_believed_before_a_profiles_wish() -> None:
    """Asked for 65,535 waiting and all ports, given less: the plan counts with that, and says where it assumes."""
    queue, ports = "net.core.somaxconn", "net.ipv4.ip_local_port_range"
    wide = replace(PROFILE, sysctls={queue: "65535", ports: "1024  65535"})
    seen = replace(HOST, sysctls={f"{queue}=65535": "8192", f"{ports}=1024 65535": "2048 3071", f"{queue}=": "128"})
    few, here = replace(HOLD, connections=1, sources=1), ask(profile=wide, host=seen, server_processes=1)

    assert 8193.0 == bound("accept queue", here).most
    assert 1024.0 == bound("source ports", replace(here, scenario=few)).most
    assert 129.0 == bound("accept queue", replace(here, profile=replace(wide, sysctls={}))).most
    assert (65_536.0, 64_512.0) == tuple(
        bound(name, replace(here, scenario=few, host=HOST)).most for name in ("accept queue", "source ports")
    )
    assert [False, True, False, True] == [
        "assumed, not read back yet" in bound(name, replace(here, host=host)).formula
        for name in ("accept queue", "source ports")
        for host in (seen, HOST)
    ]


def test_a_crowded_pair_of_addresses_is_slow_and_not_impossible() -> None:
    """40,000 from one address fit into 64,512 ports, at 14,000 for a quick search."""
    wide = replace(PROFILE, sysctls={"net.ipv4.ip_local_port_range": "1024 65535"})
    found = bound("quick port search", ask(replace(HOLD, connections=40_000, sources=1), profile=wide))

    assert (14_000.0, True, False) == (found.most, found.exceeded, found.hard)


def test_memory_is_shared_by_kernel_and_processes() -> None:
    """(20 GiB - 6 x 50 MB - 6 x 5 MB) over 8,256 bytes of kernel, 2,000 of processes, and both.

    The kernel charges a cgroup with 1,632 of the 4,000 that each end takes.
    """
    left = 20 * GIB - 330e6

    assert left // 8_256 == bound("kernel memory", ask()).most
    assert left // 2_000 == bound("user memory", ask()).most
    assert left // 10_256 == bound("memory", ask()).most
    assert bound("memory", ask()).calibrated


def test_a_machine_too_small_for_a_million_is_refused_for_its_memory() -> None:
    """1 GiB: memory is a hard limit, named before the start with what it allows; with room enough nothing is."""

    def impossible(available_bytes: int) -> list[str]:
        host = replace(HOST, available_bytes=available_bytes, conntrack_max=None)
        million = replace(HOLD, connections=1_000_000, sources=64)
        asked = ask(million, server_processes=1, workers=1, limit=Limit(1 << 20, "the engine grants"), host=host)
        spec = TrialSpec(0, 0, "c-epoll", "hold", "hold", "c1m", 1, 1, "", "engine", bounds=find_bounds(asked))
        return [bound.name for _, bound in find_impossible(Plan("s", 1, (spec,), ()))]

    assert ["memory"] == impossible(1 * GIB)
    assert [] == impossible(20 * GIB)


def test_memory_of_answers_on_their_way_counts_where_they_flow() -> None:
    """An active connection has one small segment unread; without tracking, its entry is free."""
    closed = replace(HOLD, kind="closed", measure_s=10.0)

    assert "10,856 bytes" in bound("kernel memory", ask(closed)).formula
    assert "8,000 bytes" in bound("kernel memory", ask(host=replace(HOST, pods_tracked=False))).formula


def test_a_cost_that_was_not_measured_here_says_so() -> None:
    """One end's constant is enough."""
    costs = replace(COSTS, server=replace(COSTS.server, calibrated=False))

    assert not bound("memory", ask(costs=costs)).calibrated


@pytest.mark.parametrize(
    ("changes", "servers", "most", "word", "fix"),
    [
        ({}, 1, 31_768, "kernel.pid_max", "lab tune"),
        ({"pid_max": 4 << 20}, 1, 32_665, "vm.max_map_count", "lab tune"),
        ({"pid_max": 4 << 20}, 6, 191_731, "kernel.threads-max", "lab tune"),
        ({"container": ContainerLimits(pids_max=4_096)}, 6, 24_480, "pids.max", "DefaultTasksMax"),
        ({"container": ContainerLimits(nproc=8_192, pids_max=4_096)}, 6, 7_992, "RLIMIT_NPROC", "LimitNPROC"),
        ({"container": ContainerLimits(pids_max=8)}, 1, 0, "pids.max", "DefaultTasksMax"),
    ],
)
def test_a_thread_per_connection_ends_at_the_least_of_five(
    changes: dict[str, Any], servers: int, most: int, word: str, fix: str
) -> None:
    """Threads and pids of the machine, map areas of each process, pids of each container, threads of one user."""
    variant = replace(VARIANT, threads="per-connection")
    found = bound("threads", ask(variant=variant, server_processes=servers, host=replace(HOST, **changes)))

    assert (float(most), "host") == (found.most, found.whose)
    assert f"{word} allows {most:,}" in found.formula
    assert fix in found.fix
    assert ("not read back yet" in found.formula) == ("container" not in changes)
    assert "threads" not in {b.name for b in find_bounds(ask())}


def test_processes_of_its_own_share_one_containers_pids() -> None:
    """Four processes that a variant makes itself are in one container; four that the plan starts are in four."""
    variant = replace(VARIANT, threads="per-connection")
    tight = replace(HOST, container=ContainerLimits(pids_max=1_016))
    shared, alone = (
        bound("threads", ask(variant=replace(variant, processes=kind), server_processes=4, host=tight)).most
        for kind in ("own", "reuseport")
    )

    assert (1_000.0, 4_000.0) == (shared, alone)


def test_tables_of_the_machine_count_both_ends() -> None:
    """Watches and files twice, tracking once; a thread per connection watches nothing."""
    threads = ask(variant=replace(VARIANT, threads="per-connection"))

    assert (2_745_766.0, 5_491_532.0) == (bound("epoll watches", ask()).most, bound("epoll watches", threads).most)
    assert 1_232_500.0 == bound("open files", ask()).most
    assert (262_144.0, "host") == (bound("conntrack", ask()).most, bound("conntrack", ask()).whose)


def test_a_storms_closed_connections_stay_tracked() -> None:
    """Bursts of 4,000 each 2 s for 10 s: the first and five more are in the table together."""
    storm = replace(HOLD, kind="storm", connections=4_000, every_s=2.0, measure_s=10.0, delay_s=0.0)

    assert 24_000.0 == bound("conntrack", ask(storm)).wanted


def test_a_profile_that_has_the_setting_is_what_tunes_it() -> None:
    """The fix is then one command."""
    profile = replace(PROFILE, host={"fs.file-max": "1"})

    assert "lab tune c100k" == bound("open files", ask(profile=profile)).fix
    assert "lab tune, with a higher fs.file-max under 'host:' of a profile" == bound("open files", ask()).fix


def test_a_burst_beyond_the_accept_queue_loses_some() -> None:
    """4,097 fit into one listener's queue, 24,582 into six; a storm of 5,000 on one is soft but exceeded."""
    storm = replace(HOLD, kind="storm", connections=5_000, every_s=2.0, measure_s=10.0)
    one, six = (bound("accept queue", ask(storm, server_processes=n)) for n in (1, 6))

    assert (4_097.0, True, False) == (one.most, one.exceeded, one.hard)
    assert (24_582.0, False) == (six.most, six.exceeded)


def test_a_hold_may_wait_in_the_queue_as_a_storm_does() -> None:
    """100,000 on one listener of 4,096 may lose some; on 26 listeners they all fit."""
    found = bound("accept queue", ask(server_processes=1))

    assert (100_000.0, "waiting to be accepted", True) == (found.wanted, found.unit, found.exceeded)
    assert not bound("accept queue", ask(server_processes=26)).exceeded


@pytest.mark.parametrize(
    ("changes", "most", "wanted", "unit"),
    [
        ({}, 20_000 * 60, 100_000, "connections"),
        ({"answer": "release", "delay_s": 0.0}, 20_000 * 30, 100_000, "connections"),
        ({"kind": "closed", "delay_s": 10.0, "measure_s": 5.0}, 100_000 * 10, 100_000, "connections"),
        ({"kind": "open", "delay_s": 0.0, "rate_per_s": 2e5}, 100_000, 200_000, "arrivals/s"),
        ({"kind": "storm", "every_s": 2.0, "measure_s": 4.0}, 20_000, 50_000, "connects/s"),
        ({"kind": "ramp", "ramp": Ramp("rate", 1.0, 3e5, 2.0, 3.0, 1.0, 0.01, 0.1)}, 100_000, 300_000, "arrivals/s"),
    ],
)
def test_the_generators_cores_bring_about_so_much(
    changes: dict[str, Any], most: float, wanted: float, unit: str
) -> None:
    """Little's law with what one core opens or answers in a second; never a refusal."""
    found = bound("generator CPU", ask(replace(HOLD, **changes)))

    assert (float(most), float(wanted), unit, False) == (found.most, found.wanted, found.unit, found.hard)


def test_more_cores_help_as_far_as_there_are_workers() -> None:
    """Eight cores, two workers: twice; a closed loop without delay has no such limit."""
    plain = replace(HOLD, kind="closed", delay_s=0.0, measure_s=5.0)

    assert 2 * 20_000 * 60.0 == bound("generator CPU", ask(load_cpus=8, workers=2)).most
    assert bound("generator CPU", ask(plain)).most is None


def test_of_shared_cores_the_load_counts_on_half(tmp_path: Path) -> None:
    """The server takes the others, who knows how many; one core alone is still one."""
    text = LAB.replace("server_cpus: 3", "server_cpus: shared").replace("load_cpus: 0,2", "load_cpus: shared")
    lab = load_lab(write_lab(tmp_path, "c-epoll", text=text))
    spec = make_plan(lab, "quick", nofile_granted=None).trials[0]

    def counted(cpus: int) -> int:
        return ask_of(lab, spec, None, replace(HOST, cpus=frozenset(range(cpus))), None).load_cpus

    assert [2, 1, 1] == [counted(4), counted(3), counted(1)]


def test_the_least_room_comes_first_and_unknown_limits_last() -> None:
    """Hard before soft; what could not be read is there, without a number."""
    found = find_bounds(ask(host=replace(HOST, epoll_watches=None)))
    hard = [b for b in found if b.hard]

    assert ("server descriptors", "worker descriptors") == (found[0].name, found[1].name)
    assert ("epoll watches", None) == (hard[-1].name, hard[-1].most)
    assert list(found) == hard + [b for b in found if not b.hard]
    assert found[0] == binding(found)
    assert found[0].most == most_connections(found)


SELECT = replace(VARIANT, wall="FD_SETSIZE: descriptors stay below 1,024", connections_most=1_000)


def test_a_wall_binds_first_and_refuses_nothing() -> None:
    """It ends connections as a hard constraint does, and its words are the variant's."""
    bounds = find_bounds(ask(variant=SELECT, server_processes=1))
    wall = bounds[0]

    assert ("wall", 1_000.0, "FD_SETSIZE: descriptors stay below 1,024", "variant", False, True) == (
        wall.name,
        wall.most,
        wall.formula,
        wall.whose,
        wall.hard,
        wall.exceeded,
    )
    assert wall == binding(bounds)
    assert 1_000.0 == most_connections(bounds)
    assert {"connections_held": 1_000.0} == predict(ask(variant=SELECT), bounds)


def test_each_process_behind_a_shared_port_has_a_wall_of_its_own() -> None:
    """Processes that one variant makes itself count together: it declared the sum."""
    own = replace(SELECT, processes="own")

    assert 6_000.0 == bound("wall", ask(variant=SELECT)).most
    assert 1_000.0 == bound("wall", ask(variant=own)).most


def test_a_variants_own_processes_may_share_one_queue() -> None:
    """Descriptors are each one's; the accept queue is counted once, because the listener may be shared."""
    own = replace(VARIANT, processes="own")

    assert 4_097.0 == bound("accept queue", ask(variant=own)).most
    assert 6 * 4_097.0 == bound("accept queue", ask()).most
    assert bound("server descriptors", ask(variant=own)).most == bound("server descriptors", ask()).most
    assert "spread over its own 6" in bound("server descriptors", ask(variant=own)).formula
