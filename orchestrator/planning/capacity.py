"""Turn a number of connections and a descriptor limit into a number of processes, with the reason in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from orchestrator.model import Profile, Scenario, Users, Variant

# Left for a process's own descriptors: listener, epoll, timers, pipes, log, loaded files, and a health check at once.
RESERVE = 64

# Spawning 10,000 users blocks a worker's loop for 1.2 s (measured with FastHttpUser), already longer than the
# second between its heartbeats. The engine opens its connections in a thread of its own: descriptors bind it alone.
MOST_PER_WORKER = 10_000

# SO_REUSEPORT spreads connections by a hash, so shares differ like a binomial's: five standard deviations above
# the mean is exceeded about once in three million.
SPREAD = 5.0


@dataclass(frozen=True, slots=True)
class Limit:
    """How many descriptors one process may have, and who says so."""

    nofile: int
    source: str  # "the engine grants", "profile default allows", "fs.nr_open allows"

    @property
    def connections(self) -> int:
        """Connections that fit beside the reserve; 0 or less when none does."""
        return self.nofile - RESERVE

    @property
    def fix(self) -> str:
        """What raises it."""
        if self.source.startswith("profile"):
            return f"a higher nofile in {self.source.removesuffix(' allows')}"
        if self.source.startswith("fs."):
            return "lab tune, with a higher fs.nr_open under 'host:' of a profile"
        return "a higher hard limit of the engine (LimitNOFILE of its service)"


@dataclass(frozen=True, slots=True)
class Processes:
    """How many of a kind to start."""

    count: int
    why: str
    own: int = 0  # that the one of them must make itself, for its descriptors' sake


def find_limit(profile: Profile, nofile_granted: int | None, nr_open: int | None = None) -> Limit:
    """Return the lowest of what the profile wants, the engine grants and fs.nr_open allows (None: not known)."""
    limits = [Limit(profile.nofile, f"profile {profile.name} allows")]
    if nofile_granted is not None:
        limits.append(Limit(nofile_granted, "the engine grants"))
    if nr_open is not None:
        limits.append(Limit(nr_open, "fs.nr_open allows"))
    return min(limits, key=lambda limit: limit.nofile)  # the first of equals: what a person wrote is what binds


def count_servers(variant: Variant, scenario: Scenario, limit: Limit) -> Processes | str:
    """Return how many server processes hold all connections at once, or why no number does."""
    wanted = scenario.connections
    if wanted <= limit.connections:
        return Processes(1, _fits(wanted, limit))
    if limit.connections < 1:
        return _refuse(wanted, limit)
    if variant.processes == "one":
        return _refuse(wanted, limit)
    count = math.ceil(wanted / limit.connections)
    while _fullest_share(wanted, count) > limit.connections:
        if count > wanted:
            return _refuse(wanted, limit)
        count += 1
    if variant.processes == "own":
        why = f"{count} processes of its own: {wanted:,} connections, {_cap(limit)}, and the spread is uneven"
        return Processes(1, why, own=count)
    why = f"{count} server processes: {wanted:,} connections, {_cap(limit)}, and SO_REUSEPORT spreads them unevenly"
    return Processes(count, why)


def count_workers(scenario: Scenario, limit: Limit, users: Users) -> Processes | str:
    """Return how many workers open all connections, or why no number does. The load is spread evenly over them."""
    wanted = scenario.connections
    if limit.connections < 1:
        return _refuse(wanted, limit)
    most = limit.connections if users == "engine" else min(limit.connections, MOST_PER_WORKER)
    count = math.ceil(wanted / most)
    if count == 1:
        return Processes(1, _fits(wanted, limit))
    bound = _cap(limit) if most == limit.connections else f"one drives at most {most:,} of Locust's own users"
    return Processes(count, f"{count} workers: {wanted:,} connections, {bound}")


def most_spread(limit: Limit, processes: int) -> int:
    """Return how many connections this many processes surely hold between them, however SO_REUSEPORT spreads them."""
    most = max(limit.connections, 0) * processes
    if processes == 1 or most == 0:
        return most
    # The mean x of one process for which x + SPREAD * sqrt(x * (1 - 1/processes)) is what fits into it.
    spread = SPREAD * math.sqrt(1 - 1 / processes)
    root = (math.sqrt(spread * spread + 4 * limit.connections) - spread) / 2
    return math.floor(root * root * processes)


def _fullest_share(connections: int, processes: int) -> int:
    mean = connections / processes
    return min(connections, math.ceil(mean + SPREAD * math.sqrt(mean * (1 - 1 / processes))))


def _fits(wanted: int, limit: Limit) -> str:
    return f"{wanted + RESERVE:,} of {limit.nofile:,} descriptors"


def _cap(limit: Limit) -> str:
    granted = f"{limit.source} {limit.nofile:,} descriptors, {RESERVE} reserved"
    return f"at most {limit.connections:,} in one process ({granted})"


def _refuse(wanted: int, limit: Limit) -> str:
    needed = f"needs {wanted + RESERVE:,} descriptors in one process"
    return f"{needed}; {limit.source} {limit.nofile:,}. Fix: {limit.fix}"
