"""How far machines like this one go, and which numbers nobody has tested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.model import Ring
from orchestrator.planning.capacity import Limit, most_spread
from orchestrator.planning.extrapolation import UNTESTED, Extrapolation, extrapolate
from orchestrator.planning.hostlimits import ContainerLimits
from tests.unit.asking import HOLD, HOST, VARIANT, ask

ROOMY = replace(HOST, conntrack_max=None, epoll_watches=None, tcp_memory_pages=None, file_max=None)


@pytest.mark.parametrize(
    ("changes", "per_host", "binds"),
    [
        ({"conntrack_max": 262_144, "pods_tracked": True}, 262_144, "conntrack"),
        ({"epoll_watches": 500_000}, 250_000, "epoll watches"),
        ({"file_max": 301_183}, 150_000, "open files"),
    ],
)
def test_a_host_ends_at_the_least_of_its_tables(changes: dict[str, int], per_host: int, binds: str) -> None:
    """However many processes share the work."""
    found = extrapolate(ask(host=replace(ROOMY, **changes)), 3, None)  # type: ignore[arg-type]  # all are numbers

    assert (per_host, binds, 3 * per_host) == (found.per_host, found.binds and found.binds.name, found.total)


def test_rings_of_all_processes_end_a_host() -> None:
    """However many processes share the work, one user locks 8 MiB."""
    variant = replace(VARIANT, ring=Ring(131_072, 561_152))
    host = replace(ROOMY, rings_locked=True, container=ContainerLimits(memlock_bytes=8 << 20))
    found = extrapolate(ask(host=host, variant=variant), 1, None)

    assert (most_spread(Limit(20_000, ""), 14), "locked memory") == (found.per_host, found.binds and found.binds.name)


def test_memory_counts_each_process_that_the_descriptors_ask_for() -> None:
    """20 GiB for 10,000 bytes a connection and 55 MB for each 19,936 of them: some 1.68 million, not 2.1."""
    found = extrapolate(ask(host=ROOMY), 1, None)
    each = 10_000 + 55e6 / 19_936

    assert found.per_host == pytest.approx(20 * (1 << 30) / each, rel=0.01)
    assert found.binds is not None
    assert "memory" == found.binds.name


def test_more_descriptors_for_each_process_hold_more_in_the_same_memory() -> None:
    """Fewer processes at rest."""
    few, many = (extrapolate(ask(host=ROOMY, limit=Limit(n, "x")), 1, None).per_host for n in (20_000, 1 << 20))

    assert many > few


def test_a_variant_of_one_process_ends_at_its_descriptors() -> None:
    """No machine helps it."""
    found = extrapolate(ask(host=ROOMY, variant=replace(VARIANT, processes="one")), 1, None)

    assert (19_936, "server descriptors") == (found.per_host, found.binds and found.binds.name)


def test_hosts_for_a_goal_are_rounded_up() -> None:
    """Four hosts of 262,144 hold a million, three do not; a host that holds nothing is none of any number."""
    found = extrapolate(ask(host=replace(ROOMY, conntrack_max=262_144, pods_tracked=True)), 1, None)

    assert (4, 39) == (found.hosts_for(1_000_000), found.hosts_for(10_000_000))
    assert replace(found, per_host=0).hosts_for(1_000_000) is None


@pytest.mark.parametrize(
    ("measured", "connections", "label"),
    [
        (100_000, 400_000, ""),
        (100_000, 400_001, UNTESTED),
        (None, 1, UNTESTED),
        (1_000_000, 1_000_000, ""),
        (1_000_000, 10_000_000, UNTESTED),
    ],
)
def test_beyond_four_times_the_measured_is_labelled(measured: int | None, connections: int, label: str) -> None:
    """Nobody has seen whether the formulas hold there."""
    assert label == Extrapolation("c-epoll", HOLD.name, 1, 1, None, measured).label(connections)
