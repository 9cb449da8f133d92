"""Find the cgroup directories of a container's first process and read what they account, in v1 and in v2.

CPU time is nanosecond exact (v1) or microsecond exact (v2) and keeps what exited processes used. Both it and memory
cover everything in the container, an `exec`-ed health check included.

**Which figure is a server's memory.** `own_bytes`: anonymous memory (heap, touched stacks) + shared memory + kernel
memory + socket buffers where counted. Not the charge (v1 `memory.usage_in_bytes`, v2 `memory.current`), for two
reasons. It holds the page cache of files, which whoever touched a file first is charged for: a server that starts
after another of the same image would seem smaller. And it is charged ahead in batches of 64 pages per CPU, so it may
show 512 KiB too much on two CPUs (seen: 520 KB); the parts are exact to a page, though the kernel may add them up
as much as two seconds late.

Measured on 6.18 with cgroup v1, 2,000 to 4,000 accepted connections, each answered once: an epoll server is charged
1,480 B for each (file, dentry, inode, epoll item), a server with a thread for each 29.2 kB (24.8 kB kernel: the 16 KiB
stack, page table, task; 4.4 kB of stack touched in user space).
**v1 does not charge accepted TCP sockets by itself.** The 2,368 B of each are allocated in softirq and charged at
accept() only while socket accounting is on: always under v2; under v1 while any group of the host has its
`memory.kmem.tcp.limit_in_bytes` set (then 3,850 B and 31.6 kB were charged; Docker offers the setting, runc ignores
it). So compare figures of one host and setting only. Never in it: the client's half of a loopback connection, which is
charged to the worker.
Sources: Documentation/admin-guide/cgroup-v1/memory.rst, cpuacct.rst, freezer-subsystem.rst; cgroup-v2.rst;
Documentation/accounting/psi.rst; mm/memcontrol.c MEMCG_CHARGE_BATCH.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import Absent, Unavailable
from .files import read_text
from .parse import parse_cgroup_paths, parse_keyed, parse_number, parse_pressure

_NO_LIMIT_BYTES = 2**62  # v1 writes "no limit" as the most pages a counter holds, just under 2**63 bytes


@dataclass(frozen=True, slots=True)
class Dirs:
    """Where one container's figures are; a v2 container has one directory for all."""

    version: int  # 1 or 2
    cpu: Path | None  # cpu.stat: throttling
    cpuacct: Path | None  # v1 only
    memory: Path | None
    procs: Path  # cgroup.procs, and children's below
    pressure: Path | None = None  # *.pressure: v2's directory, also where v1 holds the controllers (a hybrid host)
    freezer: Path | None = None  # what a paused container is frozen by


@dataclass(frozen=True, slots=True)
class Memory:
    """What one container is charged for."""

    usage_bytes: int  # as the limit sees it, file cache included
    file_bytes: int  # page cache, shared memory not included
    anon_bytes: int
    shmem_bytes: int
    kernel_bytes: int
    sock_bytes: int | None  # socket buffers; None where v1 does not count them

    @property
    def own_bytes(self) -> int:
        """What the server itself needs; the module says why these parts and not the charge."""
        return self.anon_bytes + self.shmem_bytes + self.kernel_bytes + (self.sock_bytes or 0)


@dataclass(frozen=True, slots=True)
class Throttling:
    """How often and how long a CPU quota stopped the container."""

    periods: int
    throttled_periods: int
    throttled_s: float


def find(pid: int, root: Path, proc: Path = Path("/proc"), container_id: str = "") -> Dirs:
    """Return the cgroup directories of process `pid`.

    root: where the host's /sys/fs/cgroup is mounted.
    container_id: when given, it must occur in one of the paths, so that a reused pid is not taken for the container.
    Raises Unavailable when the process is not in that container or its directories are not under root.
    """
    paths = parse_cgroup_paths(read_text(proc / str(pid) / "cgroup"))
    if any(path.startswith("/..") for path in paths.values()):
        raise Unavailable(f"pid {pid}: its cgroup is outside this namespace; start the exporter with cgroupns=host")
    if container_id and not any(container_id in path for path in paths.values()):
        raise Unavailable(f"pid {pid} is not in container {container_id[:12]}: its cgroups are {set(paths.values())}")
    if (root / "cgroup.controllers").exists():
        folder = _below(root, paths.get("", "/"))
        return Dirs(2, cpu=folder, cpuacct=None, memory=folder, procs=folder, pressure=folder, freezer=folder)
    found = {name: _hierarchy(root, name, paths) for name in ("cpu", "cpuacct", "memory")}
    procs = found["memory"] or found["cpuacct"] or found["cpu"]
    if procs is None:
        raise Unavailable(f"pid {pid}: no cgroup v1 hierarchy for cpu, cpuacct or memory under {root}")
    return Dirs(
        version=1, procs=procs, **found, pressure=_unified(root, paths), freezer=_hierarchy(root, "freezer", paths)
    )


def read_pids(procs: Path) -> list[int]:
    """Return the processes in a cgroup and those below it; shared pid namespace with the host is assumed."""
    pids = [int(line) for line in read_text(procs / "cgroup.procs").split()]
    with os.scandir(procs) as entries:  # tells folders from files without a call for each
        for child in [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]:
            pids += read_pids(child)
    return pids


def read_cpu_s(dirs: Dirs) -> float:
    """Return the CPU seconds used since the container was made."""
    if dirs.version == 2 and dirs.cpu:
        return parse_keyed(read_text(dirs.cpu / "cpu.stat"))["usage_usec"] / 1e6
    if dirs.cpuacct is None:
        raise Unavailable("no cpuacct hierarchy")
    return parse_number(read_text(dirs.cpuacct / "cpuacct.usage")) / 1e9


def read_memory(dirs: Dirs) -> Memory:
    """Return what the container is charged for now."""
    if dirs.memory is None:
        raise Unavailable("no memory hierarchy")
    stat = parse_keyed(read_text(dirs.memory / "memory.stat"))
    if dirs.version == 2:
        return Memory(
            usage_bytes=parse_number(read_text(dirs.memory / "memory.current")),
            file_bytes=stat["file"] - stat["shmem"],
            anon_bytes=stat["anon"],
            shmem_bytes=stat["shmem"],
            # `kernel` came with 5.18; older kernels list its parts only.
            kernel_bytes=_wanted(stat, "kernel", "a kernel of at least 5.18"),
            sock_bytes=stat["sock"],
        )
    counted = parse_number(read_text(dirs.memory / "memory.kmem.tcp.limit_in_bytes")) < _NO_LIMIT_BYTES
    sock = parse_number(read_text(dirs.memory / "memory.kmem.tcp.usage_in_bytes")) if counted else None
    return Memory(
        usage_bytes=parse_number(read_text(dirs.memory / "memory.usage_in_bytes")),
        file_bytes=stat["total_cache"] - stat["total_shmem"],
        anon_bytes=stat["total_rss"],
        shmem_bytes=stat["total_shmem"],
        kernel_bytes=parse_number(read_text(dirs.memory / "memory.kmem.usage_in_bytes")),
        sock_bytes=sock,
    )


def read_throttling(dirs: Dirs) -> Throttling:
    """Return what the CPU quota did; all zero where none is set, as the kernel itself reports it."""
    if dirs.cpu is None:
        raise Unavailable("no cpu hierarchy")
    stat = parse_keyed(read_text(dirs.cpu / "cpu.stat"))
    per_s, key = (1e6, "throttled_usec") if dirs.version == 2 else (1e9, "throttled_time")
    spent = _wanted(stat, key, "the cpu controller in this cgroup")
    return Throttling(stat["nr_periods"], stat["nr_throttled"], spent / per_s)


def read_cpu_modes_s(dirs: Dirs) -> Mapping[str, float]:
    """Return the CPU seconds by mode; finer or coarser than the total, so that they need not add up to it."""
    if dirs.version == 2 and dirs.cpu:
        stat = parse_keyed(read_text(dirs.cpu / "cpu.stat"))
        return {"user": stat["user_usec"] / 1e6, "system": stat["system_usec"] / 1e6}
    if dirs.cpuacct is None:
        raise Unavailable("no cpuacct hierarchy")
    files = (("user", "cpuacct.usage_user"), ("system", "cpuacct.usage_sys"))
    return {mode: parse_number(read_text(dirs.cpuacct / file)) / 1e9 for mode, file in files}


def read_memory_events(dirs: Dirs) -> Mapping[str, int]:
    """Return how often memory met a limit, by v2's names; of v1 there are `max` (failcnt) and `oom_kill` only."""
    if dirs.memory is None:
        raise Unavailable("no memory hierarchy")
    if dirs.version == 2:
        return parse_keyed(read_text(dirs.memory / "memory.events"))
    control = parse_keyed(read_text(dirs.memory / "memory.oom_control"))
    killed = _wanted(control, "oom_kill", "a kernel of at least 4.13")
    return {"max": parse_number(read_text(dirs.memory / "memory.failcnt")), "oom_kill": killed}


def read_pressure_s(dirs: Dirs) -> Mapping[str, float]:
    """Return the seconds in which some or all of its tasks stood still, keyed "cpu some", "memory full" and so on."""
    if dirs.pressure is None:
        raise Absent("no unified hierarchy is mounted, and cgroup v1 has no pressure files")
    found: dict[str, float] = {}
    for resource in ("cpu", "memory", "io"):
        try:
            text = read_text(dirs.pressure / f"{resource}.pressure")
        except OSError as why:
            if why.errno in (errno.ENOENT, errno.EOPNOTSUPP):
                raise Absent("this kernel keeps no pressure for cgroups (CONFIG_PSI, psi=1 at boot)") from None
            raise
        found |= {f"{resource} {kind}": seconds for kind, seconds in parse_pressure(text).items()}
    return found


def is_frozen(dirs: Dirs) -> bool:
    """Return whether the container is paused; False where that cannot be told."""
    if dirs.freezer is None:
        return False
    if dirs.version == 2:
        return parse_keyed(read_text(dirs.freezer / "cgroup.events")).get("frozen") == 1
    return read_text(dirs.freezer / "freezer.state").strip() != "THAWED"


def _unified(root: Path, paths: Mapping[str, str]) -> Path | None:
    """Find the container's directory in the unified hierarchy beside v1's, which systemd mounts as `unified`."""
    if "" not in paths or not (root / "unified" / "cgroup.controllers").exists():
        return None
    folder = root / "unified" / paths[""].lstrip("/")
    return folder if (folder / "cgroup.procs").exists() else None


def _below(hierarchy: Path, path: str) -> Path:
    folder = hierarchy / path.lstrip("/")
    if not (folder / "cgroup.procs").exists():
        raise Unavailable(f"no {folder}/cgroup.procs; mount the host's /sys/fs/cgroup and name it in LAB_CGROUP_ROOT")
    return folder


def _hierarchy(root: Path, controller: str, paths: Mapping[str, str]) -> Path | None:
    """Find a v1 controller's directory; controllers mounted together share one, such as cpu,cpuacct."""
    path = paths.get(controller)
    if path is None:
        return None
    for mount in root.iterdir():
        if controller in mount.name.split(","):
            return _below(mount, path)
    return None


def _wanted(stat: Mapping[str, int], key: str, needs: str) -> int:
    if key not in stat:
        raise Unavailable(f"no {key}: it needs {needs}")
    return stat[key]
