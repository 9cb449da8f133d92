"""Start the probes' container with whatever capabilities this engine grants it.

Nobody asks it over the host's network: the orchestrator does so from within (orchestrator/offer/probed.py), Prometheus
in the control network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

import docker
from docker.errors import NotFound

from orchestrator.containers.labels import SPEC, Owner
from orchestrator.containers.launch import Spec, ensure
from orchestrator.errors import NotReady

PROBES_PORT = 9101  # in the control network

# What it needs to look into the kernel, best first; reasons in images/probes.Dockerfile. Engines before 23 do not know
# the first two names; where all is refused, the service is left with the rung that needs nothing.
_TRACING = {"/sys/kernel/tracing": "/sys/kernel/tracing:ro"}
PROBES_LADDER: tuple[tuple[tuple[str, ...], Mapping[str, str]], ...] = (
    (("BPF", "PERFMON", "SYS_PTRACE"), _TRACING),
    (("SYS_ADMIN", "SYS_PTRACE"), _TRACING),
    (("SYS_ADMIN", "SYS_PTRACE"), {}),
    ((), {}),
)


def probes_spec(prefix: str, image: str, network: str | None, cpus: str | None) -> Spec:
    """Return the container as it is wanted, but for its capabilities."""
    return Spec(
        role="probes",
        name=f"{prefix}-probes",
        image=image,
        network=network,
        alias="probes",
        cpus=cpus,
        user="0:0",
        host_pids=True,
    )


def ensure_probes(client: docker.DockerClient, plain: Spec, lab: str, owner: Owner) -> bool:
    """Start the probes with the first set of capabilities that this engine grants; return whether it was started now.

    One that runs already with any of them is left alone: what the engine grants does not change while it runs.
    Raises NotReady where it does not start even without any.
    """
    wanted = [replace(plain, capabilities=caps, volumes=volumes) for caps, volumes in PROBES_LADDER]
    with contextlib.suppress(NotFound):
        present = client.containers.get(plain.name)
        if present.status == "running" and present.labels.get(SPEC) in {spec.digest() for spec in wanted}:
            return False
    for spec in wanted[:-1]:
        with contextlib.suppress(NotReady):
            return ensure(client, spec, lab, owner)[1]
    return ensure(client, wanted[-1], lab, owner)[1]
