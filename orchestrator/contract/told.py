"""Turn the JSON that the suite is asked with into values, or into one line that says what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from .table import ACTS, ITEMS, ROUTES


class BadQuestion(Exception):
    """The asked JSON cannot be understood."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one act is asked. Everything but the first three has a default.

    only: check ids to run, None: all of the act. lacks: routes and check ids the variant declares it does not keep.
    nonce: what /healthz must show; None: nothing may be shown; "": not looked at. backlog: what listen(2) was told;
    None: not checked. nofile: the descriptors the server was started with; processes: how many serve the port.
    runtime, technique: the manifest's; what /stats tells besides follows from them.
    crowd: how many the crowd act has open at once, connections: how many in all. drain_s: LAB_DRAIN_S; pid: of the
    server, which the drain act then stops itself. The timeouts are the contract's, unless a test's server has others.
    """

    host: str
    port: int
    variant: str
    act: str = "wire"
    only: frozenset[str] | None = None
    lacks: frozenset[str] = frozenset()
    nonce: str | None = ""
    backlog: int | None = None
    nofile: int | None = None
    processes: int = 1
    runtime: str = ""
    technique: str = ""
    crowd: int = 1000
    connections: int = 10_000
    drain_s: float = 5.0
    pid: int | None = None
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    linger_s: float = 2.0
    late_s: float = 4.0  # how long after a limit the end may come: a server may look once in a while only
    patience_s: float = 10.0  # a right answer takes milliseconds, but two cores may be busy with other pods


TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}


def read_told(text: str) -> Told:
    """Return the question. Raises BadQuestion with one line."""
    try:
        asked = json.loads(text)
    except ValueError as error:
        raise BadQuestion(f"expected one JSON object, got {text[:80]!r}: {error}") from None
    if not isinstance(asked, dict):
        raise BadQuestion(f"expected one JSON object, got {text[:80]!r}")
    known = {field.name: field for field in fields(Told)}
    for name in asked:
        if name not in known:
            raise BadQuestion(f"{name}: not known; known are {', '.join(known)}")
    for name in ("host", "port", "variant"):
        if asked.get(name) is None:
            raise BadQuestion(f"{name}: missing. Try: {EXAMPLE}")
    values: dict[str, Any] = {}
    for name, value in asked.items():
        if name in ("only", "lacks"):
            values[name] = read_names(name, value)
        elif value is None and ("None" in str(known[name].type) or name == "processes"):
            if name != "processes":
                values[name] = None
        else:
            values[name] = read_value(name, value, str(known[name].type).partition(" ")[0])
    told = Told(**values)
    if told.act not in ACTS:
        raise BadQuestion(f"act: expected one of {', '.join(ACTS)}, got {told.act!r}")
    return told


EXAMPLE = """'{"host": "127.0.0.1", "port": 8080, "variant": "c-epoll"}'"""


def read_value(name: str, value: object, kind: str) -> object:
    """Return value when it is of the kind "str", "int" or "float"."""
    if isinstance(value, bool) or not isinstance(value, TYPES[kind]):
        raise BadQuestion(f"{name}: expected {kind}, got {value!r}")
    if not isinstance(value, str) and value <= 0:  # type: ignore[operator]
        raise BadQuestion(f"{name}: expected more than 0, got {value!r}")
    return float(value) if kind == "float" else value  # type: ignore[arg-type]


def read_names(name: str, value: object) -> frozenset[str] | None:
    """Return the check ids (for lacks: and routes) of a list; `only` may be None."""
    if value is None:
        return None if name == "only" else frozenset()
    known = {item.id for item in ITEMS} | (set(ROUTES) if name == "lacks" else set())
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadQuestion(f"{name}: expected a list of check ids, got {value!r}")
    for one in value:
        if one not in known:
            raise BadQuestion(f"{name}: {one!r} is no check; python -m orchestrator.contract --list shows them")
    return frozenset(value)
