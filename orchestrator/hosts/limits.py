"""Read what this machine allows, and keep what the engine granted for later plans.

/proc and .lab/limits.json -> HostLimits. `lab plan` looks here and asks no engine; `lab run` and `lab up` ask it, and
leave the answer in that file. Sources: proc_sys_fs(5), proc_sys_kernel(5), proc_meminfo(5),
Documentation/admin-guide/sysctl/.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from orchestrator.hosts.facts import kernel_version
from orchestrator.planning.hostlimits import ContainerLimits, HostLimits

_SYSCTLS = {
    "nr_open": "fs/nr_open",
    "file_max": "fs/file-max",
    "threads_max": "kernel/threads-max",
    "pid_max": "kernel/pid_max",
    "max_map_count": "vm/max_map_count",
    "epoll_watches": "fs/epoll/max_user_watches",
}

# Rings were locked memory up to 5.11 (io_account_mem), only the cgroup's from 5.12 on (26bfa89e25f4), and are locked
# memory again since the region API (8078486e1d53, 81a4058e0cd0, ef62de3c4ad5; io_create_region in io_uring/memmap.c),
# which liburing's io_uring_mlock_size(3) does not know yet. Measured on 6.18: 137 pages for each ring of c-uring.
_RINGS_LOCKED_SINCE = (6, 14)

_OF_A_POD = {"net.core.somaxconn": 1, "net.ipv4.ip_local_port_range": 2}  # that plans rest on -> numbers in it


def read_limits(state: Path, proc: Path = Path("/proc")) -> HostLimits:
    """Return this machine's limits. state: the folder that holds limits.json; proc: another root in tests.

    Never raises: what cannot be read is None and named in `assumed`.
    """
    values = {name: _number(proc / "sys" / path) for name, path in _SYSCTLS.items()}
    assumed = [
        f"{_SYSCTLS[name].replace('/', '.')} could not be read: taken for unlimited"
        for name, value in values.items()
        if value is None
    ]
    memory = _meminfo(proc)
    if "MemAvailable" not in memory:
        assumed.append("the machine's memory could not be read: taken for unlimited")
    kept = _kept(state)
    fingerprint = _fingerprint(proc, memory.get("MemTotal"), kept.get("engine"))
    granted, doubt = _granted(kept)
    if doubt:
        assumed.append(f"descriptors granted to a container: the profile's wish; {doubt}")
    return HostLimits(
        **values,
        cpus=frozenset(os.sched_getaffinity(0)),
        memory_bytes=memory.get("MemTotal"),
        available_bytes=memory.get("MemAvailable"),
        files_open=_word(proc / "sys/fs/file-nr", 0),
        tcp_memory_pages=_word(proc / "sys/net/ipv4/tcp_mem", 2),
        conntrack_max=_number(proc / "sys/net/netfilter/nf_conntrack_max"),
        pods_tracked=bool(kept.get("pods_tracked", False)),
        nofile_granted=granted,
        container=_container(kept),
        rings_locked=(kernel_version(platform.release()) or (0, 0)) >= _RINGS_LOCKED_SINCE,
        sysctls=_sysctls(kept),
        fingerprint=fingerprint,
        assumed=tuple(assumed),
    )


def keep_granted(
    state: Path, *, nofile: int, wanted: int, engine: str, container: ContainerLimits, pods_tracked: bool = False
) -> None:
    """Keep what the engine granted a container, for plans made without asking it. A file that cannot be written is not.

    nofile: descriptors of one process, of the number wanted. engine: its version. container: the limits that one has
    who asks for none. pods_tracked: the kernel tracks connections in a pod's namespace.
    A cap met earlier stays known when fewer are asked for and granted.
    """
    known, _ = _granted(kept := _kept(state))
    if known is not None and wanted <= known:
        nofile, wanted = known, int(str(kept["wanted"]))
    document = {"nofile": nofile, "wanted": wanted, "engine": engine, "container": asdict(container)}
    document |= {"kernel": platform.release(), "pods_tracked": pods_tracked}
    if kept.get("kernel") == platform.release() and "sysctls" in kept:
        document["sysctls"] = kept["sysctls"]
    _write(state, document)


def keep_sysctls(state: Path, seen: Mapping[tuple[str, str], str]) -> None:
    """Keep what a pod's namespace had, beside what was granted: (name, what the profile asked for or "") -> read back.

    Before keep_granted there is no record, and none is begun. What is known already is not written again.
    """
    kept = _kept(state)
    if kept.get("kernel") != platform.release():
        return
    known = _sysctls(kept)
    read = {f"{name}={wanted}": value for (name, wanted), value in seen.items() if _is_whole(name, value)}
    if read.items() - known.items():
        _write(state, {**kept, "sysctls": {**known, **read}})


def _write(state: Path, document: Mapping[str, object]) -> None:
    path = state / "limits.json"
    partial = path.with_name(f"limits.{os.getpid()}.tmp")
    try:
        state.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(document) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError:  # best effort: later plans assume then, and say so
        with contextlib.suppress(OSError):
            partial.unlink()


def _container(kept: Mapping[str, object]) -> ContainerLimits | None:
    """Return the limits read back under this kernel; None where none were, or not as they are kept now."""
    found = kept.get("container") if kept.get("kernel") == platform.release() else None
    if not isinstance(found, dict) or found.keys() != asdict(ContainerLimits()).keys():
        return None
    whole = all(value is None or (isinstance(value, int) and value >= 0) for value in found.values())
    return ContainerLimits(**found) if whole else None


def _sysctls(kept: Mapping[str, object]) -> dict[str, str]:
    found = kept.get("sysctls") if kept.get("kernel") == platform.release() else None
    if not isinstance(found, dict):
        return {}
    return {asked: value for asked, value in found.items() if _is_whole(asked.partition("=")[0], value)}


def _is_whole(name: str, value: object) -> bool:
    words = value.split() if isinstance(value, str) else []
    return len(words) == _OF_A_POD.get(name) and all(word.isdigit() for word in words)


def _granted(kept: Mapping[str, object]) -> tuple[int | None, str]:
    """Return the cap that the engine showed, or None and why none is known."""
    nofile, wanted = kept.get("nofile"), kept.get("wanted")
    if not isinstance(nofile, int) or not isinstance(wanted, int):
        return None, "lab run or lab up will read them back"
    if kept.get("kernel") != platform.release():
        return None, "they were read back under another kernel"
    if nofile >= wanted:
        return None, f"the engine granted all of {wanted:,} when it was asked for them"
    return nofile, ""


def _fingerprint(proc: Path, memory_bytes: int | None, engine: object) -> Mapping[str, str]:
    return {
        "kernel": platform.release(),
        "cpu_model": _cpu_model(proc),
        "memory_gib": "unknown" if memory_bytes is None else f"{memory_bytes / (1 << 30):.0f}",
        "engine": engine if isinstance(engine, str) else "unknown",
    }


def _cpu_model(proc: Path) -> str:
    try:
        lines = (proc / "cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _meminfo(proc: Path) -> dict[str, int]:
    """Return MemTotal and MemAvailable in bytes, those that could be read."""
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in lines:
        words = line.replace(":", " ").split()
        if len(words) == 3 and words[0] in ("MemTotal", "MemAvailable") and words[1].isdigit():
            found[words[0]] = int(words[1]) * 1024
    return found


def _kept(state: Path) -> dict[str, object]:
    try:
        kept = json.loads((state / "limits.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _number(path: Path) -> int | None:
    return _word(path, 0)


def _word(path: Path, index: int) -> int | None:
    try:
        words = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return None
    return int(words[index]) if len(words) > index and words[index].isdigit() else None
