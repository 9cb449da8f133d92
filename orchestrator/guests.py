"""Remember which variants `lab up --variant` added to the standing arena; they stay as long as it stands.

lab.yaml's `arena.variants` is what every `lab up` brings up; a guest is one more, until `lab down`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.config.crosschecks import find_port_clash
from orchestrator.errors import BadInput
from orchestrator.model import Lab
from orchestrator.units import shown


def check_guests(lab: Lab, names: Sequence[str]) -> None:
    """Raise BadInput for what cannot join the arena: a name that is no variant, a port that is somebody's."""
    for name in names:
        if name not in lab.variants:
            raise BadInput(f"--variant: {shown(name)} is not a variant; write one of: {', '.join(lab.variants)}")
    together = [lab.variants[name] for name in dict.fromkeys((*lab.arena.variants, *names))]
    clash = find_port_clash(together)
    if clash is not None:
        raise BadInput(f"--variant: {clash}")


def with_guests(lab: Lab, state: Path, more: Sequence[str] = ()) -> Lab:
    """Return the lab with the guests of its standing arena, and some more; those that lab.yaml lost since are left out.

    state: the lab's own folder of records. The arena's own keep their addresses: guests come after them.
    """
    known = [name for name in (*read_guests(state), *more) if name in lab.variants]
    names = tuple(dict.fromkeys((*lab.arena.variants, *known)))
    return lab if names == lab.arena.variants else replace(lab, arena=replace(lab.arena, variants=names))


def read_guests(state: Path) -> tuple[str, ...]:
    """Return the guests' names in the order in which they came."""
    try:
        return tuple((state / "guests").read_text().split())
    except (FileNotFoundError, UnicodeDecodeError):
        return ()


def keep_guests(state: Path, names: Sequence[str]) -> None:
    """Remember these and no others. The caller holds the lab's lock."""
    state.mkdir(parents=True, exist_ok=True)
    fresh = state / f"guests.{os.getpid()}"
    fresh.write_text("".join(f"{name}\n" for name in names))
    fresh.replace(state / "guests")  # whole or not at all, should the command be killed here


def forget_guests(state: Path) -> None:
    """The arena is gone, and its guests with it. The caller holds the lab's lock."""
    (state / "guests").unlink(missing_ok=True)
