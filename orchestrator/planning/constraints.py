"""Turn a trial into the kernel objects it runs out of: descriptors, ports, queue, threads, entries of tables.

One function for each constraint, each giving a Bound with its numbers in words. Source: kernel-limits of the reference.
"""

from __future__ import annotations

from orchestrator.model import Bound
from orchestrator.planning.ask import Ask
from orchestrator.planning.capacity import RESERVE, most_spread
from orchestrator.planning.hostlimits import ContainerLimits

# Above this many connections for each pair of addresses, 85 % of the time goes into finding a free port
# (__inet_check_established), and opening slows to 5,000/s.
QUICK_PORTS = 14_000

SYSTEM_THREADS = 1_000  # of a machine at rest, and of the lab's own services
USERS_THREADS = 200  # of the same user besides the servers': a few of each worker, and of the lab's own services
OWN_THREADS = 16  # of a container besides its connections': a runtime's own, and a look into it by `exec`
OTHER_MAPS = 200  # map areas of a process beside its threads' stacks: libraries, heap, arenas
TRACKED_AFTER_CLOSE_S = 120.0  # nf_conntrack_tcp_timeout_time_wait

# What a container has from its engine, and what gives it more.
_ENGINES = {
    "RLIMIT_MEMLOCK": "a higher memlock of the engine (LimitMEMLOCK of its service, or default-ulimits)",
    "RLIMIT_NPROC": "a higher nproc of the engine (LimitNPROC of its service, or default-ulimits)",
    "pids.max": "a higher pids limit of the engine's containers (systemd: DefaultTasksMax; Podman: pids_limit)",
}


def server_descriptors(ask: Ask) -> Bound:
    """One descriptor for each connection in the process that accepted it."""
    most = most_spread(ask.limit, ask.server_processes)
    spread = "spread over its own" if ask.variant.processes == "own" else "SO_REUSEPORT spread over"
    several = f", {spread} {ask.server_processes}" if ask.server_processes > 1 else ""
    return _descriptors(ask, "server descriptors", most, several)


def worker_descriptors(ask: Ask) -> Bound:
    """One descriptor for each connection in the worker that opened it."""
    several = f", {ask.workers} workers" if ask.workers > 1 else ""
    return _descriptors(ask, "worker descriptors", max(ask.limit.connections, 0) * ask.workers, several)


def _descriptors(ask: Ask, name: str, most: int, several: str) -> Bound:
    profile_binds = ask.limit.source.startswith("profile")
    fix = tune(ask, "fs.nr_open") if ask.limit.source.startswith("fs.") else ask.limit.fix
    if name.startswith("worker") or ask.variant.processes != "one":
        fix += "; the plan starts more processes where more connections are asked for"
    return Bound(
        name=name,
        most=float(most),
        formula=f"{ask.limit.source} {ask.limit.nofile:,}, {RESERVE} reserved, in each process{several}",
        fix=fix,
        whose="container" if profile_binds else "host",
        wanted=ask.connections,
    )


def source_ports(ask: Ask) -> Bound:
    """A port of a source address for each connection towards the server's one address and port."""
    return Bound(
        name="source ports",
        most=float(ask.sources * ask.ports),
        formula=f"{_addresses(ask)} x {ask.ports:,} ports x 1 destination"
        + ask.assumed("net.ipv4.ip_local_port_range"),
        fix="more 'sources' in the scenario, or a wider net.ipv4.ip_local_port_range in the profile",
        whose="container",
        wanted=ask.connections,
    )


def _addresses(ask: Ask) -> str:
    return "1 source address" if ask.sources == 1 else f"{ask.sources} source addresses"


def port_search(ask: Ask) -> Bound:
    """Where finding a free port becomes most of what connecting costs."""
    quick = min(QUICK_PORTS, ask.ports)
    return Bound(
        name="quick port search",
        most=float(ask.sources * quick),
        formula=f"{_addresses(ask)} x {quick:,}; above, opening slows to some 5,000/s",
        fix="more 'sources' in the scenario, or more workers",
        whose="lab",
        calibrated=False,
        wanted=ask.connections,
        hard=False,
    )


def accept_queue(ask: Ask) -> Bound:
    """What may wait to be accepted without loss: the accept queues of all listeners.

    A connect is done for the load when the kernel has done the handshake, however many wait to be accepted by then. A
    server that accepts more slowly than the load opens (Go, threads) overflows a shorter queue: SYNs are lost, and come
    again after a second.
    """
    # Processes that a variant makes itself may share one listener, and then its queue: the least is counted.
    listeners = 1 if ask.variant.processes == "own" else ask.server_processes
    several = f" x {listeners} listeners" if listeners > 1 else ""
    return Bound(
        name="accept queue",
        most=float((ask.queue + 1) * listeners),
        formula=f"min(backlog, somaxconn) + 1 = {ask.queue + 1:,}{several}, if the server accepts nothing meanwhile"
        + ask.assumed("net.core.somaxconn"),
        fix="a higher net.core.somaxconn in the profile",
        whose="container",
        wanted=ask.connections,
        unit="waiting to be accepted",
        hard=False,
    )


def threads(ask: Ask) -> Bound | None:
    """A thread for each connection, of a variant that makes one."""
    if ask.variant.threads != "per-connection":
        return None
    host, container = ask.host, ask.host.container or ContainerLimits()
    containers = 1 if ask.variant.processes == "own" else ask.server_processes
    limits = [
        ("kernel.threads-max", host.threads_max and host.threads_max - SYSTEM_THREADS),
        ("kernel.pid_max", host.pid_max and host.pid_max - SYSTEM_THREADS),
        ("RLIMIT_NPROC", container.nproc and container.nproc - USERS_THREADS),
        ("pids.max", container.pids_max and (container.pids_max - OWN_THREADS) * containers),
        (
            "vm.max_map_count",
            host.max_map_count and (host.max_map_count - OTHER_MAPS) // 2 * ask.server_processes,
        ),
    ]
    known = [(most, name) for name, most in limits if most is not None]
    if not known:
        return Bound("threads", None, "not known: no limit could be read", "", "host", wanted=ask.connections)
    most, name = min((max(most, 0), name) for most, name in known)
    others = ", ".join(f"{other} {value:,}" for value, other in sorted(known)[1:])
    unread = "" if host.container is not None else "; a container's pids.max and RLIMIT_NPROC not read back yet"
    return Bound(
        name="threads",
        most=float(most),
        formula=f"one each; {name} allows {most:,} beside the system's (then {others}){unread}",
        fix=_ENGINES.get(name) or tune(ask, name),
        whose="host",
        wanted=ask.connections,
    )


def locked_memory(ask: Ask) -> Bound | None:
    """What all rings of the containers' user may lock together, of a variant that works with io_uring.

    A server without its first ring ends with ENOMEM; one that cannot open a further one leaves the rest in the queue.
    """
    ring = ask.variant.ring
    if ring is None:
        return None
    name, wanted, container = "locked memory", ask.connections, ask.host.container
    if not ask.host.rings_locked:
        text = "this kernel counts rings as memory of their cgroup, not as locked memory"
        return Bound(name, None, text, "", "host", wanted=wanted)
    if container is None or container.memlock_bytes is None:
        why = "not known: a container's RLIMIT_MEMLOCK was not read back yet" if container is None else "not limited"
        return Bound(name, None, why, "", "host", wanted=wanted)
    rings = container.memlock_bytes // ring.locked_bytes
    each = min(ring.connections, max(ask.limit.connections, 0))
    # One process opens ring after ring. Several have one each, which takes what the process's descriptors allow.
    alone = ask.server_processes == 1 or each < ask.limit.connections
    return Bound(
        name=name,
        most=float(rings * each if alone else most_spread(ask.limit, rings)),
        formula=f"RLIMIT_MEMLOCK {container.memlock_bytes:,} / {ring.locked_bytes:,} for each ring = {rings:,} rings, "
        f"of all processes of one user, x at most {each:,} connections",
        fix=_ENGINES["RLIMIT_MEMLOCK"],
        whose="host",
        wanted=wanted,
    )


def wall(ask: Ask) -> Bound | None:
    """What the variant says ends it. Meeting it is what such a variant is for: it refuses nothing."""
    if ask.variant.connections_most is None:
        return None
    each_has_its_own = ask.server_processes if ask.variant.processes == "reuseport" else 1
    return Bound(
        name="wall",
        most=float(ask.variant.connections_most * each_has_its_own),
        formula=ask.variant.wall,
        fix="nothing: it is the variant's own",
        whose="variant",
        wanted=ask.connections,
        hard=False,
    )


def tracked(ask: Ask) -> Bound:
    """Entries of connection tracking, where NAT rules of Docker's resolver switch it on in the pod's namespace.

    On the engine's default bridge there are none. Closed connections stay in the table for two minutes.
    """
    wanted, unit, scenario = ask.connections, "connections", ask.scenario
    if scenario.kind == "storm":
        unit = "open or closed connections"
        lasting_s = min(scenario.warmup_s + scenario.measure_s, TRACKED_AFTER_CLOSE_S)
        wanted *= 1 + lasting_s // scenario.every_s
    if ask.host.conntrack_max is None or not ask.host.pods_tracked:
        text = "nothing tracks connections in the pod's namespace, and the load stays in it"
        return Bound("conntrack", None, text, "", "host", wanted=wanted, unit=unit)
    return Bound(
        name="conntrack",
        most=float(ask.host.conntrack_max),
        formula="nf_conntrack_max; load stays in the pod's namespace, where Docker's resolver turns tracking on",
        fix=tune(ask, "net.netfilter.nf_conntrack_max"),
        whose="host",
        wanted=wanted,
        unit=unit,
    )


def epoll_watches(ask: Ask) -> Bound:
    """A watch for each end; servers and workers run as one user, nobody."""
    ends = 1 if ask.variant.threads == "per-connection" else 2
    return _whole_machine(ask, "epoll watches", "fs.epoll.max_user_watches", ask.host.epoll_watches, ends, 0)


def open_files(ask: Ask) -> Bound:
    """An open file for each end, of all that the machine may have."""
    return _whole_machine(ask, "open files", "fs.file-max", ask.host.file_max, 2, ask.host.files_open or 0)


def _whole_machine(ask: Ask, name: str, setting: str, most: int | None, ends: int, in_use: int) -> Bound:
    if most is None:
        return Bound(name, None, f"not known: {setting} could not be read", "", "host", wanted=ask.connections)
    less = f" - {in_use:,} in use" if in_use else ""
    return Bound(
        name=name,
        most=float(max(most - in_use, 0) // ends),
        formula=f"({setting} {most:,}{less}) / {ends} for each connection",
        fix=tune(ask, setting),
        whose="host",
        wanted=ask.connections,
    )


def tune(ask: Ask, setting: str) -> str:
    """Return how a setting of the machine is raised: by a profile that asks for it already, or could."""
    if setting in ask.profile.host:
        return f"lab tune {ask.profile.name}"
    return f"lab tune, with a higher {setting} under 'host:' of a profile"
