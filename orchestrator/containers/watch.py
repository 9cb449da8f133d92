"""See at little cost whether containers still run: one request to the engine, however many there are."""

from __future__ import annotations

from collections.abc import Sequence

import docker

from orchestrator.containers.labels import LAB
from orchestrator.containers.launch import Running


def fallen(client: docker.DockerClient, lab: str, containers: Sequence[Running]) -> list[Running]:
    """Return those of the lab's containers that do not run any more, in the order given."""
    found = client.api.containers(filters={"label": f"{LAB}={lab}", "status": "running"})
    alive = {str(entry["Id"]) for entry in found}
    return [container for container in containers if container.id not in alive]
