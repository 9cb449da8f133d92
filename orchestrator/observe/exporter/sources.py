"""The sources a reading is made of: each turns one target into a few named values.

A source that cannot be read raises; reading.py then reports all its names as missing. A process that vanished between
listing and reading is left out of the sum and is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import cgroup
from .errors import Malformed, Unavailable
from .files import read_text
from .look import GONE, Look, Value, list_processes
from .parse import parse_net, parse_smaps_rollup, parse_sockstat, parse_status
from .switches import walk_threads
from .taskstats import TaskCounts


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to read: its name in lab_collector_*, the values it gives, how."""

    name: str
    gives: tuple[str, ...]
    read: Callable[[Look], dict[str, Value]]


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


def _epoll(look: Look) -> dict[str, Value]:
    processes = [(pid, stat.start_ticks) for pid, stat in look.members.items()]
    if not processes:
        raise Unavailable("no process of it is alive")
    counted = look.watched.instances.count(processes, fresh=look.fresh)
    if look.fresh and counted.age_s:
        look.notes["epoll_watches"] = f"counted {counted.age_s:.1f} s ago: counting them takes too long for a reading"
    return {"epoll_instances": counted.instances, "epoll_watches": counted.watches}


def _cgroup_cpu(look: Look) -> dict[str, Value]:
    return {"cpu_s": sum(cgroup.read_cpu_s(dirs) for dirs in look.watched.dirs)}


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


def _net(look: Look, file: str) -> Path:
    """Return a file about the first container's network namespace."""
    pid = look.watched.target.containers[0].pid
    if pid not in look.members:
        raise Unavailable(f"its first process, {pid}, is not alive")
    return look.watched.proc / str(pid) / "net" / file


def _snmp(look: Look) -> dict[str, Value]:
    tcp = _table(parse_net(read_text(_net(look, "snmp"))), "Tcp")
    values: dict[str, Value] = {name: _counter(tcp, key) for name, key in _SNMP.items()}
    values["tcp_troubles"] = {key: float(tcp[key]) for key in _SNMP_TROUBLES if key in tcp}
    return values


def _netstat(look: Look) -> dict[str, Value]:
    ext = _table(parse_net(read_text(_net(look, "netstat"))), "TcpExt")
    values: dict[str, Value] = {name: _counter(ext, key) for name, key in _NETSTAT.items()}
    aborts = {key: float(count) for key, count in ext.items() if key.startswith("TCPAbort")}
    values["tcp_aborts"] = aborts
    values["tcp_ext_troubles"] = aborts | {key: float(ext[key]) for key in _EXT_TROUBLES if key in ext}
    return values


def _sockstat(look: Look) -> dict[str, Value]:
    """Count the namespace's TCP sockets, both ends of what stays in it; `mem`, `alloc` and `orphan` are host-wide."""
    tcp = parse_sockstat(read_text(_net(look, "sockstat")))["TCP"]
    tcp6 = parse_sockstat(read_text(_net(look, "sockstat6"))).get("TCP6", {}) if _has_ipv6(look) else {}
    return {"tcp_sockets": tcp["inuse"] + tcp6.get("inuse", 0), "tcp_time_wait": tcp["tw"]}


def _has_ipv6(look: Look) -> bool:
    return _net(look, "sockstat6").exists()  # absent where the host booted with ipv6.disable=1


def _table(tables: Mapping[str, Mapping[str, int]], name: str) -> Mapping[str, int]:
    if name not in tables:
        raise Malformed(f"/proc/P/net: no {name} lines, saw {', '.join(tables)}")
    return tables[name]


def _counter(table: Mapping[str, int], key: str) -> int:
    if key not in table:
        raise Malformed(f"/proc/P/net: no {key} among {len(table)} counters")
    return table[key]


_SNMP = {
    "tcp_retransmits": "RetransSegs",
    "tcp_resets_sent": "OutRsts",
    "tcp_established_resets": "EstabResets",
    "tcp_passive_opens": "PassiveOpens",
    "tcp_attempt_fails": "AttemptFails",
}
_NETSTAT = {
    "tcp_listen_overflows": "ListenOverflows",
    "tcp_listen_drops": "ListenDrops",
    "tcp_syncookies_sent": "SyncookiesSent",
}
# What grows in a trial when connections are lost, refused or repeated, by the kernel's own names (nstat(8)). A kernel
# that does not know one leaves it out.
_SNMP_TROUBLES = ("OutRsts", "RetransSegs", "EstabResets", "AttemptFails", "InErrs")
_EXT_TROUBLES = (
    "ListenOverflows", "ListenDrops", "SyncookiesSent", "SyncookiesRecv", "SyncookiesFailed", "EmbryonicRsts",
    "TCPReqQFullDrop", "TCPReqQFullDoCookies", "TCPTimeouts", "TCPSynRetrans", "TCPLostRetransmit", "TCPBacklogDrop",
    "TCPTimeWaitOverflow", "TCPMemoryPressures", "PruneCalled", "RcvPruned", "TCPRcvQDrop", "TCPZeroWindowDrop",
    "TCPMigrateReqSuccess", "TCPMigrateReqFailure",
)  # fmt: skip
_SWITCH_NAMES = ("context_switches_voluntary", "context_switches_involuntary", "timeslices", "runqueue_wait_s")
_MEMORY_NAMES = tuple(f"cgroup_{kind}_bytes" for kind in ("memory", "usage", "file", "anon", "kernel_memory", "sock"))

# In this order: first who is there, then what moves fastest (CPU, switches), last what takes longest.
SOURCES = (
    Source("processes", ("up", "processes", "threads", "threads_peak"), list_processes),
    Source("cgroup_cpu", ("cpu_s",), _cgroup_cpu),
    Source("switches", _SWITCH_NAMES, _switches),
    Source("snmp", (*_SNMP, "tcp_troubles"), _snmp),
    Source("netstat", (*_NETSTAT, "tcp_aborts", "tcp_ext_troubles"), _netstat),
    Source("sockstat", ("tcp_sockets", "tcp_time_wait"), _sockstat),
    Source("fds", ("open_fds",), _open_fds),
    Source("status", ("rss_bytes",), _rss),
    Source("cgroup_memory", _MEMORY_NAMES, _cgroup_memory),
    Source("cgroup_throttling", ("cpu_periods", "throttled_periods", "throttled_s"), _cgroup_throttling),
    Source("smaps_rollup", ("pss_bytes", "uss_bytes"), _rollup),
    Source("epoll", ("epoll_instances", "epoll_watches"), _epoll),
)
