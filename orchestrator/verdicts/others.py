"""Turn two readings into the share of a trial's CPUs that went to programs outside the lab.

Pure: what each CPU ran, and what the lab's own containers took of it -> a ratio for each set of CPUs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

# What a CPU ran is counted by ticks, a sample of its time; 250 Hz is the usual CONFIG_HZ. With two standard deviations
# taken off, 22 of 300 counts over 2 or 5 s under a benchmark's load were still above the truth (cgroup v1's
# cpuacct.usage_percpu), by 3.7 % of a CPU at most; of those that said 5 % or more, none where the truth was less.
_TICKS_PER_S = 250
_DEVIATIONS = 2.0

SERVERS, LOADS, SHARED = "the server's CPUs", "the load's CPUs", "the CPUs that server and load share"


@dataclass(frozen=True, slots=True)
class Spent:
    """What grew between two readings, in seconds."""

    elapsed_s: float
    ran_s: Mapping[str, float]  # CPU, by its number as text -> how long it ran tasks of any kind
    server_s: float  # CPU time of the servers' containers, which run on the server's CPUs alone
    beside_s: float  # of the lab's other containers, which run on the load's alone
    asker_s: float  # of the lab's own process, which runs where it likes


def taken_by_others(spent: Spent, server_cpus: frozenset[int], load_cpus: frozenset[int]) -> dict[str, float]:
    """Return the least that other programs took of each set of CPUs, as a share of their time.

    The lab's own process may have run on either set, and is taken off both, as is what ticks may be off by. A set with
    a CPU of which nothing is known is left out; so is everything where no time passed. Kernel threads are others.
    """
    sets = {SERVERS: (server_cpus, spent.server_s), LOADS: (load_cpus, spent.beside_s)}
    if server_cpus & load_cpus:
        sets = {SHARED: (server_cpus | load_cpus, spent.server_s + spent.beside_s)}
    found = {}
    for name, (cpus, lab_s) in sets.items():
        ran = [spent.ran_s.get(str(cpu)) for cpu in cpus]
        known = [seconds for seconds in ran if seconds is not None]
        room_s = spent.elapsed_s * len(cpus)
        if known and len(known) == len(ran) and room_s > 0.0:
            found[name] = max(sum(known) - lab_s - spent.asker_s - _doubt_s(sum(known), room_s), 0.0) / room_s
    return found


def _doubt_s(ran_s: float, room_s: float) -> float:
    """Return by how much a count of ticks may be too high: a binomial's, none on CPUs that never or always ran."""
    busy_ratio = min(ran_s / room_s, 1.0)
    return _DEVIATIONS * math.sqrt(busy_ratio * (1.0 - busy_ratio) * room_s / _TICKS_PER_S)
