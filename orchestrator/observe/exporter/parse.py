"""Turn kernel text into values.

Text in, dataclass or mapping out; opening files and choosing when to is the work of sources.py.
Sources: proc_pid_stat(5), proc_pid_status(5), Documentation/filesystems/proc.rst (smaps_rollup, fdinfo, net),
Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import Malformed


@dataclass(frozen=True, slots=True)
class Stat:
    """One process as /proc/P/stat shows it; times cover all its threads, those that exited included."""

    comm: str
    state: str  # one letter; Z is a zombie
    ppid: int
    user_s: float  # tick-grained
    system_s: float  # tick-grained
    threads: int
    start_ticks: int  # since boot; with the pid it names a process for good


@dataclass(frozen=True, slots=True)
class Status:
    """What is used of /proc/P/status, or of a thread's."""

    rss_bytes: int | None  # None: a kernel thread or a zombie, which has no address space
    voluntary: int  # context switches of this one thread, not of the process
    involuntary: int


@dataclass(frozen=True, slots=True)
class Rollup:
    """Sums over all mappings of a process."""

    rss_bytes: int
    pss_bytes: int  # shared pages divided among those who map them
    uss_bytes: int  # pages nobody else maps


def parse_stat(text: str, ticks_per_s: int) -> Stat:
    """Read /proc/P/stat. The command's name may hold blanks and parentheses: fields count from the last ')'."""
    left, closing, rest = text.rpartition(")")
    _, opening, comm = left.partition("(")
    fields = rest.split()
    if not closing or not opening or len(fields) < 20:
        raise Malformed(f"/proc/P/stat: expected 'pid (comm) state ppid ...' with 22 fields, saw {text[:80]!r}")
    return Stat(
        comm=comm,
        state=fields[0],
        ppid=int(fields[1]),
        user_s=int(fields[11]) / ticks_per_s,
        system_s=int(fields[12]) / ticks_per_s,
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
    )


def parse_status(text: str) -> Status:
    """Read /proc/P/status or /proc/P/task/T/status."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    try:
        rss = fields.get("VmRSS")
        return Status(
            rss_bytes=None if rss is None else _kib(rss),
            voluntary=int(fields["voluntary_ctxt_switches"]),
            involuntary=int(fields["nonvoluntary_ctxt_switches"]),
        )
    except KeyError as missing:
        raise Malformed(f"/proc/P/status: no line {missing}, saw {sorted(fields)[:5]}...") from None


def parse_smaps_rollup(text: str) -> Rollup:
    """Read /proc/P/smaps_rollup."""
    sizes = {key: _kib(rest) for key, _, rest in (line.partition(":") for line in text.splitlines()[1:])}
    try:
        private = ("Private_Clean", "Private_Dirty", "Private_Hugetlb")
        return Rollup(sizes["Rss"], sizes["Pss"], sum(sizes[key] for key in private))
    except KeyError as missing:
        raise Malformed(f"/proc/P/smaps_rollup: no line {missing}, saw {sorted(sizes)}") from None


def count_watches(text: str) -> int:
    """Count the descriptors an epoll instance watches, from its /proc/P/fdinfo/N: one `tfd:` line each."""
    return text.count("\ntfd:")


def parse_net(text: str) -> Mapping[str, Mapping[str, int]]:
    """Read /proc/P/net/snmp or netstat: pairs of lines, names then numbers, both starting with 'Proto:'."""
    lines = text.splitlines()
    tables: dict[str, dict[str, int]] = {}
    if len(lines) % 2:
        raise Malformed(f"/proc/P/net: expected pairs of lines, saw {len(lines)}")
    for names, numbers in zip(lines[::2], lines[1::2], strict=True):
        proto, *keys = names.split()
        same, *values = numbers.split()
        if proto != same or len(keys) != len(values):
            raise Malformed(f"/proc/P/net: the lines of {proto} do not match: {names[:60]!r}, {numbers[:60]!r}")
        tables.setdefault(proto.rstrip(":"), {}).update(zip(keys, map(int, values), strict=True))
    return tables


def parse_sockstat(text: str) -> Mapping[str, Mapping[str, int]]:
    """Read /proc/P/net/sockstat or sockstat6: 'TCP: inuse 4 orphan 0 tw 1 alloc 9 mem 2', a line for each protocol."""
    tables: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        name, *fields = line.split()
        try:
            tables[name.rstrip(":")] = dict(zip(fields[::2], map(int, fields[1::2]), strict=True))
        except ValueError:
            raise Malformed(f"/proc/P/net/sockstat: expected 'PROTO: key number ...', saw {line[:80]!r}") from None
    return tables


def parse_keyed(text: str) -> Mapping[str, int]:
    """Read a flat keyed cgroup file: cpu.stat, memory.stat."""
    try:
        return {key: int(value) for key, value in (line.split() for line in text.splitlines())}
    except ValueError:
        raise Malformed(f"cgroup: expected lines of 'key number', saw {text[:80]!r}") from None


def parse_number(text: str) -> int:
    """Read a cgroup file that holds one number."""
    try:
        return int(text)
    except ValueError:
        raise Malformed(f"cgroup: expected one number, saw {text[:80]!r}") from None


def parse_cgroup_paths(text: str) -> Mapping[str, str]:
    """Read /proc/P/cgroup: v1 controller -> path below its hierarchy; the unified hierarchy's key is ''."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3:
            raise Malformed(f"/proc/P/cgroup: expected 'id:controllers:path', saw {line[:80]!r}")
        for controller in parts[1].split(","):
            paths[controller] = parts[2]
    return paths


def _kib(field: str) -> int:
    number, _, unit = field.strip().partition(" ")
    if unit.strip() != "kB":
        raise Malformed(f"expected a size in kB, saw {field.strip()[:40]!r}")
    return int(number) * 1024
