"""A pod of the tests' own with the probes beside it: launch what stands in it, run its program, ask the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from orchestrator.config.manifest import read_variant
from orchestrator.containers.images import Recipe, build, ensure_base, missing
from orchestrator.containers.labels import Owner
from orchestrator.containers.launch import Running, Spec, launch, run_inside, running
from orchestrator.containers.probes import ensure_probes, probes_spec
from orchestrator.containers.recipes import service_recipes, variant_recipes
from orchestrator.model import Variant
from tests.engine.conftest import ROOT

LAB = "testprobes"
PORT = 7000
PATIENCE_S = 20.0
GROUND = Path(__file__).parent / "ground"


@dataclass(frozen=True)
class Ground:
    """A server whose tasks are counted, a network namespace, a place for clients, and the probes' service."""

    client: docker.DockerClient
    owner: Owner
    images: Mapping[str, str]
    holder: Running
    clients: Running
    server: Running
    probes: Running

    def start(self, role: str, image: str, **more: Any) -> Running:
        return start(self.client, self.owner, role, self.images[image], **more)

    def inside(self, *command: str) -> str:
        """Run the ground's program in the clients' container."""
        code, output = run_inside(self.client, self.clients.id, ["/ground", *command])
        assert 0 == code, f"ground {' '.join(command)} ended with {code}: {output}"
        return output

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the service, as orchestrator/offer/probed.py does."""
        words = ["python3", "-m", "service.ask", method, path, *([] if body is None else [json.dumps(body)])]
        code, output = run_inside(self.client, self.probes.id, words)
        assert 0 == code, f"{method} {path} ended with {code}: {output}"
        return json.loads(output) if path != "/metrics" else output

    def begin(self, name: str, *rungs: str, **more: object) -> Any:
        labels = {"run_id": "r", "scenario": "s", "variant": name}
        told = {"labels": labels, "pids": [self.server.pid], "net": self.holder.pid, "rungs": rungs or ["ebpf"]}
        return self.ask("PUT", f"/targets/{name}", {**told, **more})

    def counts(self, name: str) -> Any:
        return self.ask("GET", f"/counts/{name}")["counts"]


def start(client: docker.DockerClient, owner: Owner, role: str, image_id: str, **more: Any) -> Running:
    return launch(client, Spec(role=role, name=f"netpoll-lab-{LAB}-{role}", image=image_id, **more), LAB, owner)


def start_holder(client: docker.DockerClient, owner: Owner, image_id: str, **more: Any) -> Running:
    return start(client, owner, image_id=image_id, entrypoint=("sleep",), command=("infinity",), **more)


def start_clients(client: docker.DockerClient, owner: Owner, image_id: str, **more: Any) -> Running:
    """Start the clients' container. NET_ADMIN: leaving without a word (TCP_REPAIR), ending a socket (SOCK_DESTROY)."""
    return start_holder(client, owner, image_id, capabilities=("NET_ADMIN",), user="0:0", **more)


def start_probes(client: docker.DockerClient, owner: Owner, image_id: str) -> Running:
    spec = probes_spec(f"netpoll-lab-{LAB}", image_id, None, None)
    assert ensure_probes(client, spec, LAB, owner)
    assert not ensure_probes(client, spec, LAB, owner), "one that runs is left alone"
    return running(client.containers.get(spec.name))


def c_uring() -> Variant:
    variant = read_variant(ROOT / "servers" / "c-uring" / "variant.toml")
    assert isinstance(variant, Variant), variant
    return variant


def build_images(client: docker.DockerClient, wheels: Path) -> Mapping[str, str]:
    """Build the probes and c-uring as the lab does, and the ground truth; return the images by name."""
    services = service_recipes(str(client.info().get("Architecture")), "", wheels)
    recipes = {
        "toolchain-probes": services["toolchain-probes"],
        "probes": services["probes"],
        **variant_recipes([c_uring()]),
        "ground": Recipe("ground", GROUND / "Dockerfile", {"source": GROUND}, toolchain="toolchain-c"),
    }
    base_id = ensure_base(client, print)
    return build(client, recipes, base_id, missing(client, recipes, base_id), finished=lambda *_: None)
