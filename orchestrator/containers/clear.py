"""Take away what the lab created: all of it, or only what a dead orchestrator left.

Selection is by this lab's label alone; images are shared by all clones on a machine and are removed only when asked
for.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import APIError, NotFound

from orchestrator.containers.labels import KIND, LAB, Owner, is_abandoned, read_owner
from orchestrator.containers.launch import remove

_OURS = "netpoll-lab/"  # how every name that the lab gives an image begins
_SUPERVISORS_S = 5.0  # they end about a second after their containers


@dataclass(slots=True)
class Cleared:
    """What was removed, by name."""

    containers: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """Return the counts in words."""
        parts = [
            f"{len(names)} {word}{'' if len(names) == 1 else 's'}"
            for word, names in (
                ("container", self.containers),
                ("network", self.networks),
                ("volume", self.volumes),
                ("image", self.images),
            )
            if names
        ]
        return "removed " + ", ".join(parts) if parts else "nothing of this lab's to remove"


def clear_all(client: docker.DockerClient, lab: str) -> Cleared:
    """Remove every container, network and volume of this lab, and wait until their processes are gone."""
    ours: dict[str, str | list[str] | bool] = {"label": f"{LAB}={lab}"}
    ids = [str(c.id) for c in client.containers.list(all=True, filters=ours, ignore_removed=True)]
    supervisors = _supervisors(ids)
    done = _clear(client, lab, lambda _labels: True)
    end_s = time.monotonic() + _SUPERVISORS_S
    while any(process.exists() for process in supervisors) and time.monotonic() < end_s:
        time.sleep(0.05)
    return done


def clear_abandoned(client: docker.DockerClient, lab: str) -> Cleared:
    """Remove what belongs to this lab and whose owner is gone; a live run and a standing lab are left alone."""
    return _clear(client, lab, is_abandoned)


def clear_owned(client: docker.DockerClient, lab: str, owner: Owner) -> Cleared:
    """Remove what this very owner made; what `lab up` leaves standing is not an owner's."""
    return _clear(client, lab, lambda of: read_owner(of) == owner)


def clear_images(client: docker.DockerClient) -> list[str]:
    """Remove the images this project built, except those some container still uses; return their names.

    A label is inherited: what somebody tagged or committed from one of ours is theirs, and only our own name goes.
    """
    removed: list[str] = []
    for image in client.images.list(filters={"label": KIND}, all=False):
        names = [tag for tag in image.tags if tag.startswith(_OURS)] if image.tags else [str(image.id)]
        for name in names:
            with contextlib.suppress(APIError):  # in use by a container: stays
                client.images.remove(name)
                removed.append(name)
    return removed


def _supervisors(ids: list[str]) -> list[Path]:
    """Return the /proc entries of the engine's supervisors of these containers; none where the engine is elsewhere."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"containerd-shim-runc-v2") and any(i.encode() in words for i in ids):
            found.append(process)
    return found


def _clear(client: docker.DockerClient, lab: str, wanted: Callable[[dict[str, str]], bool]) -> Cleared:
    done = Cleared()
    ours: dict[str, str | list[str] | bool] = {"label": f"{LAB}={lab}"}
    containers = [c for c in client.containers.list(all=True, filters=ours, ignore_removed=True) if wanted(c.labels)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda c: remove(client, str(c.id)), containers))
    done.containers = [str(c.name) for c in containers]
    for network in client.networks.list(filters=ours):
        if wanted(network.attrs.get("Labels") or {}):
            with contextlib.suppress(NotFound):
                network.remove()
            done.networks.append(str(network.name))
    for volume in client.volumes.list(filters=ours):
        if wanted(volume.attrs.get("Labels") or {}):
            with contextlib.suppress(NotFound):
                volume.remove(force=True)
            done.volumes.append(str(volume.name))
    return done


def standing_containers(client: docker.DockerClient, lab: str) -> dict[str, str]:
    """Return the lab's containers, name -> the engine's word for its state, sorted by name."""
    found = client.containers.list(all=True, filters={"label": f"{LAB}={lab}"}, ignore_removed=True)
    return {str(c.name): str(c.status) for c in sorted(found, key=lambda c: str(c.name))}
