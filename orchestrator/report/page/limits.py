"""Name what a run's figures cannot say: the limits of its loads, its machine and its number of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.model import Run
from orchestrator.verdicts.effect import LEAST_PAIRS
from orchestrator.verdicts.summary import Summary

_CLOSED = (
    "Loads of the kind “closed” wait for each reply: what a stall hides from them, because they were not asking "
    "meanwhile, is not in their percentiles."
)
_AT_LEAST = "A figure with ≥ is a lower bound: the load was at its own limit, the server could perhaps do more."
_LOOPBACK = (
    "Client and server are on one machine and talk over loopback: no network card, no wire and no packet loss is in "
    "these figures, and the kernel's work for both ends shares the machine's memory and caches."
)
_CGROUP_V1 = (
    "Memory is what the kernel charges to the server's cgroup; under cgroup v1 sockets are charged to nobody, so that "
    "every variant seems cheaper by the same two or three KiB a connection."
)
_USERS = "Figures of loads by Locust's own users and by the engine are not comparable with each other."


def limits_of(run: Run, by_scenario: Mapping[str, Sequence[Summary]]) -> list[str]:
    """Return one sentence for each limit that this run has; what does not apply to it is not said."""
    rows = [row for found in by_scenario.values() for row in found]
    found = []
    if any(0 < row.valid < LEAST_PAIRS for row in rows):
        found.append(_few(rows))
    if any(row.kind == "closed" and row.valid for row in rows):
        found.append(_CLOSED)
    if any(row.is_at_least for row in rows):
        found.append(_AT_LEAST)
    found.append(_LOOPBACK)
    cpus = run.host.get("cpus")
    if isinstance(cpus, int) and cpus > 0:
        found.append(f"Servers had their share of {cpus} CPUs: how a variant scales over more was not measured.")
    if str(run.host.get("cgroup_version")) == "1" and any(row.kind == "hold" for row in rows):
        found.append(_CGROUP_V1)
    if len({row.users for row in rows if row.users}) > 1:
        found.append(_USERS)
    return found


def _few(rows: Sequence[Summary]) -> str:
    least = min((row.valid for row in rows if row.valid), default=0)
    return (
        f"Some figures rest on {least} trial{'s' if least != 1 else ''}: a small difference between two variants may "
        f"be luck. A verdict needs {LEAST_PAIRS} trials of each or more."
    )
