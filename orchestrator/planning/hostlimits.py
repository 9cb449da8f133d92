"""What one machine allows, as values: the limits of its kernel, what it has, and what its engine granted.

Values only; hosts/limits.py reads them. None means not read, and `assumed` says what is believed instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """What a container has that asks for nothing, read back inside one. None: unlimited, or not told there."""

    memlock_bytes: int | None = None  # RLIMIT_MEMLOCK: locked by all processes of its user together
    nproc: int | None = None  # RLIMIT_NPROC: threads of its user, in all containers
    pids_max: int | None = None  # threads of one container; what an outer cgroup allows is not in it


@dataclass(frozen=True, slots=True)
class HostLimits:
    """Limits of the whole machine, and of what runs in the lab's containers."""

    cpus: frozenset[int] | None = None  # that this process, and so presumably containers, may use
    memory_bytes: int | None = None  # all there is
    available_bytes: int | None = None  # what could be used when it was read
    nr_open: int | None = None  # the most descriptors that one process may have
    file_max: int | None = None  # open files of all processes together
    files_open: int | None = None  # of these, in use
    threads_max: int | None = None
    pid_max: int | None = None
    max_map_count: int | None = None  # map areas of one process
    epoll_watches: int | None = None  # fs.epoll.max_user_watches, for each user
    tcp_memory_pages: int | None = None  # tcp_mem[2], pages of 4 KiB for all sockets' buffers
    conntrack_max: int | None = None  # None: no connection tracking in this kernel
    pods_tracked: bool = False  # True: pods are not on the engine's default bridge (docs/decisions/0005)
    nofile_granted: int | None = None  # what the engine granted a container when it was last asked
    container: ContainerLimits | None = None  # None: not read back yet
    rings_locked: bool = False  # True: this kernel counts an io_uring's queues as locked memory of the user
    sysctls: Mapping[str, str] = field(default_factory=dict)  # "name=what a profile asked for" -> what a pod then had
    fingerprint: Mapping[str, str] = field(default_factory=dict)  # kernel, CPU model, memory, engine
    assumed: tuple[str, ...] = ()  # what could not be read, and what is believed instead
