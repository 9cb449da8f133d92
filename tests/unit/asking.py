"""A trial to be asked for, on a host and at costs that are known: what the tests of bounds count from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.model import Bound, Profile, Scenario, Variant
from orchestrator.planning.ask import Ask
from orchestrator.planning.bounds import find_bounds
from orchestrator.planning.capacity import Limit
from orchestrator.planning.costs import Costs, EndCost, GeneratorCost
from orchestrator.planning.hostlimits import HostLimits

GIB = 1 << 30
HOST = HostLimits(
    cpus=frozenset({0, 1}),
    memory_bytes=24 * GIB,
    available_bytes=20 * GIB,
    nr_open=1 << 20,
    file_max=2_466_183,
    files_open=1_183,
    threads_max=192_731,
    pid_max=32_768,
    max_map_count=65_530,
    epoll_watches=5_491_532,
    tcp_memory_pages=575_802,
    conntrack_max=262_144,
    pods_tracked=True,
)
COSTS = Costs(EndCost(1_000.0, 1_632.0, True), GeneratorCost(600.0, 1_632.0, 50e6, 20_000.0, 100_000.0, True))
PROFILE = Profile("c100k", "", {"net.core.somaxconn": "4096"}, 1 << 20, True, "auto", "auto")
VARIANT = Variant("c-epoll", "", "c", "one epoll loop", "c", Path("/s"), "http", 8080, False, "reuseport", (2, 6), ())
HOLD = Scenario("hold", "", "hold", "/delay", 100_000, 60.0, 0.0, 0.0, 30.0)


def ask(scenario: Scenario = HOLD, **changes: Any) -> Ask:
    """Return 100,000 held in six processes of 20,000 descriptors on each side, but for the changes."""
    whole = Ask(scenario, VARIANT, PROFILE, "engine", 6, 6, Limit(20_000, "the engine grants"), HOST, COSTS, 1)
    return replace(whole, **changes)


def bound(name: str, asked: Ask) -> Bound:
    """Return one constraint by its name."""
    (found,) = (b for b in find_bounds(asked) if b.name == name)
    return found
