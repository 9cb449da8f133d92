"""Turn a start form into who is loaded with what.

Pure: names in, frozen values out. The words it may use are those of LAB_SWARM (swarm/settings.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarm.settings import BadSettings, Scenario, Settings, Target

MOST_PER_USER = 1_000_000  # more than one process has descriptors anywhere


@dataclass(frozen=True, slots=True)
class Choice:
    """What one start form asks for: users go to `targets`; `left_out` tells why a chosen variant gets none.

    connections_per_user: of engine users; 0: each worker's user opens that worker's share of the scenario's.
    """

    scenario: Scenario
    targets: tuple[Target, ...]
    left_out: Mapping[str, str]
    once: bool
    connections_per_user: int = 1


def choose(
    settings: Settings, scenario: object, variants: Sequence[str] | str | None, connections_per_user: object = 1
) -> Choice:
    """Return the scenario and the targets a start form names.

    variants: names, or None for all targets. Raises BadSettings for what LAB_SWARM does not have.
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
    return Choice(chosen, targets, reasons, settings.once, _per_user(connections_per_user))


def _per_user(told: object) -> int:
    try:
        number = int(str(told))
    except ValueError:
        number = -1
    if not 0 <= number <= MOST_PER_USER:
        raise BadSettings(f"connections per user: expected 0 to {MOST_PER_USER}, saw {told!r}")
    return number


def refusal(scenario: Scenario, target: Target) -> str:
    """Return why `target` cannot serve `scenario`, or an empty string."""
    what = f"scenario {scenario.name} is {scenario.kind}"
    if target.routes and not target.route(_route(scenario)):
        return f"{what} and asks for {scenario.path}; {target.variant} maps {', '.join(dict(target.routes))} only"
    if scenario.kind != "hold":
        if target.speaks != "http":
            return f"{what} and needs HTTP; {target.variant} speaks {target.speaks}"
        if target.fixed_delay:
            return f"{what}; {target.variant} answers after a fixed delay only"
    elif scenario.answer == "release" and (target.speaks != "http" or target.fixed_delay):
        return f"{what} and answered on release; {target.variant} knows no /release"
    if scenario.kind in ("open", "ramp", "storm") and scenario.users == "locust":
        return f"{what}, and a Python user cannot keep a schedule; write users: engine"
    return ""


def is_for_engine(scenario: Scenario, target: Target) -> bool:
    """Whether `target` is loaded through the engine: it speaks HTTP only, so a raw target gets Locust users."""
    return scenario.users == "engine" and target.speaks == "http"


def path_of(scenario: Scenario, target: Target) -> str:
    """Return what is asked for."""
    if target.fixed_delay:
        return "/"
    if target.routes:
        return target.route(_route(scenario)).replace("{ms}", str(round(scenario.delay_s * 1000)))
    if scenario.kind == "hold" and scenario.answer == "release":
        return scenario.path
    if scenario.kind == "hold" or scenario.delay_s:
        return f"{scenario.path}?ms={round(scenario.delay_s * 1000)}"
    return scenario.path


def _route(scenario: Scenario) -> str:
    """Return which of an existing image's routes a scenario needs: the contract's path without its slash."""
    return scenario.path.partition("?")[0].strip("/")


def share_of(total: int, share: tuple[int, int]) -> int:
    """Return worker n's part of `total` among W: total // W, the first total % W workers one more."""
    number, of = share
    return total // of + (number < total % of)
