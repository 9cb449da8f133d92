"""Take the lab down, or clear up after a killed orchestrator.

Needs the lab's folder alone, so that a broken lab.yaml does not keep anything standing. Without an engine there is
nothing to remove.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from orchestrator.arena import wake
from orchestrator.containers.clear import clear_abandoned, clear_all, clear_images
from orchestrator.containers.engine import Say, find_engine, started_engine, stop_engine
from orchestrator.containers.labels import lab_id
from orchestrator.errors import EnvironmentMissing
from orchestrator.grafana import forget
from orchestrator.guests import forget_guests
from orchestrator.lock import only_one
from orchestrator.up import state_folder


def take_down(root: Path, engine: bool) -> list[str]:
    """Remove everything of this lab; return what was done, a line each. engine: also stop the engine it started."""
    state = state_folder(root)
    lines = []
    with only_one(state, "down"):
        client = find_engine()
        if client is None:
            lines.append("no Docker engine is running, so nothing of this lab is")
        else:
            lines.append(clear_all(client, lab_id(root)).sentence())
        forget_guests(state)
        forget(state)
        if engine:
            lines.append(stop_engine(state))
        elif (ours := started_engine(state)) is not None:
            lines.append(f"the engine this lab started stays: {ours}; stop it with: lab down --engine")
    return lines


def clear_left(root: Path, say: Say) -> None:
    """Remove what killed commands left, and wake the arena they paused, if an engine runs; the caller holds the lock.

    For whoever goes on where one was killed and needs no engine otherwise.
    """
    client = None
    with contextlib.suppress(EnvironmentMissing):
        client = find_engine()
    if client is None:
        return
    cleared = clear_abandoned(client, lab_id(root))
    wake(client, lab_id(root))
    if cleared.containers:
        say(f"an earlier command was killed: {cleared.sentence()}")


def collect(root: Path, images: bool) -> list[str]:
    """Remove what dead owners left; return what was done, a line each. images: also the images, where unused."""
    client = find_engine()
    if client is None:
        return ["no Docker engine is running, so nothing was left behind"]
    cleared = clear_abandoned(client, lab_id(root))
    with contextlib.suppress(EnvironmentMissing), only_one(state_folder(root), "gc"):
        wake(client, lab_id(root))  # a run killed between two trials left the arena paused; a live one wants it so
    if images:
        cleared.images = clear_images(client)
    return [cleared.sentence()]
