"""The sources a reading is made of: each turns one target into a few named values.

A source that cannot be read raises; reading.py then reports all its names as missing. A process that vanished between
listing and reading is left out of the sum and is no error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from . import cgroup
from .errors import Unavailable
from .files import read_text
from .look import GONE, TICKS_PER_S, Look, Value, list_processes
from .net import NET_SOURCES
from .others import read_beside, read_cpus_ran
from .pace import Budget
from .parse import parse_cpu_times, parse_smaps_rollup, parse_status
from .runtime import RUNTIME_NAMES
from .source import Source
from .switches import walk_threads
from .taskstats import TaskCounts


def _over_processes(look: Look, read: Callable[[Path], tuple[int, ...]]) -> tuple[int, ...]:
    """Sum what `read` returns for each process's folder; those that vanish meanwhile are left out."""
    rows = []
    for pid in look.members:
        folder = look.watched.proc / str(pid)
        try:
            rows.append(read(folder))
        except GONE:
            if (folder / "stat").exists():
                raise
    if not rows:
        raise Unavailable("no process of it is alive")
    return tuple(map(sum, zip(*rows, strict=True)))


def _open_fds(look: Look) -> dict[str, Value]:
    # Linux 6.2 and newer count descriptors in the folder's size; older ones say 0, and this process has some.
    sized = Path("/proc/self/fd").stat().st_size > 0

    def read(folder: Path) -> tuple[int, ...]:
        fds = folder / "fd"
        return (fds.stat().st_size if sized else sum(1 for _ in fds.iterdir()),)

    return {"open_fds": _over_processes(look, read)[0]}


def _rss(look: Look) -> dict[str, Value]:
    def read(folder: Path) -> tuple[int, ...]:
        return (parse_status(read_text(folder / "status")).rss_bytes or 0,)

    return {"rss_bytes": _over_processes(look, read)[0]}


def _rollup(look: Look) -> dict[str, Value]:
    def read(folder: Path) -> tuple[int, ...]:
        rollup = parse_smaps_rollup(read_text(folder / "smaps_rollup"))
        return rollup.pss_bytes, rollup.uss_bytes

    pss, uss = _over_processes(look, read)
    return {"pss_bytes": pss, "uss_bytes": uss}


def _switches(look: Look) -> dict[str, Value]:
    counts: dict[tuple[int, int], TaskCounts] = {}
    for pid, stat in look.members.items():
        try:
            counts[pid, stat.start_ticks] = _task_counts(look, pid)
        except GONE:
            continue
    if not counts:
        raise Unavailable("no process of it is alive")
    totals = look.watched.switches.follow(counts)
    values: dict[str, Value] = {
        "context_switches_voluntary": totals.voluntary,
        "context_switches_involuntary": totals.involuntary,
    }
    if totals.timeslices is None or totals.wait_s is None:
        look.missing |= dict.fromkeys(("timeslices", "runqueue_wait_s"), "only TASKSTATS with delay accounting tells")
    else:
        values |= {"timeslices": totals.timeslices, "runqueue_wait_s": totals.wait_s}
    return values


def _task_counts(look: Look, pid: int) -> TaskCounts:
    """Ask TASKSTATS, else walk the threads and say so."""
    try:
        return look.taskstats.read(pid)
    except GONE:
        raise
    except (OSError, Unavailable) as why:
        look.errors.append("taskstats")
        note = f"summed over /proc/P/task, live threads only, because TASKSTATS failed: {why}"
        look.notes["context_switches_voluntary"] = look.notes["context_switches_involuntary"] = note
        return walk_threads(look.watched.proc, pid)


def _faults(look: Look) -> dict[str, Value]:
    found = {(pid, stat.start_ticks): (stat.minor_faults, stat.major_faults) for pid, stat in look.members.items()}
    sums = look.watched.faults.follow(found)
    if not sums:
        raise Unavailable("no process of it is alive")
    return {"faults_minor": sums[0], "faults_major": sums[1]}


def _anonymous(look: Look) -> dict[str, Value]:
    processes = {(pid, stat.start_ticks): stat.user_s + stat.system_s for pid, stat in look.members.items()}
    if not processes:
        raise Unavailable("no process of it is alive")
    counted = look.watched.instances.count(processes, fresh=look.fresh)
    if look.fresh and counted.age_s and counted.watches is not None:
        look.notes["epoll_watches"] = f"counted {counted.age_s:.1f} s ago: counting them takes too long for a reading"
    values: dict[str, Value] = {}
    if counted.instances is None or counted.rings is None:
        look.missing |= dict.fromkeys(
            _ANONYMOUS_NAMES, "its many descriptors are being looked at, some of them at a time"
        )
        return values
    values |= {"epoll_instances": counted.instances, "io_uring_instances": counted.rings}
    if counted.watches is None:
        look.missing["epoll_watches"] = (
            "counting the watches of so many connections would stop a busy server: it is done when this one is idle"
            if counted.is_put_off
            else "not every process has been counted yet: it is dear, and done one by one"
        )
    else:
        values["epoll_watches"] = counted.watches
    if counted.pending is None or counted.overflow is None:
        look.missing |= dict.fromkeys(
            _RING_NAMES,
            "asking the rings of so many connections would stop a busy server: it is done when this one is idle"
            if counted.is_put_off
            else "a ring was busy each time it was asked, or too full to be asked",
        )
        return values
    return values | {"io_uring_sq_pending": counted.pending, "io_uring_cq_overflow": counted.overflow}


def _cgroup_cpu(look: Look) -> dict[str, Value]:
    return {"cpu_s": sum(cgroup.read_cpu_s(dirs) for dirs in look.watched.dirs)}


def _cgroup_cpu_modes(look: Look) -> dict[str, Value]:
    return {"cpu_modes_s": _summed(cgroup.read_cpu_modes_s(dirs) for dirs in look.watched.dirs)}


def _cgroup_memory_events(look: Look) -> dict[str, Value]:
    return {"cgroup_memory_events": _summed(cgroup.read_memory_events(dirs) for dirs in look.watched.dirs)}


def _cgroup_pressure(look: Look) -> dict[str, Value]:
    return {"cgroup_pressure_s": _summed(cgroup.read_pressure_s(dirs) for dirs in look.watched.dirs)}


def _summed(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Add up what the containers of a target say, each by its own names."""
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row)
    return {name: float(value) for name, value in total.items()}


def _stats(look: Look) -> dict[str, Value]:
    """Tell what the variant's own /stats said last; it is asked by runtime.py, and never by a reading."""
    told = look.watched.runtime.told()
    look.missing |= dict.fromkeys((name for name in RUNTIME_NAMES if name not in told), "its runtime does not tell")
    return dict(told)


def _cgroup_throttling(look: Look) -> dict[str, Value]:
    rows = [cgroup.read_throttling(dirs) for dirs in look.watched.dirs]
    return {
        "cpu_periods": sum(row.periods for row in rows),
        "throttled_periods": sum(row.throttled_periods for row in rows),
        "throttled_s": sum(row.throttled_s for row in rows),
    }


def _cgroup_memory(look: Look) -> dict[str, Value]:
    rows = [cgroup.read_memory(dirs) for dirs in look.watched.dirs]
    values: dict[str, Value] = {
        "cgroup_memory_bytes": sum(row.own_bytes for row in rows),
        "cgroup_usage_bytes": sum(row.usage_bytes for row in rows),
        "cgroup_file_bytes": sum(row.file_bytes for row in rows),
        "cgroup_anon_bytes": sum(row.anon_bytes for row in rows),
        "cgroup_kernel_memory_bytes": sum(row.kernel_bytes for row in rows),
    }
    socks = [row.sock_bytes for row in rows if row.sock_bytes is not None]
    if socks:
        values["cgroup_sock_bytes"] = sum(socks)
    else:
        look.missing["cgroup_sock_bytes"] = "cgroup v1 counts sockets only where memory.kmem.tcp.limit_in_bytes was set"
    return values


def _machine(look: Look) -> dict[str, Value]:
    """The whole machine's, not the target's: how much of it was given to others while the target was loaded."""
    times = parse_cpu_times(read_text(look.watched.proc / "stat"), TICKS_PER_S)
    return {"machine_cpu_s": times.total_s, "machine_steal_s": times.steal_s}


_SWITCH_NAMES = ("context_switches_voluntary", "context_switches_involuntary", "timeslices", "runqueue_wait_s")
_MEMORY_NAMES = tuple(f"cgroup_{kind}_bytes" for kind in ("memory", "usage", "file", "anon", "kernel_memory", "sock"))
_RING_NAMES = ("io_uring_sq_pending", "io_uring_cq_overflow")
_ANONYMOUS_NAMES = ("epoll_instances", "epoll_watches", "io_uring_instances", *_RING_NAMES)
# 20,000 thread stacks are 20,000 mappings to add up, some 20 ms in which none of the threads can map memory.
_ROLLUP_BUDGET = Budget(share=0.002, least_s=1.0, fresh_within_s=0.01)

# In this order: first who is there, then what moves fastest (CPU, switches), last what takes longest.
SOURCES = (
    Source("processes", ("up", "processes", "threads", "threads_peak"), list_processes),
    Source("cgroup_cpu", ("cpu_s",), _cgroup_cpu),
    Source("machine", ("machine_cpu_s", "machine_steal_s"), _machine),
    Source("cpus_ran", ("cpus_ran_s",), read_cpus_ran),
    Source("beside", ("beside_cpu_s",), read_beside),
    Source("switches", _SWITCH_NAMES, _switches),
    Source("faults", ("faults_minor", "faults_major"), _faults),
    *NET_SOURCES,
    Source("fds", ("open_fds",), _open_fds),
    Source("status", ("rss_bytes",), _rss),
    Source("cgroup_memory", _MEMORY_NAMES, _cgroup_memory),
    Source("cgroup_throttling", ("cpu_periods", "throttled_periods", "throttled_s"), _cgroup_throttling),
    Source("cgroup_cpu_modes", ("cpu_modes_s",), _cgroup_cpu_modes),
    Source("cgroup_memory_events", ("cgroup_memory_events",), _cgroup_memory_events),
    Source("cgroup_pressure", ("cgroup_pressure_s",), _cgroup_pressure),
    Source("stats", RUNTIME_NAMES, _stats),
    Source("smaps_rollup", ("pss_bytes", "uss_bytes"), _rollup, _ROLLUP_BUDGET),
    Source("anonymous_fds", _ANONYMOUS_NAMES, _anonymous),
)
