"""A target under observation, and which processes count as its own.

The container's first process and its descendants do. An `exec`-ed health check is a child of the engine's shim, so it
is in the cgroup's CPU and memory and not in the threads, descriptors and switches.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from . import cgroup
from .anonymous import Instances
from .counters import Counters
from .errors import BadTarget, Unavailable
from .files import read_text
from .namespace import Sockets
from .parse import Stat, parse_stat
from .runtime import Runtime
from .switches import Switches
from .target import Container, Target
from .taskstats import Taskstats

Value = float | dict[str, float]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
GONE = (FileNotFoundError, ProcessLookupError)  # what reading about a process that ended raises


@dataclass(frozen=True, slots=True)
class Kept:
    """What a source gave when it was read last, for as long as it is not read again."""

    at_s: float  # CLOCK_MONOTONIC
    values: dict[str, Value]
    missing: dict[str, str]


@dataclass(slots=True)
class Watched:
    """A registered target with what is kept between two readings of it."""

    target: Target
    proc: Path
    dirs: tuple[cgroup.Dirs, ...]
    start_ticks: tuple[int, ...]  # of each container's first process: tells it from one that got the same pid
    switches: Switches
    instances: Instances
    sockets: Sockets
    dumps: Sockets  # the same namespace's, for what takes long: nobody else waits for it
    runtime: Runtime
    beside: tuple[cgroup.Dirs, ...] | str  # of the lab's other containers; or why they could not be found
    faults: Counters = field(default_factory=Counters)
    kept: dict[str, Kept] = field(default_factory=dict)  # by source
    is_let_go: bool = False  # forgotten, or replaced by another of its name
    threads_peak: int = 0
    pids: tuple[int, ...] = ()  # as last listed; what the 10 Hz sampling goes by


@dataclass(slots=True)
class Look:
    """One reading in progress."""

    watched: Watched
    taskstats: Taskstats
    fresh: bool  # a reading was asked for; False: the regular sample, which may use kept epoll counts
    members: dict[int, Stat] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # names one source could not give, beside those it gave
    notes: dict[str, str] = field(default_factory=dict)  # what to know about a value that is there
    errors: list[str] = field(default_factory=list)  # sources that failed and were replaced by another


def watch(target: Target, cgroup_root: Path, proc: Path = Path("/proc")) -> Watched:
    """Find the target's processes and cgroups. Raises BadTarget when one is not there or is not what it claims."""
    dirs, starts = [], []
    for container in target.containers:
        try:
            starts.append(_stat(proc, container.pid).start_ticks)
            dirs.append(cgroup.find(container.pid, cgroup_root, proc, container.id))
        except GONE:
            who = f"{target.name}: container {container.id[:12]}: pid {container.pid}"
            raise BadTarget(f"{who} is not alive (in the exporter's pid namespace; it needs pid_mode=host)") from None
        except Unavailable as why:
            raise BadTarget(f"{target.name}: {why}") from None
    namespace = proc / str(target.containers[0].pid) / "ns" / "net"
    return Watched(
        target,
        proc,
        tuple(dirs),
        tuple(starts),
        Switches(),
        Instances(proc),
        Sockets(namespace),
        Sockets(namespace),
        Runtime(namespace),
        _beside(target, cgroup_root, proc),
    )


def _beside(target: Target, cgroup_root: Path, proc: Path) -> tuple[cgroup.Dirs, ...] | str:
    """Find the cgroups of the lab's other containers; one that ended costs what they tell, not the registration."""
    try:
        return tuple(cgroup.find(other.pid, cgroup_root, proc, other.id) for other in target.beside)
    except (*GONE, Unavailable) as why:
        return f"the lab's own containers could not all be found: {why}"


def sum_threads(watched: Watched) -> int:
    """Return the threads of the processes listed last; one small file each, for sampling ten times a second."""
    total = 0
    for pid in watched.pids:
        try:
            total += _stat(watched.proc, pid).threads
        except GONE:
            continue
    return total


def list_processes(look: Look) -> dict[str, Value]:
    """Find the containers' first processes and their descendants; the first source, since the others go by it."""
    watched = look.watched
    alive = 0
    for container, start, dirs in zip(watched.target.containers, watched.start_ticks, watched.dirs, strict=True):
        found = _family(watched.proc, container, start, dirs)
        alive += container.pid in found
        look.members.update(found)
    watched.pids = tuple(look.members)
    threads = sum(stat.threads for stat in look.members.values())
    watched.threads_peak = max(watched.threads_peak, threads)
    values: dict[str, Value] = {
        "up": float(alive == len(watched.target.containers)),
        "processes": len(look.members),
        "threads_peak": watched.threads_peak,
    }
    if look.members:
        values["threads"] = threads
    else:
        look.missing["threads"] = "no process of it is alive"
    return values


def _family(proc: Path, container: Container, start: int, dirs: cgroup.Dirs) -> dict[int, Stat]:
    stats: dict[int, Stat] = {}
    try:
        listed = cgroup.read_pids(dirs.procs)
    except GONE:
        return {}  # the container is gone, and its cgroup with it
    for pid in listed:
        try:
            stats[pid] = _stat(proc, pid)
        except GONE:
            continue
    first = stats.get(container.pid)
    if first is None or first.start_ticks != start:
        return {}
    family = {container.pid}
    grew = True
    while grew:
        born = {pid for pid, stat in stats.items() if stat.ppid in family} - family
        family |= born
        grew = bool(born)
    return {pid: stat for pid, stat in stats.items() if pid in family and stat.state not in "ZX"}


def _stat(proc: Path, pid: int) -> Stat:
    return parse_stat(read_text(proc / str(pid) / "stat"), TICKS_PER_S)
