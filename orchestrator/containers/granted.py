"""Ask the engine what it grants a container, by looking into a throw-away one.

A number of descriptors wanted -> what processes in the lab's containers really have: their limits, CPUs and settings.
"""

from __future__ import annotations

from dataclasses import dataclass

import docker

from orchestrator.containers.images import BASE
from orchestrator.containers.labels import Owner
from orchestrator.containers.launch import Spec, launch, remove, run_inside
from orchestrator.errors import LimitRefused, NotReady
from orchestrator.planning.hostlimits import ContainerLimits

# What a plan must know of a namespace whose profile leaves it as it is.
_AS_GIVEN = ("net.core.somaxconn", "net.ipv4.ip_local_port_range")

# A container's own pids cgroup as it sees it: cgroup v2 with a namespace of its own, and v1.
_PIDS = ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max")

_SCRIPT = """\
ulimit -Hn
grep Cpus_allowed_list /proc/self/status | cut -f2
for p; do cat "$p" 2>/dev/null || echo absent; done
cat /proc/1/limits
"""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a container was seen to have."""

    nofile: int  # descriptors of one process, of those wanted
    cpus: str  # list of the CPUs it may use
    sysctls: dict[str, str]  # of a namespace that asks for nothing; what could not be read is "absent"
    limits: ContainerLimits


def read_granted(client: docker.DockerClient, lab: str, owner: Owner, wanted_nofile: int) -> Granted:
    """Return what the engine grants.

    The wanted number of descriptors is tried first; where the engine refuses it, its own inherited limit is granted.
    Raises NotReady when a container cannot be looked into.
    """

    def ask(nofile: int | None) -> Granted:
        name = f"netpoll-lab-{lab}-limits-{nofile or 'own'}-{owner.pid}"
        spec = Spec(role="limits", name=name, image=BASE, command=("sleep", "30"), nofile=nofile)
        container = launch(client, spec, lab, owner)
        paths = [*(f"/proc/sys/{name.replace('.', '/')}" for name in _AS_GIVEN), *_PIDS]
        try:
            _, output = run_inside(client, container.id, ["sh", "-c", _SCRIPT, "sh", *paths])
        finally:
            remove(client, container.id)
        return parse_granted(output, wanted_nofile)

    try:
        return ask(wanted_nofile)
    except LimitRefused:
        return ask(None)


def parse_granted(output: str, wanted_nofile: int) -> Granted:
    """Read what the script printed inside a container. Raises NotReady when it is not that.

    Source of the table of limits, soft before hard: proc_pid_limits(5).
    """
    lines = [" ".join(line.split()) for line in output.splitlines()]
    files, table = lines[2 : 2 + len(_AS_GIVEN) + len(_PIDS)], lines[2 + len(_AS_GIVEN) + len(_PIDS) :]
    soft = {
        name: _number(line.removeprefix(f"{name} ").split()[0])
        for name in ("Max locked memory", "Max processes")
        for line in table
        if line.startswith(f"{name} ")
    }
    if not lines or not lines[0].isdigit() or len(soft) < 2:
        raise NotReady(f"the engine's limits could not be read inside a container; seen: {output!r}. Try: lab gc")
    pids = [value for value in map(_number, files[len(_AS_GIVEN) :]) if value is not None]
    return Granted(
        nofile=min(int(lines[0]), wanted_nofile),
        cpus=lines[1],
        sysctls=dict(zip(_AS_GIVEN, files, strict=False)),
        limits=ContainerLimits(soft["Max locked memory"], soft["Max processes"], min(pids, default=None)),
    )


def _number(word: str) -> int | None:
    """Return a limit; None for "max", "unlimited" and a file that is not there."""
    return int(word) if word.isdigit() else None
