"""Turn what a caller asks for into a target: whose events are to be counted, on which rungs, and when."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import BadTarget

RUNGS = ("ebpf", "perf")  # best first; what comes after them needs no probe: taskstats and /proc, the exporter's
LABELS = ("run_id", "scenario", "variant")
MOST_PIDS = 64
LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Target:
    """Whose events are counted."""

    name: str
    labels: Mapping[str, str]
    pids: tuple[int, ...]  # the host's, of each container's first process: their pid namespaces
    net: int | None  # one in the network namespace; None: no TCP is counted
    rungs: tuple[str, ...] = RUNGS  # to be tried, in this order
    marks_in_s: tuple[float, ...] = ()  # readings to be taken so long after readiness
    interval_s: float = 1.0


def parse_name(name: str) -> str:
    """Return a target's name. Raises BadTarget."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
        raise BadTarget(f"expected a name of letters, digits, '_', '.', '-', saw {name[:120]!r}")
    return name


def parse_target(name: str, body: bytes) -> Target:
    """Return the target that a PUT describes. Raises BadTarget with what was expected and seen."""
    try:
        told = json.loads(body)
    except ValueError as why:
        raise BadTarget(f"the body is no JSON: {why}") from None
    if not isinstance(told, dict):
        raise BadTarget(f"expected an object, saw {type(told).__name__}")
    unknown = set(told) - {"labels", "pids", "net", "rungs", "marks_in_s", "interval_s"}
    if unknown:
        raise BadTarget(f"unknown: {', '.join(sorted(unknown))}")
    labels, net = told.get("labels"), told.get("net")
    if not isinstance(labels, dict) or set(labels) != set(LABELS):
        raise BadTarget(f"labels: expected {', '.join(LABELS)}, saw {labels!r}")
    if not all(isinstance(text, str) for text in labels.values()):
        raise BadTarget(f"labels: expected {', '.join(LABELS)} as texts, saw {labels!r}")
    pids = _numbers("pids", told.get("pids"), 1)
    rungs = told.get("rungs", list(RUNGS))
    if not isinstance(rungs, list) or not set(rungs) <= set(RUNGS):
        raise BadTarget(f"rungs: expected some of {', '.join(RUNGS)}, saw {rungs!r}")
    marks = _numbers("marks_in_s", told.get("marks_in_s", []), 0)
    (interval_s,) = _numbers("interval_s", [told.get("interval_s", 1.0)], 1)
    if not all(0 <= mark <= LONGEST_S for mark in marks) or not 0.001 <= interval_s <= LONGEST_S:
        raise BadTarget(f"marks_in_s, interval_s: expected 0 to {LONGEST_S:.0f} s, saw {marks} and {interval_s}")
    for pid in (*pids, *([] if net is None else [net])):
        if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 1 << 22:
            raise BadTarget(f"pids, net: expected the host's pids, saw {pid!r}")
    if len(pids) > MOST_PIDS:
        raise BadTarget(f"pids: expected at most {MOST_PIDS}, saw {len(pids)}")
    return Target(
        name, labels, tuple(int(p) for p in pids), net, tuple(rungs), tuple(float(m) for m in marks), float(interval_s)
    )


def _numbers(key: str, seen: object, least: int) -> list[float]:
    if not isinstance(seen, list) or len(seen) < least:
        raise BadTarget(f"{key}: expected a list of {least} or more numbers, saw {seen!r}")
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in seen):
        raise BadTarget(f"{key}: expected numbers, saw {seen!r}")
    return seen
