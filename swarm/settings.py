"""Turn LAB_SWARM into the load that may be offered.

Text in, frozen values out; no sockets, no Locust. The shape of LAB_SWARM: docs/architecture.md, "What the swarm is
told". Only a target written there can be loaded, so hosts are checked here, before anything connects. What a start form
asks for is swarm/choice.py's.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("closed", "open", "hold", "ramp", "storm")
SPEAKS = ("http", "raw")
USERS = ("locust", "engine")
ARRIVALS = ("constant", "poisson")
ANSWERS = ("delay", "release")
RAMPS = ("connections", "rate")
RELEASE_S = 120.0  # how long a hold waits for its release, as long as the longest /delay: somebody may forget it
OPENING = 256
NONCE = re.compile(r"[0-9a-f]{16,64}")


class BadSettings(ValueError):
    """What the swarm was told cannot be done; the message says which word and what was expected."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """Steps upwards: first, first * factor, ... up to last, until something binds."""

    of: str  # connections: closed loops; rate: arrivals per second
    first: float
    last: float
    factor: float
    step_s: float
    settle_s: float
    most_errors_ratio: float
    most_p99_s: float

    def steps(self) -> list[float]:
        """Return what each step offers, the whole swarm's; connections are whole numbers."""
        offered, found = self.first, [self.first]
        while offered < self.last:
            offered *= self.factor
            if self.of == "connections":
                # A small factor on a small number must still rise.
                offered = max(math.ceil(offered - 1e-9), found[-1] + 1)
            found.append(min(offered, self.last))
        return found


@dataclass(frozen=True, slots=True)
class Scenario:
    """The load to offer; identical for every variant."""

    name: str
    kind: str
    path: str
    delay_s: float
    timeout_s: float  # on top of delay_s
    users: str = "locust"
    connections: int = 1  # the whole swarm's
    rate_per_s: float = 0.0  # open: the whole swarm's
    arrivals: str = "constant"
    answer: str = "delay"  # hold: what ends it
    every_s: float = 0.0  # storm: from burst to burst
    ramp: Ramp | None = None
    sources: int = 0  # engine users: source addresses that all workers share; 0: each worker has its own

    @property
    def patience_s(self) -> float:
        """How long an exchange may take before it counts as unanswered."""
        waits_s = max(self.delay_s, RELEASE_S) if self.answer == "release" else self.delay_s
        return waits_s + self.timeout_s

    @property
    def is_scheduled(self) -> bool:
        """Whether exchanges follow a clock rather than the answers."""
        return self.kind in ("open", "storm") or (self.ramp is not None and self.ramp.of == "rate")


@dataclass(frozen=True, slots=True)
class Target:
    """One server under test: a literal address, never a name."""

    variant: str
    host: str
    port: int
    speaks: str
    fixed_delay: bool
    nonce: str | None = None  # what its /healthz shows; None: it cannot show one
    routes: tuple[tuple[str, str], ...] = ()  # of an existing image: "plain", "delay" -> its own path
    body: bytes = b"Hello, world!"  # what its answers must be

    def route(self, name: str) -> str:
        """Return an existing image's own path; "" where it has none, or the target keeps the contract's."""
        return dict(self.routes).get(name, "")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything LAB_SWARM says."""

    scenarios: Mapping[str, Scenario]
    targets: Mapping[str, Target]
    once: bool
    opening: int = OPENING  # connects under way at once per worker


def parse_settings(text: str) -> Settings:
    """Return what LAB_SWARM says. Raises BadSettings naming the first entry that is wrong."""
    try:
        told = json.loads(text or "{}")
    except ValueError as error:
        raise BadSettings(f"LAB_SWARM: expected JSON, saw {text[:80]!r} ({error})") from None
    if not isinstance(told, dict):
        raise BadSettings(f"LAB_SWARM: expected an object, saw {text[:80]!r}")
    opening = told.get("opening", OPENING)
    if isinstance(opening, bool) or not isinstance(opening, int) or opening < 1:
        raise BadSettings(f"LAB_SWARM opening: expected a number of connects from 1 on, saw {opening!r}")
    scenarios = _object(told, "scenarios")
    return Settings(
        scenarios={name: parse_scenario(f"LAB_SWARM scenarios.{name}", name, told) for name, told in scenarios.items()},
        targets={name: _target(name, entry) for name, entry in _object(told, "targets").items()},
        once=bool(told.get("once", False)),
        opening=opening,
    )


def parse_share(text: str) -> tuple[int, int] | None:
    """Return LAB_WORKER_SHARE, "n/W", as (n, W); None when it is empty. Raises BadSettings."""
    if not text:
        return None
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and int(number) < int(of)):
        raise BadSettings(f"LAB_WORKER_SHARE: expected n/W with n below W, as in 0/6, saw {text!r}")
    return int(number), int(of)


def _object(told: dict[str, Any], key: str) -> dict[str, Any]:
    value = told.get(key, {})
    if not isinstance(value, dict):
        raise BadSettings(f"LAB_SWARM {key}: expected an object, saw {value!r}")
    return value


def parse_scenario(where: str, name: str, entry: Any) -> Scenario:
    """Return the scenario an entry describes. where: how messages name it. Raises BadSettings."""
    try:
        scenario = Scenario(
            name=name,
            kind=entry["kind"],
            path=entry.get("path", "/plain"),
            delay_s=float(entry.get("delay_s", 0.0)),
            timeout_s=float(entry.get("timeout_s", 10.0)),
            users=entry.get("users", "locust"),
            connections=int(entry.get("connections", 1)),
            rate_per_s=float(entry.get("rate_per_s", 0.0)),
            arrivals=entry.get("arrivals", "constant"),
            answer=entry.get("answer", "delay"),
            every_s=float(entry.get("every_s", 0.0)),
            ramp=_ramp(f"{where}.ramp", entry.get("ramp")),
            sources=int(entry.get("sources", 0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, BadSettings):
            raise
        raise BadSettings(f"{where}: {error!r} in {entry!r}") from None
    for word, known in (("kind", KINDS), ("users", USERS), ("arrivals", ARRIVALS), ("answer", ANSWERS)):
        if getattr(scenario, word) not in known:
            raise BadSettings(f"{where}.{word}: expected one of {known}, saw {getattr(scenario, word)!r}")
    _check_path(f"{where}.path", scenario.path)
    if not 0 <= scenario.delay_s <= 120 or not 0 < scenario.timeout_s <= 3600:
        raise BadSettings(f"{where}: delay_s is 0-120 and timeout_s above 0, saw {entry!r}")
    if scenario.connections < 1:
        raise BadSettings(f"{where}.connections: expected 1 or more, saw {scenario.connections}")
    if not 0 <= scenario.sources <= 254:
        raise BadSettings(f"{where}.sources: expected 0 to 254, saw {scenario.sources}")
    if scenario.kind == "open" and not 0 < scenario.rate_per_s < 1e9:
        raise BadSettings(f"{where}.rate_per_s: an open scenario needs a rate above 0, saw {scenario.rate_per_s!r}")
    if scenario.kind == "storm" and not 0 < scenario.every_s <= 3600:
        raise BadSettings(f"{where}.every_s: a storm needs the seconds between bursts, saw {scenario.every_s!r}")
    if (scenario.kind == "ramp") != (scenario.ramp is not None):
        raise BadSettings(f"{where}.ramp: kind ramp needs it and no other kind has it, saw kind {scenario.kind}")
    return scenario


def _check_path(where: str, path: object) -> None:
    if not isinstance(path, str) or not path.startswith("/") or not path.isascii() or not path.isprintable():
        raise BadSettings(f"{where}: expected a path, saw {path!r}")
    if " " in path:
        raise BadSettings(f"{where}: expected a path without a space, saw {path!r}")


def _ramp(where: str, entry: Any) -> Ramp | None:
    if entry is None:
        return None
    try:
        of = entry["of"]
        numbers = {key: float(entry[key]) for key in Ramp.__dataclass_fields__ if key != "of"}
    except (KeyError, TypeError, ValueError) as error:
        raise BadSettings(f"{where}: {error!r} in {entry!r}") from None
    if of not in RAMPS:
        raise BadSettings(f"{where}.of: expected one of {RAMPS}, saw {of!r}")
    ramp = Ramp(of=of, **numbers)
    if not (0 < ramp.first <= ramp.last < 1e9 and ramp.factor >= 1.01 and 0 < ramp.step_s <= 3600):
        raise BadSettings(f"{where}: expected 0 < first <= last, factor from 1.01 on, step_s above 0, saw {entry!r}")
    if not (0 <= ramp.settle_s <= 3600 and 0 <= ramp.most_errors_ratio <= 1 and ramp.most_p99_s > 0):
        raise BadSettings(f"{where}: expected settle_s >= 0, most_errors_ratio 0-1, most_p99_s > 0, saw {entry!r}")
    if of == "connections" and not (ramp.first.is_integer() and ramp.last.is_integer()):
        raise BadSettings(f"{where}: connections are whole numbers, saw first {ramp.first} and last {ramp.last}")
    return ramp


def _routes(entry: dict[str, str]) -> tuple[tuple[str, str], ...]:
    if unknown := set(entry) - {"plain", "delay"}:
        raise ValueError(f"routes are plain and delay, not {min(unknown)}")
    return tuple(sorted(entry.items()))


def _target(name: str, entry: Any) -> Target:
    where = f"LAB_SWARM targets.{name}"
    try:
        target = Target(
            variant=name,
            host=str(ipaddress.ip_address(entry["host"])),
            port=int(entry["port"]),
            speaks=entry.get("speaks", "http"),
            fixed_delay=bool(entry.get("fixed_delay", False)),
            nonce=entry.get("nonce"),
            routes=_routes(entry.get("routes", {})),
            body=entry.get("body", "Hello, world!").encode(),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadSettings(f"{where}: {error!r}; expected a literal address and a port") from None
    for name, path in target.routes:
        _check_path(f"{where}.routes.{name}", path)
    if target.speaks not in SPEAKS:
        raise BadSettings(f"{where}.speaks: expected one of {SPEAKS}, saw {target.speaks!r}")
    if not 0 < target.port < 65536:
        raise BadSettings(f"{where}.port: expected 1-65535, saw {target.port}")
    if target.nonce is not None and not (isinstance(target.nonce, str) and NONCE.fullmatch(target.nonce)):
        raise BadSettings(f"{where}.nonce: expected 16-64 lower-case hex digits or null, saw {target.nonce!r}")
    return target
