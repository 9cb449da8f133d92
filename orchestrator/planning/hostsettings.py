"""Decide what `lab tune` would do to each of the host's settings: raise it, leave it, or say that it is not there.

Pure: the values found and the values wanted -> changes. Reading and writing them is hosts/tuning.py's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.errors import BadInput

# What each setting bounds on the whole machine. What a profile wants a value for stands beside it in lab.yaml.
REASONS: Mapping[str, str] = {
    "fs.epoll.max_user_watches": "sockets one user's epoll instances may watch; beyond, epoll_ctl fails with ENOSPC",
    "fs.file-max": "open files of all processes together; beyond, accept and socket fail with ENFILE",
    "fs.nr_open": "the most descriptors that a process's limit can be raised to",
    "kernel.pid_max": "pids, and every thread has one; beyond, a thread cannot start (EAGAIN)",
    "kernel.threads-max": "threads of all processes together; beyond, a thread cannot start (EAGAIN)",
    "net.core.default_qdisc": "how new network devices queue packets; loopback has no queue",
    "net.core.netdev_max_backlog": "packets waiting on each CPU, loopback's too; beyond, they are dropped",
    "net.core.rmem_default": "receive buffer of sockets other than TCP",
    "net.core.rmem_max": "the largest receive buffer a program may ask for",
    "net.core.wmem_default": "send buffer of sockets other than TCP",
    "net.core.wmem_max": "the largest send buffer a program may ask for",
    "net.ipv4.tcp_max_orphans": "connections without a process; beyond, they are reset",
    "net.ipv4.tcp_mem": "pages for the buffers of all TCP sockets: low, pressure, and the end",
    "net.netfilter.nf_conntrack_buckets": "hash buckets of the connection table; too few make each look-up long",
    "net.netfilter.nf_conntrack_max": "connections the firewall can track; beyond, new ones are dropped",
    "net.nf_conntrack_max": "connections the firewall can track; beyond, new ones are dropped",
    "vm.max_map_count": "memory areas of one process, two for each thread; beyond, a thread cannot start (ENOMEM)",
    "vm.overcommit_memory": "whether memory may be promised that is not there: 0 guessed, 1 always, 2 never",
}

# Neither more nor less of these is better: they are set as they are asked for.
UNORDERED = frozenset({"net.core.default_qdisc", "vm.overcommit_memory"})

Action = Literal["set", "same", "higher", "absent"]


@dataclass(frozen=True, slots=True)
class Change:
    """What would become of one setting."""

    name: str
    now: str | None  # None: this kernel does not have it
    wanted: str
    becomes: str  # what would be written, or what stays
    action: Action  # set; same: it is so already; higher: it is more already and stays; absent
    reason: str


def decide(wanted: Mapping[str, str], now: Mapping[str, str | None], lower: bool = False) -> list[Change]:
    """Return a change for each setting wanted, in its order.

    now: what was found, one space between numbers; None: not there. lower: take what is asked for even where more is
    there already. Raises BadInput for a value that is no number where numbers stand.
    """
    return [_decide(name, now[name], " ".join(value.split()), lower) for name, value in wanted.items()]


def _decide(name: str, now: str | None, wanted: str, lower: bool) -> Change:
    reason = REASONS[name]
    if now is None:
        return Change(name, None, wanted, "", "absent", reason)
    becomes = wanted if lower or name in UNORDERED else _at_least(name, now, wanted)
    if becomes == now:
        return Change(name, now, wanted, now, "same" if wanted == now else "higher", reason)
    return Change(name, now, wanted, becomes, "set", reason)


def _at_least(name: str, now: str, wanted: str) -> str:
    """Return the larger of each pair of numbers: no number sinks, and a rising row such as tcp_mem's stays one."""
    here, there = now.split(), wanted.split()
    if len(here) != len(there) or not all(word.isascii() and word.isdigit() for word in there):
        example = f"{len(here)} whole numbers" if len(here) > 1 else "a whole number"
        raise BadInput(f"{name}: expected {example} such as '{now}', saw '{wanted}'. Mend the profile in lab.yaml")
    if not all(word.isdigit() for word in here):
        return wanted
    return " ".join(str(max(int(first), int(second))) for first, second in zip(here, there, strict=True))
