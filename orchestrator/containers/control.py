"""Keep the control network and the lab's own services: master, exporter, probes, Prometheus, Grafana.

Each service is started once and left alone as long as it still is what is wanted (its spec's digest, kept as a label);
one that changed or ended is replaced. Every published port binds 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import docker
from docker.errors import NotFound

from orchestrator.containers.grafana import grafana_spec
from orchestrator.containers.labels import LAB, ROLE, Owner, labels
from orchestrator.containers.launch import Running, Spec, ensure, remove, running
from orchestrator.containers.pods import LOCUSTFILE
from orchestrator.containers.probes import PROBES_PORT, ensure_probes, probes_spec
from orchestrator.errors import LimitRefused, NotReady
from orchestrator.model import Grafana, Observability

MASTER_WEB_PORT = 8089
EXPORTER_PORT = 9100
PROMETHEUS_PORT = 9090

# What the exporter needs to look into other containers' processes; reasons in images/exporter.Dockerfile.
EXPORTER_CAPABILITIES = ("SYS_PTRACE", "DAC_READ_SEARCH", "NET_ADMIN", "SYS_ADMIN")

# They share their CPUs with the load. Fifty workers that answer a million at once would leave the master a fiftieth of
# a core, and it would seem dead; with this it gets what it needs, which is little.
_SHARES = 32 * 1024

_ROLES = ("master", "exporter", "probes", "prometheus", "grafana")

_FORM = ("--users", "50", "--spawn-rate", "50")  # what the web UI's start form is filled in with


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The lab's own services and where they answer."""

    network: str
    master_ip: str  # in the network that pods are on, for workers
    master_url: str
    exporter_url: str
    prometheus_url: str
    fresh: bool  # True: something was started just now
    grafana_url: str = ""  # where the dashboards are; "" for nowhere
    grafana_missing: str = ""  # why the lab's own could not be started
    probes: str = ""  # the probes' container, asked from within; "" where the engine would not start it
    services: tuple[Running, ...] = ()  # all of them that run


def scrape_jobs() -> dict[str, str]:
    """Return Prometheus job -> address in the control network."""
    return {
        "swarm": f"master:{MASTER_WEB_PORT}",
        "exporter": f"exporter:{EXPORTER_PORT}",
        "probes": f"probes:{PROBES_PORT}",
    }


def seldom_jobs() -> dict[str, str]:
    """Return Prometheus job -> address and path of what changes only with a run's end."""
    return {"runs": f"exporter:{EXPORTER_PORT}/runs"}


def ensure_control(
    client: docker.DockerClient,
    lab: str,
    owner: Owner,
    images: Mapping[str, str],
    pages: Observability,
    swarm: Mapping[str, object],
    cpus: str,
    grafana: Grafana | None = None,
    password: str = "",
) -> ControlPlane:
    """Bring up whatever of the control plane is missing or changed; return where it answers.

    swarm: the scenarios and targets the web UI offers. grafana: with an image for it among `images` the lab's own is
    started, one that stands already is left alone. password: its administrator's. Does not wait until the services are
    ready.
    """
    network = ensure_network(client, lab, owner)
    prefix = f"netpoll-lab-{lab}"
    grafana = grafana or Grafana()
    grafana_url, grafana_missing = _ensure_grafana(client, lab, owner, images, grafana, network, cpus, password)
    specs = [
        Spec(
            role="master",
            name=f"{prefix}-master",
            image=images["swarm"],
            command=("-f", LOCUSTFILE, "--master", "--web-host", "0.0.0.0", "--web-port", str(MASTER_WEB_PORT), *_FORM),
            environment={
                "LAB_SWARM": json.dumps(swarm),
                "LAB_PROMETHEUS_PORT": str(pages.prometheus_port),
                **({"LAB_GRAFANA_URL": grafana_url} if grafana_url else {}),
            },
            network=network,
            alias="master",
            ports={MASTER_WEB_PORT: pages.web_port},
            cpus=cpus,
            cpu_shares=_SHARES,
            tmpfs={"/tmp": "size=64m"},
        ),
        Spec(
            role="exporter",
            name=f"{prefix}-exporter",
            image=images["exporter"],
            network=network,
            alias="exporter",
            ports={EXPORTER_PORT: pages.exporter_port},
            cpus=cpus,
            cpu_shares=_SHARES,
            user="0:0",
            capabilities=EXPORTER_CAPABILITIES,
            host_pids=True,
            environment={"LAB_CGROUP_ROOT": "/host/cgroup"},
            volumes={"/sys/fs/cgroup": "/host/cgroup:ro"},
        ),
        Spec(
            role="prometheus",
            name=f"{prefix}-prometheus",
            image=images["prometheus"],
            network=network,
            alias="prometheus",
            ports={PROMETHEUS_PORT: pages.prometheus_port},
            cpus=cpus,
            volumes={_ensure_volume(client, lab, owner, "prometheus"): "/prometheus:rw"},
        ),
    ]
    probes = probes_spec(prefix, images["probes"], network, cpus)
    with ThreadPoolExecutor(max_workers=len(specs) + 1) as pool:
        probing = pool.submit(ensure_probes, client, probes, lab, owner)
        started = list(pool.map(lambda spec: ensure(client, spec, lab, owner)[1], specs))
        started.append(probing.result())
    meeting = pod_network(client, network)
    _join(client, specs[0].name, meeting)
    return ControlPlane(
        network=network,
        master_ip=_address(client, specs[0].name, meeting),
        master_url=f"http://127.0.0.1:{pages.web_port}",
        exporter_url=f"http://127.0.0.1:{pages.exporter_port}",
        prometheus_url=f"http://127.0.0.1:{pages.prometheus_port}",
        fresh=any(started),
        grafana_url=grafana_url,
        grafana_missing=grafana_missing,
        probes=probes.name,
        services=_services(client, lab),
    )


def _services(client: docker.DockerClient, lab: str) -> tuple[Running, ...]:
    """Return the lab's services that run, each with the pid of its first process."""
    found = []
    for row in client.api.containers(filters={"label": f"{LAB}={lab}"}):
        if row["Labels"].get(ROLE) in _ROLES:
            with contextlib.suppress(NotFound, NotReady):  # it ended meanwhile
                found.append(running(client.containers.get(row["Id"])))
    return tuple(found)


def control_state(client: docker.DockerClient, lab: str) -> dict[str, str]:
    """Return service role -> the engine's word for its state, for those that exist."""
    found = client.containers.list(all=True, filters={"label": f"{LAB}={lab}"})
    return {str(c.labels[ROLE]): str(c.status) for c in found if c.labels.get(ROLE) in _ROLES}


def control_network(lab: str) -> str:
    """Return the name of a lab's own network."""
    return f"netpoll-lab-{lab}"


def ensure_network(client: docker.DockerClient, lab: str, owner: Owner) -> str:
    """Return the control network's name, creating the bridge where it is absent."""
    name = control_network(lab)
    if not client.networks.list(names=[name], filters={"label": f"{LAB}={lab}"}):
        client.networks.create(name, driver="bridge", labels=labels(lab, "network", owner))
    return name


def pod_network(client: docker.DockerClient, otherwise: str) -> str:
    """Return the network that pods are on: the engine's default bridge, where there is one that lets containers talk.

    In every network of one's own the engine answers DNS inside each container, by NAT rules in its namespace. They make
    the kernel track each connection there, those on loopback too: a tenth of the speed, and a wall at nf_conntrack_max
    (docs/decisions/0005). Without such a bridge it is `otherwise`, wall and all.
    """
    for network in client.networks.list(names=["bridge"]):
        options = network.attrs.get("Options") or {}
        is_default = options.get("com.docker.network.bridge.default_bridge") == "true"
        if is_default and options.get("com.docker.network.bridge.enable_icc") != "false":
            return str(network.name)
    return otherwise


def _join(client: docker.DockerClient, name: str, network: str) -> None:
    container = client.containers.get(name)
    if network not in container.attrs["NetworkSettings"]["Networks"]:
        client.networks.get(network).connect(container)


def _ensure_grafana(
    client: docker.DockerClient,
    lab: str,
    owner: Owner,
    images: Mapping[str, str],
    grafana: Grafana,
    network: str,
    cpus: str,
    password: str,
) -> tuple[str, str]:
    """Start the lab's own Grafana where it is to be and can be; return where the dashboards are, and why nowhere.

    One that cannot be started (its port is taken) is an error only where lab.yaml insists on it.
    """
    prefix = f"netpoll-lab-{lab}"
    if not grafana.is_own:  # one that stands is another lab.yaml's
        with contextlib.suppress(NotFound):
            remove(client, str(client.containers.get(f"{prefix}-grafana").id))
        return grafana.url if grafana.is_elsewhere else "", ""
    if "grafana" in images:
        volume = _ensure_volume(client, lab, owner, "grafana")
        spec = grafana_spec(prefix, images["grafana"], network, grafana.port, cpus, password, volume)
        try:
            ensure(client, spec, lab, owner)
        except (NotReady, LimitRefused) as why:
            if grafana.use == "image":
                raise
            return "", str(why)
    return f"http://127.0.0.1:{grafana.port}" if _is_running(client, f"{prefix}-grafana") else "", ""


def _is_running(client: docker.DockerClient, name: str) -> bool:
    try:
        return bool(client.containers.get(name).status == "running")
    except NotFound:
        return False


def _ensure_volume(client: docker.DockerClient, lab: str, owner: Owner, role: str) -> str:
    name = f"netpoll-lab-{lab}-{role}"
    try:
        client.volumes.get(name)
    except NotFound:
        client.volumes.create(name, labels=labels(lab, "volume", owner))
    return name


def _address(client: docker.DockerClient, name: str, network: str) -> str:
    return str(client.containers.get(name).attrs["NetworkSettings"]["Networks"][network]["IPAddress"])
