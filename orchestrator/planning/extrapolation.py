"""Turn one trial's limits into those of a whole machine, and of several: how many hosts hold a million connections?

Descriptors and ports are no limit of a machine: more processes have more. Memory, tables and threads are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from orchestrator.model import Bound
from orchestrator.planning import constraints, resources
from orchestrator.planning.ask import Ask
from orchestrator.planning.bounds import room

GOALS = (1_000_000, 10_000_000)

# Beyond four times what was ever measured nobody has seen whether the formulas hold.
TRUSTED_RATIO = 4
UNTESTED = "extrapolated, untested"

_MOST = 1 << 30  # more than any machine's descriptors

_OF_A_MACHINE = (
    constraints.threads,
    constraints.locked_memory,
    constraints.tracked,
    constraints.epoll_watches,
    constraints.open_files,
    resources.all_memory,
    resources.tcp_buffers,
)


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """What machines of this kind would hold of one pairing, each with its own server and load."""

    variant: str
    scenario: str
    hosts: int
    per_host: int
    binds: Bound | None  # what ends it on each host; None: nothing that could be read
    measured: int | None  # the most connections of this variant that a run ever held

    @property
    def total(self) -> int:
        return self.hosts * self.per_host

    def hosts_for(self, connections: int) -> int | None:
        """Return how many hosts of this kind hold that many connections; None where one holds nothing."""
        return math.ceil(connections / self.per_host) if self.per_host else None

    def label(self, connections: int) -> str:
        """Return what a reader must know of a number of connections: UNTESTED beyond four times the measured, or ""."""
        return UNTESTED if connections > TRUSTED_RATIO * (self.measured or 0) else ""


def extrapolate(ask: Ask, hosts: int, measured: int | None) -> Extrapolation:
    """Return how far machines like this one go with one pairing. hosts: how many there are, at least 1."""
    low, high = 0, _MOST
    while low < high:  # each constraint falls or stays as connections rise, so what fits is one interval from 0
        middle = (low + high + 1) // 2
        if _broken(ask, middle) is None:
            low = middle
        else:
            high = middle - 1
    return Extrapolation(ask.variant.name, ask.scenario.name, hosts, low, _broken(ask, low + 1), measured)


def _broken(ask: Ask, connections: int) -> Bound | None:
    """Return the constraint of the machine that so many connections break most, or None."""
    each = max(ask.limit.connections, 1)
    processes = math.ceil(connections / each)
    if ask.variant.processes == "one" and processes > 1:
        return constraints.server_descriptors(replace(ask, scenario=replace(ask.scenario, connections=connections)))
    scaled = replace(
        ask,
        scenario=replace(ask.scenario, connections=connections),
        server_processes=max(processes, 1),
        workers=max(processes, 1),
    )
    found = [bound for constraint in _OF_A_MACHINE if (bound := constraint(scaled)) is not None]
    return min((bound for bound in found if bound.exceeded), key=room, default=None)
