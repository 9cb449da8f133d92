"""Make a pod: a holder that owns the network namespace, servers and workers that join it.

Limits are read back from inside: sysctls from the holder's namespace, descriptors and CPUs from /proc/1 of each server
and worker. Load stays on the namespace's loopback; the holder's only other interface is for reaching the master.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import docker

from orchestrator.containers.images import BASE
from orchestrator.containers.labels import Owner
from orchestrator.containers.launch import Running, Spec, ensure, launch, run_inside
from orchestrator.containers.nonce import tells_nonce
from orchestrator.errors import BadInput, LimitRefused, NotReady
from orchestrator.model import Profile, ReadBack, Variant
from orchestrator.units import parse_cpu_list

LOCUSTFILE = "/opt/lab/swarm/locustfile.py"
OWN_FOLDER = "/opt/lab/own"  # where a person's own locustfile is mounted


@dataclass(frozen=True, slots=True)
class Site:
    """Where pods are made: the engine, whose they are, and what they are made with."""

    client: docker.DockerClient
    lab: str
    owner: Owner
    network: str  # the one through which workers reach the master
    images: Mapping[str, str]  # recipe name -> image reference
    server_cpus: str
    load_cpus: str
    nofile: int  # descriptors per process that the engine grants
    keep: bool  # True (the arena): a container that already runs as wanted is left alone

    def container_name(self, name: str) -> str:
        """Return the full name of one of this lab's containers."""
        return f"netpoll-lab-{self.lab}-{name}"

    def start(self, spec: Spec) -> Running:
        """Start a container, or find it running where `keep` allows that."""
        if self.keep:
            return ensure(self.client, spec, self.lab, self.owner)[0]
        return launch(self.client, spec, self.lab, self.owner)


def start_holder(site: Site, name: str, profile: Profile) -> Running:
    """Start the container that owns the pod's network namespace and its sysctls."""
    spec = Spec(
        role="holder",
        name=site.container_name(name),
        image=BASE,
        command=("sleep", "infinity"),
        network=site.network,
        sysctls=profile.sysctls,
        cpus=site.load_cpus,
    )
    return site.start(spec)


def start_server(
    site: Site,
    name: str,
    holder: Running,
    variant: Variant,
    *,
    host: str,
    environment: Mapping[str, str],
    nonce: str | None = None,
    instance: int | None = None,
) -> Running:
    """Start one process of a variant in a pod, listening on host:variant.port.

    nonce: what it shows workers, so that they load it. instance: its number among those that share the port. Neither
    is told to a variant that cannot show it.
    """
    spec = Spec(
        role="server",
        name=site.container_name(name),
        image=site.images[variant.name],
        command=tuple(_placed(part, variant, host) for part in variant.command) or None,
        environment=_told(site, variant, host, environment, nonce, instance),
        join=holder.id,
        nofile=site.nofile,
        cpus=site.server_cpus,
        tmpfs={"/tmp": "size=16m"},
        seccomp=_seccomp(variant),
    )
    return site.start(spec)


def _told(
    site: Site, variant: Variant, host: str, more: Mapping[str, str], nonce: str | None, instance: int | None
) -> dict[str, str]:
    """Return a server's environment. An existing image is told nothing but what was written for it."""
    if variant.image:
        return {key: _placed(text, variant, host) for key, text in variant.environment.items()}
    told = {"LAB_HOST": host, "LAB_PORT": str(variant.port)}
    if variant.fixed_delay:
        told["LAB_HEALTH"] = "listen"
    if variant.processes == "own":
        told["LAB_PROCESSES"] = str(len(parse_cpu_list(site.server_cpus)))
    if tells_nonce(variant):
        told |= {} if nonce is None else {"LAB_NONCE": nonce}
        told |= {} if instance is None else {"LAB_INSTANCE": str(instance)}
    return {**told, **variant.environment, **more}


def _placed(text: str, variant: Variant, host: str) -> str:
    """Fill in where an existing image is to listen. Other braces stay: they may be the image's own JSON."""
    return text.replace("{host}", host).replace("{port}", str(variant.port))


def _seccomp(variant: Variant) -> str:
    """Return the profile's text without white space, as the engine takes it; "" for none."""
    if variant.seccomp is None:
        return ""
    try:
        return json.dumps(json.loads(variant.seccomp.read_bytes()), separators=(",", ":"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{variant.seccomp}: expected a seccomp profile, saw: {error}. Try: lab check") from None


def start_worker(
    site: Site,
    name: str,
    holder: Running,
    master_ip: str,
    swarm: Mapping[str, object],
    *,
    share: str | None = None,
    locustfile: Path | None = None,
) -> Running:
    """Start one Locust worker in a pod. swarm: what it may load, as docs/architecture.md gives it.

    share: "n/W" where this worker is one of W that share a scenario's connections and rate; None: nothing is shared.
    locustfile: a person's own, which this worker's users live by; its folder is mounted read-only.
    """
    told = {"LAB_SWARM": json.dumps(swarm), "LAB_WORKER_ID": name}
    if share is not None:
        told["LAB_WORKER_SHARE"] = share
    if locustfile is not None:
        told["LAB_LOCUSTFILE"] = f"{OWN_FOLDER}/{locustfile.name}"
    spec = Spec(
        role="worker",
        name=site.container_name(name),
        image=site.images["swarm"],
        command=("-f", LOCUSTFILE, "--worker", "--master-host", master_ip),
        environment=told,
        join=holder.id,
        nofile=site.nofile,
        cpus=site.load_cpus,
        tmpfs={"/tmp": "size=64m"},
        volumes={str(locustfile.parent): f"{OWN_FOLDER}:ro"} if locustfile is not None else {},
    )
    return site.start(spec)


def wait_listening(site: Site, inside: Running, port: int, deadline_s: float, processes: int = 1) -> None:
    """Wait until so many sockets in the pod listen on a port, without connecting to it. Raises NotReady.

    inside: any container of the pod. processes: that share the port, each with a listener of its own.
    Source of the format: /proc/net/tcp, state 0A is LISTEN (proc_net_tcp).
    """
    end = time.monotonic() + deadline_s
    while True:
        _, output = run_inside(site.client, inside.id, ["cat", "/proc/net/tcp", "/proc/net/tcp6"])
        rows = [line.split() for line in output.splitlines()]
        found = sum(len(r) > 3 and r[3] == "0A" and r[1].endswith(f":{port:04X}") for r in rows)
        if found >= processes:
            return
        if time.monotonic() > end:
            raise NotReady(
                f"{found} of {processes} server processes listen on port {port} in the pod of {inside.name} after "
                f"{deadline_s:.0f} s. Try: docker logs of the server containers"
            )
        time.sleep(0.05)


def read_sysctls(site: Site, holder: Running, profile: Profile) -> list[ReadBack]:
    """Read the profile's sysctls back inside the pod's namespace."""
    names = sorted(profile.sysctls)
    if not names:
        return []
    paths = [f"/proc/sys/{name.replace('.', '/')}" for name in names]
    script = 'for p; do cat "$p" 2>/dev/null || echo absent; done'
    _, output = run_inside(site.client, holder.id, ["sh", "-c", script, "sh", *paths])
    seen = output.splitlines() + ["unread"] * len(names)
    return [
        ReadBack(f"sysctl {name}", "holder", " ".join(profile.sysctls[name].split()), " ".join(value.split()))
        for name, value in zip(names, seen, strict=False)
    ]


def read_process_limits(site: Site, where: str, container: Running, wanted_nofile: int, cpus: str) -> list[ReadBack]:
    """Read the descriptor limit and the CPU set of a container's first process back inside it."""
    _, output = run_inside(site.client, container.id, ["cat", "/proc/1/limits", "/proc/1/status"])
    nofile, allowed = "unread", "unread"
    for line in output.splitlines():
        if line.startswith("Max open files"):
            nofile = line.split()[3]
        elif line.startswith("Cpus_allowed_list:"):
            allowed = line.split()[1]
    return [ReadBack("nofile", where, str(wanted_nofile), nofile), ReadBack("cpus", where, cpus, allowed)]


def require_taken(read_backs: list[ReadBack], profile: Profile) -> None:
    """Raise LimitRefused for the first value that did not take, unless the profile is best-effort."""
    for back in read_backs:
        if not back.took and not profile.best_effort:
            raise LimitRefused(
                f"profile {profile.name}: {back.what} in the {back.where}: wanted {back.wanted}, "
                f"read back {back.seen}. "
                "Lower it in lab.yaml, or set best_effort: true to go on with what was granted"
            )
