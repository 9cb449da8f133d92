"""Locked memory as a bound: rings of all servers are one user's, where a kernel counts them as locked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.model import Bound, Ring
from orchestrator.planning.bounds import find_bounds
from orchestrator.planning.capacity import Limit, most_spread
from orchestrator.planning.hostlimits import ContainerLimits
from tests.unit.asking import HOLD, HOST, VARIANT, ask, bound

URING = replace(VARIANT, name="c-uring", technique="io_uring", ring=Ring(131_072, 561_152))


def uring(memlock_bytes: int | None, connections: int = 1_000_000, **changes: Any) -> Bound:
    """Return what locks bound: a million in 52 processes of 20,000 descriptors, but for the changes."""
    host = replace(HOST, rings_locked=True, container=ContainerLimits(memlock_bytes=memlock_bytes))
    scenario = replace(HOLD, connections=connections)
    return bound("locked memory", ask(scenario, variant=URING, **{"server_processes": 52, "host": host, **changes}))


def test_rings_of_one_user_share_its_locked_memory() -> None:
    """8 MiB are 14 rings of 561,152 bytes: as many processes start, so a million is refused for it, with the fix."""
    found = uring(8 << 20)

    assert float(most_spread(Limit(20_000, ""), 14)) == found.most
    assert (True, True, "host") == (found.exceeded, found.hard, found.whose)
    assert "RLIMIT_MEMLOCK 8,388,608 / 561,152 for each ring = 14 rings" in found.formula
    assert "LimitMEMLOCK" in found.fix
    assert not uring(52 * 561_152).exceeded
    assert uring(51 * 561_152).exceeded


@pytest.mark.parametrize(
    ("memlock_bytes", "most"), [(8 << 20, 14 * 131_072), (8 * 561_152 - 1, 7 * 131_072), (64 << 10, 0)]
)
def test_a_process_with_descriptors_enough_opens_ring_after_ring(memlock_bytes: int, most: int) -> None:
    """A table has 131,072 places however many descriptors there are: a million ask for eight rings."""
    found = uring(memlock_bytes, server_processes=1, limit=Limit(1 << 20, "profile c1m allows"))

    assert float(most) == found.most
    assert (most < 1_000_000) == found.exceeded


def test_locked_memory_binds_nobody_where_it_is_not_counted() -> None:
    """Older kernels charge the cgroup, an unlimited one has no end, and what was not read back is not guessed."""
    counted = replace(HOST, rings_locked=True)
    found = [
        uring(8 << 20, host=replace(HOST, container=ContainerLimits(memlock_bytes=8 << 20))),
        uring(None),
        uring(None, host=counted),
    ]

    assert [None, None, None] == [one.most for one in found]
    assert ["this kernel counts rings", "not limited", "not known: a container's"] == [
        one.formula[:length] for one, length in zip(found, (24, 11, 24), strict=True)
    ]
    assert "locked memory" not in {b.name for b in find_bounds(ask(host=counted))}
