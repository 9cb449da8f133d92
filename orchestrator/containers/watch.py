"""See at little cost whether containers still run: one request to the engine, however many there are."""

from __future__ import annotations

from collections.abc import Sequence

import docker
from docker.errors import NotFound

from orchestrator.containers.labels import LAB
from orchestrator.containers.launch import Running, ended, last_log


def fallen(client: docker.DockerClient, lab: str, containers: Sequence[Running]) -> list[Running]:
    """Return those of the lab's containers that do not run any more, in the order given."""
    found = client.api.containers(filters={"label": f"{LAB}={lab}", "status": "running"})
    alive = {str(entry["Id"]) for entry in found}
    return [container for container in containers if container.id not in alive]


def last_words(client: docker.DockerClient, container: Running) -> str:
    """Return how a container ended and the last line of its log, in one line."""
    try:
        return f"{ended(client, container)}; {last_log(client.containers.get(container.id))}"
    except NotFound:
        return f"{container.name} is gone"
