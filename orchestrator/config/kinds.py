"""Turn a scenario's section into what contradicts its kind: keys it needs and lacks, keys that mean nothing to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from orchestrator.config.faults import Where
from orchestrator.config.schema import RampSection, ScenarioSection
from orchestrator.config.values import Amount
from orchestrator.units import shown

Complaint = tuple[Where, str]

# Kind -> key -> what to write where it is missing.
_NEEDS: Mapping[str, Mapping[str, str]] = {
    "closed": {"connections": "connections: 50", "measure": "measure: 6s"},
    "open": {"connections": "connections: 200", "rate": "rate: 1000/s", "measure": "measure: 6s"},
    "hold": {"connections": "connections: 2000"},
    "ramp": {"ramp": "ramp: {of: connections, first: 50, last: 5000, most_p99: 100ms}"},
    "storm": {"connections": "connections: 1000", "every": "every: 2s", "measure": "measure: 6s"},
}

# Key -> the kinds it belongs to. Keys that are not here belong to all.
_BELONGS: Mapping[str, tuple[str, ...]] = {
    "rate": ("open",),
    "arrivals": ("open", "ramp"),
    "answer": ("hold",),
    "every": ("storm",),
    "ramp": ("ramp",),
}

_BY_SCHEDULE = ("open", "ramp", "storm")

# Three seconds for each would be five minutes, with one row of the table for each.
_MOST_STEPS = 100


def find_misfits(where: Where, scenario: ScenarioSection) -> Iterator[Complaint]:
    """Yield where and what, for one scenario."""
    kind = scenario.kind
    for key, example in _NEEDS[kind].items():
        if getattr(scenario, key) is None:
            yield (*where, key), f"missing; {_a(kind)} scenario needs it: write '{example}'"
    for key, kinds in _BELONGS.items():
        if kind not in kinds and getattr(scenario, key) is not None:
            text = f"expected only in {_a(' or '.join(kinds))} scenario; remove it, or write 'kind: {kinds[0]}'"
            yield (*where, key), text
    if scenario.users == "locust" and kind in _BY_SCHEDULE:
        text = f"a Python user cannot keep the schedule of {_a(kind)} scenario; write 'users: engine', or remove it"
        yield (*where, "users"), text
    if scenario.users == "locust" and scenario.sources is not None:
        yield (*where, "sources"), "only the engine shares source addresses; remove it, or write 'users: engine'"
    if kind == "hold":
        yield from _hold(where, scenario)
    elif scenario.delay and scenario.path not in (None, "/delay"):
        text = f"expected '/delay' beside a delay, saw {shown(scenario.path)}; remove it, or remove 'delay'"
        yield (*where, "path"), text
    if kind == "storm":
        yield from _storm(where, scenario)
    if kind == "ramp":
        yield from _ramp(where, scenario)


def _hold(where: Where, scenario: ScenarioSection) -> Iterator[Complaint]:
    released = scenario.answer == "release"
    path = "/hold" if released else "/delay"
    if scenario.delay is None and not released:
        yield (*where, "delay"), "missing; a hold scenario needs it: write 'delay: 5s'"
    if scenario.delay is not None and released:
        yield (*where, "delay"), "expected no delay where the answer comes on release; remove it"
    if scenario.path not in (None, path):
        yield (*where, "path"), f"expected {shown(path)} in a hold scenario, saw {shown(scenario.path)}; remove it"
    if scenario.warmup is not None:
        yield (*where, "warmup"), "a hold scenario has no warm-up: every connection counts; remove it"
    if scenario.measure is not None:
        yield (*where, "measure"), "a hold scenario's window ends with its last answer; remove it, and write 'delay'"


def _storm(where: Where, scenario: ScenarioSection) -> Iterator[Complaint]:
    if scenario.every is not None and scenario.measure is not None and scenario.measure < scenario.every:
        text = f"expected at least one interval between bursts, {scenario.every:g} s, saw {scenario.measure:g} s; "
        yield (*where, "measure"), f"{text}write 'measure: {3 * scenario.every:g}s'"


def _ramp(where: Where, scenario: ScenarioSection) -> Iterator[Complaint]:
    for key in ("measure", "warmup"):
        if getattr(scenario, key) is not None:
            other = "step" if key == "measure" else "settle"
            yield (*where, key), f"each step of a ramp has its own; remove it, and write '{other}' under 'ramp'"
    ramp = scenario.ramp
    if ramp is None:
        return
    if ramp.of == "connections":
        for key in ("connections", "arrivals"):
            if getattr(scenario, key) is not None:
                yield (*where, key), "a ramp of connections sets it by its steps; remove it, or write 'of: rate'"
    elif scenario.connections is None:
        yield (*where, "connections"), "missing; a ramp of the rate needs a pool: write 'connections: 200'"
    yield from _steps((*where, "ramp"), ramp)


def _steps(where: Where, ramp: RampSection) -> Iterator[Complaint]:
    sound = True
    for key in ("first", "last"):
        amount: Amount = getattr(ramp, key)
        if amount.is_rate != (ramp.of == "rate"):
            seen, example = ("connections", "1000/s") if ramp.of == "rate" else ("a rate", "50")
            yield (*where, key), f"expected {ramp.of}, as 'of' says, saw {seen}; write it as in '{example}'"
            sound = False
    if not sound:
        return
    first, last = ramp.first.number, ramp.last.number
    if last <= first:
        yield (*where, "last"), f"expected more than the first step's {first:g}, saw {last:g}; write a higher one"
    elif (steps := count_steps(first, last, ramp.factor)) > _MOST_STEPS:
        text = f"{steps} steps from {first:g} to {last:g}; at most {_MOST_STEPS}: write a larger factor"
        yield (*where, "factor"), text


def count_steps(first: float, last: float, factor: float) -> int:
    """Return how many steps a ramp has at most; the last one is `last`, whatever the factor."""
    return math.ceil(math.log(last / first) / math.log(factor) - 1e-9) + 1


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
