"""Turn LAB_SWARM and a start form into the load to offer.

Text in, frozen values out; no sockets, no Locust. The shape of LAB_SWARM: docs/architecture.md, "What the swarm is
told". Only a target written there can be loaded, so hosts are checked here, before anything connects.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KINDS = ("closed", "hold")
SPEAKS = ("http", "raw")


class BadSettings(ValueError):
    """What the swarm was told cannot be done; the message says which word and what was expected."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """The load to offer; identical for every variant."""

    name: str
    kind: str  # closed: ask again as soon as the answer is in; hold: one exchange per connection
    path: str
    delay_s: float
    timeout_s: float  # on top of delay_s

    @property
    def patience_s(self) -> float:
        """How long an exchange may take before it counts as unanswered."""
        return self.delay_s + self.timeout_s


@dataclass(frozen=True, slots=True)
class Target:
    """One server under test: a literal address, never a name."""

    variant: str
    host: str
    port: int
    speaks: str
    fixed_delay: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything LAB_SWARM says."""

    scenarios: Mapping[str, Scenario]
    targets: Mapping[str, Target]
    once: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What one start form asks for: users go to `targets`; `left_out` tells why a chosen variant gets none."""

    scenario: Scenario
    targets: tuple[Target, ...]
    left_out: Mapping[str, str]
    once: bool


def parse_settings(text: str) -> Settings:
    """Return what LAB_SWARM says. Raises BadSettings naming the first entry that is wrong."""
    try:
        told = json.loads(text or "{}")
    except ValueError as error:
        raise BadSettings(f"LAB_SWARM: expected JSON, saw {text[:80]!r} ({error})") from None
    if not isinstance(told, dict):
        raise BadSettings(f"LAB_SWARM: expected an object, saw {text[:80]!r}")
    return Settings(
        scenarios={name: _scenario(name, entry) for name, entry in _object(told, "scenarios").items()},
        targets={name: _target(name, entry) for name, entry in _object(told, "targets").items()},
        once=bool(told.get("once", False)),
    )


def choose(settings: Settings, scenario: object, variants: Sequence[str] | str | None) -> Choice:
    """Return the scenario and the targets a start form names.

    variants: names, or None for all targets. Raises BadSettings for a name that LAB_SWARM does not have.
    """
    if not settings.targets:
        raise BadSettings("LAB_SWARM names no target, so there is nothing to load")
    known = ", ".join(settings.scenarios) or "none"
    if not scenario:
        raise BadSettings(f"scenario: none chosen; this swarm knows {known}")
    if scenario not in settings.scenarios:
        raise BadSettings(f"scenario: {scenario!r} is unknown; this swarm knows {known}")
    chosen = settings.scenarios[str(scenario)]
    if variants is None:
        names = list(settings.targets)
    else:
        names = list(dict.fromkeys([variants] if isinstance(variants, str) else variants))
    known = ", ".join(settings.targets)
    if not [name for name in names if name]:
        raise BadSettings(f"variants: none chosen; this swarm knows {known}")
    for name in names:
        if name not in settings.targets:
            raise BadSettings(f"variants: {name!r} is unknown; this swarm knows {known}")
    reasons = {name: reason for name in names if (reason := refusal(chosen, settings.targets[name]))}
    targets = tuple(settings.targets[name] for name in names if name not in reasons)
    return Choice(chosen, targets, reasons, settings.once)


def refusal(scenario: Scenario, target: Target) -> str:
    """Return why `target` cannot serve `scenario`, or an empty string."""
    if scenario.kind != "closed":
        return ""
    if target.speaks != "http":
        return f"scenario {scenario.name} is closed and needs HTTP; {target.variant} speaks {target.speaks}"
    if target.fixed_delay:
        return f"scenario {scenario.name} is closed; {target.variant} answers after a fixed delay only"
    return ""


def _object(told: dict[str, Any], key: str) -> dict[str, Any]:
    value = told.get(key, {})
    if not isinstance(value, dict):
        raise BadSettings(f"LAB_SWARM {key}: expected an object, saw {value!r}")
    return value


def _scenario(name: str, entry: Any) -> Scenario:
    try:
        scenario = Scenario(
            name=name,
            kind=entry["kind"],
            path=entry.get("path", "/plain"),
            delay_s=float(entry.get("delay_s", 0.0)),
            timeout_s=float(entry.get("timeout_s", 10.0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadSettings(f"LAB_SWARM scenarios.{name}: {error!r} in {entry!r}") from None
    if scenario.kind not in KINDS:
        raise BadSettings(f"LAB_SWARM scenarios.{name}.kind: expected one of {KINDS}, saw {scenario.kind!r}")
    if not scenario.path.startswith("/") or not scenario.path.isprintable() or " " in scenario.path:
        raise BadSettings(f"LAB_SWARM scenarios.{name}.path: expected a path, saw {scenario.path!r}")
    if not 0 <= scenario.delay_s <= 120 or not 0 < scenario.timeout_s <= 3600:
        raise BadSettings(f"LAB_SWARM scenarios.{name}: delay_s is 0-120 and timeout_s above 0, saw {entry!r}")
    return scenario


def _target(name: str, entry: Any) -> Target:
    try:
        target = Target(
            variant=name,
            host=str(ipaddress.ip_address(entry["host"])),
            port=int(entry["port"]),
            speaks=entry.get("speaks", "http"),
            fixed_delay=bool(entry.get("fixed_delay", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadSettings(f"LAB_SWARM targets.{name}: {error!r}; expected a literal address and a port") from None
    if target.speaks not in SPEAKS:
        raise BadSettings(f"LAB_SWARM targets.{name}.speaks: expected one of {SPEAKS}, saw {target.speaks!r}")
    if not 0 < target.port < 65536:
        raise BadSettings(f"LAB_SWARM targets.{name}.port: expected 1-65535, saw {target.port}")
    return target
