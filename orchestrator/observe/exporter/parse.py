"""Turn kernel text into values.

Text in, dataclass or mapping out; opening files and choosing when to is the work of sources.py.
Sources: proc_pid_stat(5), proc_pid_status(5), Documentation/filesystems/proc.rst (smaps_rollup, fdinfo, net, stat),
Documentation/accounting/psi.rst, Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
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
    minor_faults: int  # pages that were in memory already; exited threads included
    major_faults: int  # pages that had to be read
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
class CpuTimes:
    """The machine's CPUs together since boot, tick-grained."""

    total_s: float  # idle included: seconds times CPUs
    steal_s: float  # that the hypervisor gave to others while somebody here wanted to run; 0 on bare metal


@dataclass(frozen=True, slots=True)
class CpuWork:
    """What one CPU did since boot, tick-grained and counted by ticks."""

    tasks_s: float  # user, nice and system: of whatever task, the kernel's own threads too
    interrupts_s: float  # irq and softirq, whoever they were for


@dataclass(frozen=True, slots=True)
class Rollup:
    """Sums over all mappings of a process."""

    rss_bytes: int
    pss_bytes: int  # shared pages divided among those who map them
    uss_bytes: int  # pages nobody else maps


@dataclass(frozen=True, slots=True)
class Ring:
    """One io_uring at one instant."""

    pending: int  # submissions the kernel has not taken yet
    overflow: int  # completions that found no room and wait in the kernel


@dataclass(frozen=True, slots=True)
class Machine:
    """The whole host as /proc/stat shows it."""

    cpu_s: Mapping[str, float]  # mode -> seconds over all CPUs; guest time is within user
    running: int  # tasks that have a CPU or are ready for one
    switches: int


CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")  # proc_stat(5), in its order


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
        minor_faults=int(fields[7]),
        major_faults=int(fields[9]),
        user_s=int(fields[11]) / ticks_per_s,
        system_s=int(fields[12]) / ticks_per_s,
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
    )


def parse_cpu_times(text: str, ticks_per_s: int) -> CpuTimes:
    """Read the first line of /proc/stat: user nice system idle iowait irq softirq steal; guest time is in user."""
    fields = text.partition("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu" or not all(field.isdigit() for field in fields[1:9]):
        raise Malformed(f"/proc/stat: expected 'cpu' and at least eight numbers, saw {text[:80]!r}")
    ticks = [int(field) for field in fields[1:9]]
    return CpuTimes(total_s=sum(ticks) / ticks_per_s, steal_s=ticks[7] / ticks_per_s)


def parse_cpu_works(text: str, ticks_per_s: int) -> Mapping[str, CpuWork]:
    """Read the lines of single CPUs in /proc/stat, by their numbers as text. Source: proc_stat(5)."""
    found = {}
    for line in text.splitlines()[1:]:
        name, *fields = line.split()
        if not name.startswith("cpu"):  # they stand together, behind the sum of all
            break
        if len(fields) < 7 or not all(field.isdigit() for field in fields[:7]):
            raise Malformed(f"/proc/stat: expected {name!r} and at least seven numbers, saw {line[:80]!r}")
        user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[:7])
        found[name.removeprefix("cpu")] = CpuWork((user + nice + system) / ticks_per_s, (irq + softirq) / ticks_per_s)
    return found


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


def parse_ring(text: str) -> Ring | None:
    """Read an io_uring's /proc/P/fdinfo/N; None when its lock was taken just then and the kernel wrote no more of it.

    Source: io_uring/fdinfo.c. The overflow list is the last but for lines without indentation.
    """
    head, _, overflow = text.partition("\nCqOverflowList:\n")
    fields = dict(line.split(":", 1) for line in head.splitlines() if line[:2] == "Sq" and ":" in line)
    if "SqHead" not in fields:
        return None
    try:
        pending = (int(fields["SqTail"]) - int(fields["SqHead"])) % 2**32  # both run on past 32 bits
    except (KeyError, ValueError):
        raise Malformed(f"io_uring fdinfo: expected SqHead and SqTail, saw {sorted(fields)}") from None
    return Ring(pending, sum(line.startswith("  ") for line in overflow.splitlines()))


def parse_pressure(text: str) -> Mapping[str, float]:
    """Read a *.pressure file or /proc/pressure/*: some, full -> seconds stalled in total.

    Source: Documentation/accounting/psi.rst; `full` of cpu is absent before 5.13.
    """
    found: dict[str, float] = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        total = dict(pair.split("=", 1) for pair in pairs if "=" in pair).get("total")
        if kind not in ("some", "full") or total is None or not total.isdigit():
            raise Malformed(f"pressure: expected 'some avg10=... total=N', saw {line[:80]!r}")
        found[kind] = int(total) / 1e6
    return found


def parse_machine(text: str, ticks_per_s: int) -> Machine:
    """Read /proc/stat."""
    fields = {name: rest for name, _, rest in (line.partition(" ") for line in text.splitlines())}
    try:
        ticks = [int(number) for number in fields["cpu"].split()]
        modes = {mode: count / ticks_per_s for mode, count in zip(CPU_MODES, ticks, strict=False)}
        return Machine(modes, int(fields["procs_running"]), int(fields["ctxt"]))
    except (KeyError, ValueError) as odd:
        raise Malformed(f"/proc/stat: expected lines cpu, procs_running and ctxt with numbers: {odd}") from None


def parse_meminfo(text: str) -> Mapping[str, int]:
    """Read /proc/meminfo: name -> bytes, of the lines that are in kB."""
    rows = (line.partition(":") for line in text.splitlines())
    return {name: _kib(rest) for name, _, rest in rows if rest.endswith("kB")}


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
