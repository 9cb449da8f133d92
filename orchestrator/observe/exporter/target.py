"""Turn a registration's JSON into what to observe, refusing whatever could not be observed or labelled."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from .errors import BadTarget

# When /stats is asked: as often as the exporter likes (the arena), or only when it is told to (a trial).
Asks = Literal["never", "told", "always"]
LABELS = ("run_id", "scenario", "variant")
# 64 targets of 64 containers: far beyond any arena, small enough that a mistake cannot exhaust the exporter.
MOST_CONTAINERS = 64
MOST_BESIDE = 1024  # a million of Locust's own users ask for a hundred workers; each costs a small file at a reading
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ID = re.compile(r"[0-9a-f]{12,64}")
_LONGEST_LABEL = 200


@dataclass(frozen=True, slots=True)
class Container:
    """One container: its id and the host's pid of its first process."""

    id: str  # "": not checked against the process's cgroup
    pid: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens, within its network namespace."""

    host: str  # IPv4
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """One variant's containers, read as one, and the labels its series carry."""

    name: str
    labels: Mapping[str, str]
    containers: tuple[Container, ...]
    shared_namespace: bool = False  # its TCP counters are the whole arena's
    listens: Address | None = None  # None: its sockets are not looked at, and nobody asks its /stats
    stats: Asks = "never"
    beside: tuple[Container, ...] = ()  # the lab's others, whose CPU time is no other program's


def parse_name(name: str) -> str:
    """Return a target's name as it may stand in a path. Raises BadTarget."""
    if not _NAME.fullmatch(name):
        raise BadTarget(f"target name: expected letters, digits, '.', '_', '-', at most 100, saw {name[:120]!r}")
    return name


def parse_target(name: str, body: bytes) -> Target:
    """Read the body of PUT /targets/NAME. Raises BadTarget with one line naming the field."""
    try:
        wanted = json.loads(body)
    except ValueError as wrong:
        raise BadTarget(f"{name}: the body is not JSON: {wrong}") from None
    if not isinstance(wanted, dict):
        raise BadTarget(f"{name}: expected a JSON object, saw {type(wanted).__name__}")
    known = ("labels", "containers", "shared_namespace", "listens", "stats", "beside")
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise BadTarget(f"{name}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    shared = wanted.get("shared_namespace", False)
    if not isinstance(shared, bool):
        raise BadTarget(f"{name}.shared_namespace: expected true or false, saw {shared!r}")
    labels = _labels(name, wanted.get("labels"))
    containers = _containers(f"{name}.containers", wanted.get("containers"), MOST_CONTAINERS)
    beside = _containers(f"{name}.beside", wanted["beside"], MOST_BESIDE) if wanted.get("beside") else ()
    listens = _listens(name, wanted["listens"]) if wanted.get("listens") is not None else None
    stats = wanted.get("stats", "never")
    if stats not in ("never", "told", "always") or (stats != "never" and listens is None):
        raise BadTarget(f"{name}.stats: expected never, or with `listens` told or always, saw {str(stats)[:60]!r}")
    return Target(parse_name(name), labels, containers, shared, listens, stats, beside)


def _listens(name: str, wanted: object) -> Address:
    if not isinstance(wanted, dict) or set(wanted) != {"host", "port"}:
        raise BadTarget(f"{name}.listens: expected exactly host and port, saw {str(wanted)[:80]!r}")
    try:
        host = str(IPv4Address(wanted["host"]))
    except ValueError:
        raise BadTarget(f"{name}.listens.host: expected an IPv4 address, saw {str(wanted['host'])[:60]!r}") from None
    if type(wanted["port"]) is not int or not 1 <= wanted["port"] <= 65535:
        raise BadTarget(f"{name}.listens.port: expected 1 to 65535, saw {wanted['port']!r}")
    return Address(host, wanted["port"])


def _labels(name: str, wanted: object) -> Mapping[str, str]:
    if not isinstance(wanted, dict) or set(wanted) - set(LABELS):
        raise BadTarget(f"{name}.labels: expected {', '.join(LABELS)}, saw {str(wanted)[:120]!r}")
    for key, value in wanted.items():
        if not isinstance(value, str) or len(value) > _LONGEST_LABEL:
            raise BadTarget(f"{name}.labels.{key}: expected text of at most {_LONGEST_LABEL}, saw {str(value)[:60]!r}")
    return {key: wanted.get(key, "") for key in LABELS}  # "" is an absent label to Prometheus


def _containers(key: str, wanted: object, most: int) -> tuple[Container, ...]:
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= most:
        raise BadTarget(f"{key}: expected a list of 1 to {most}, saw {str(wanted)[:60]!r}")
    found = []
    for at, entry in enumerate(wanted):
        where = f"{key}[{at}]"
        if not isinstance(entry, dict) or set(entry) != {"id", "pid"}:
            raise BadTarget(f"{where}: expected exactly id and pid, saw {str(entry)[:80]!r}")
        if not isinstance(entry["id"], str) or not _ID.fullmatch(entry["id"]):
            raise BadTarget(f"{where}.id: expected 12 to 64 hexadecimal digits, saw {str(entry['id'])[:80]!r}")
        if type(entry["pid"]) is not int or entry["pid"] < 1:
            raise BadTarget(f"{where}.pid: expected the host's pid of its first process, saw {entry['pid']!r}")
        found.append(Container(entry["id"], entry["pid"]))
    return tuple(found)
