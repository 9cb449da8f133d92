"""What the tests of the probes stand on, started once for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import docker
import pytest

from orchestrator.containers.clear import clear_all
from orchestrator.containers.labels import current_owner
from tests.engine.probing.pod import (
    LAB,
    PATIENCE_S,
    PORT,
    Ground,
    build_images,
    start,
    start_clients,
    start_holder,
    start_probes,
)


@pytest.fixture(scope="package")
def ground(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    images = build_images(client, tmp_path_factory.mktemp("wheels"))
    owner = current_owner("test-probes")
    clear_all(client, LAB)
    try:
        holder = start_holder(client, owner, images["ground"], role="holder")
        server = start(client, owner, "server", images["ground"], join=holder.id, command=("serve", str(PORT)))
        clients = start_clients(client, owner, images["ground"], role="worker", join=holder.id)
        probes = start_probes(client, owner, images["probes"])
        yield Ground(client, owner, images, holder, clients, server, probes)
    finally:
        clear_all(client, LAB)


@pytest.fixture(scope="package")
def ebpf(ground: Ground) -> Ground:
    """The ground where eBPF is allowed; elsewhere these tests say why they do not run."""
    seen: Mapping[str, Any] = {}
    end_s = time.monotonic() + PATIENCE_S
    while seen.get("rung") is None and time.monotonic() < end_s:
        with suppress(AssertionError):  # it is just starting
            seen = ground.ask("GET", "/healthz")
        time.sleep(0.1)
    if seen.get("rung") != "ebpf":
        pytest.skip(f"this host allows no eBPF: {seen.get('refused')}")
    return ground
