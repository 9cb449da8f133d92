"""Say what was declared for a plan, and what of it, or of the machine, is no longer as when a run began.

A run is resumed only on the ground that its first trials stood on: half of its figures would be another experiment's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from orchestrator.model import Lab, Plan

# What words say about a thing, where its sources lie and what a plan counts with changes no figure; sources are in the
# image's digest.
_WORDS = frozenset({"name", "summary", "folder", "deviations", "wall", "ring"})
# Of the host facts those that figures depend on; the load average and the time are new each time.
_FACTS = (
    "kernel", "architecture", "operating_system", "cpus", "cpu_model", "engine_version", "cgroup_version",
    "nofile_granted", "cpu_list",
)  # fmt: skip
_MEMORY_RATIO = 0.01  # MemTotal moves by some pages from boot to boot


def declared(lab: Lab, plan: Plan) -> dict[str, object]:
    """Return what the lab file says of everything in a plan: "scenario plain" -> its fields, as JSON has them.

    And of what its trials may suffer: "gate" -> the limits, or half of a run would be void for what the rest may have.
    """
    found: dict[str, object] = {"gate": lab.gate}
    for spec in plan.trials:
        found[f"scenario {spec.scenario}"] = lab.scenarios[spec.scenario]
        found[f"profile {spec.profile}"] = lab.profiles[spec.profile]
        found[f"variant {spec.variant}"] = lab.variants[spec.variant]
    return {name: _fields(value) for name, value in sorted(found.items())}


def missing(lab: Lab, plan: Plan) -> tuple[str, ...]:
    """Return what a plan needs and the lab file no longer has: "scenario plain", ..."""
    wanted: dict[str, bool] = {}
    for spec in plan.trials:
        wanted[f"scenario {spec.scenario}"] = spec.scenario in lab.scenarios
        wanted[f"profile {spec.profile}"] = spec.profile in lab.profiles
        wanted[f"variant {spec.variant}"] = spec.variant in lab.variants
    return tuple(sorted(name for name, is_there in wanted.items() if not is_there))


def changed_words(then: Mapping[str, object], now: Mapping[str, object]) -> tuple[str, ...]:
    """Return what is declared otherwise than it was, one phrase for each key."""
    if not then:
        return ("what lab.yaml said was not kept when the run began, and cannot be compared",)
    lines: list[str] = []
    for name, is_now in now.items():
        was = then.get(name)
        if not isinstance(was, Mapping) or not isinstance(is_now, Mapping):
            lines.append(f"{name}: what was declared of it was not kept")
        else:
            lines += [f"{name}: {what}" for what in _differences(was, is_now, {**was, **is_now})]
    return tuple(lines)


def changed_ground(then: Mapping[str, object], now: Mapping[str, object]) -> tuple[str, ...]:
    """Return what of the machine and of the images in use is no longer the same. then, now: host facts."""
    lines = list(_differences(then, now, [name for name in _FACTS if name in then]))
    if _differs_much(then.get("memory_bytes"), now.get("memory_bytes")):
        lines += _differences(then, now, ["memory_bytes"])
    images, present = then.get("images"), now.get("images")
    if isinstance(images, Mapping) and isinstance(present, Mapping):
        lines += [f"image {what}" for what in _differences(images, present, present)]
    else:
        lines.append("the images were not kept when the run began, and cannot be compared")
    return tuple(lines)


def _differs_much(before: object, after: object) -> bool:
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return False
    return abs(after - before) > _MEMORY_RATIO * before


def _differences(was: Mapping[str, object], is_now: Mapping[str, object], names: Iterable[str]) -> list[str]:
    return [
        f"{name} was {_shown(was, name)}, is {_shown(is_now, name)}"
        for name in names
        if was.get(name) != is_now.get(name)
    ]


def _shown(of: Mapping[str, object], name: str) -> str:
    if name not in of:
        return "not there"
    text = of[name] if isinstance(of[name], str) else json.dumps(of[name], ensure_ascii=False)
    return str(text) or "empty"


def _fields(value: object) -> object:
    """Return a frozen value's fields but for the words, as JSON gives them back: tuples are lists."""
    fields = {key: item for key, item in asdict(value).items() if key not in _WORDS}  # type: ignore[call-overload]
    return json.loads(json.dumps(fields, default=_name))


def _name(value: object) -> str:
    """A path counts by its last part: clones lie in different folders."""
    if isinstance(value, Path):
        return value.name
    raise TypeError(f"a {type(value).__name__} has no place among what is declared")
