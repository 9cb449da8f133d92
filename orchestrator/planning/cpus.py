"""Turn the CPUs a machine has into one set for the server and one for everything that loads and observes it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import BadInput
from orchestrator.units import format_cpu_list, parse_cpu_list

__all__ = ["CpuSets", "format_cpu_list", "parse_cpu_list", "split_cpus"]


@dataclass(frozen=True, slots=True)
class CpuSets:
    """Who runs where; disjoint unless `note` says that they are shared."""

    server: frozenset[int]
    load: frozenset[int]
    note: str  # what a reader of the numbers must know; "" when there is nothing


def split_cpus(available: frozenset[int], server: str, load: str) -> CpuSets:
    """Return the two sets for a profile's `server_cpus` and `load_cpus`.

    available: the CPUs that containers may run on, at least one.
    server, load: "auto", "shared" or a Linux CPU list. With both "auto" the server gets the higher-numbered half,
    rounded down, at least one: CPU 0 takes most interrupts. With one explicit, the other gets all the rest. With both
    "shared" either side may run on every CPU, so the scheduler can lead each around whatever else runs; the note says
    so, and also where the only CPU there is has to be shared.
    Raises BadInput when a CPU is not available, is asked for on both sides, or none is left for one side.
    """
    if server == load == "shared":
        return CpuSets(available, available, f"server and load share CPU {format_cpu_list(available)}")
    if "shared" in (server, load):
        raise BadInput(
            f"load_cpus: expected 'shared' on both sides or on none, saw {server!r} and {load!r}; write it for both"
        )
    if server == "auto" and load == "auto":
        return _halves(available)
    if server != "auto" and load != "auto":
        server_set, load_set = _explicit("server_cpus", server, available), _explicit("load_cpus", load, available)
        if both := server_set & load_set:
            raise BadInput(
                f"load_cpus: expected CPUs that server_cpus leaves free, saw {format_cpu_list(both)} in both; "
                "write disjoint lists, or 'shared' for both"
            )
        return CpuSets(server_set, load_set, "")
    if server != "auto":
        server_set = _explicit("server_cpus", server, available)
        return CpuSets(server_set, _rest("server_cpus", server_set, available), "")
    load_set = _explicit("load_cpus", load, available)
    return CpuSets(_rest("load_cpus", load_set, available), load_set, "")


def _halves(available: frozenset[int]) -> CpuSets:
    if len(available) < 2:
        return CpuSets(available, available, f"server and load share CPU {format_cpu_list(available)}, the only one")
    ordered = sorted(available)
    half = len(ordered) // 2
    return CpuSets(frozenset(ordered[-half:]), frozenset(ordered[:-half]), "")


def _explicit(key: str, text: str, available: frozenset[int]) -> frozenset[int]:
    try:
        wanted = parse_cpu_list(text)
    except ValueError as error:
        raise BadInput(f"{key}: {error}") from error
    if absent := wanted - available:
        raise BadInput(
            f"{key}: CPU {format_cpu_list(absent)} is not available here, {format_cpu_list(available)} is; "
            "write 'auto' or a list of these"
        )
    return wanted


def _rest(key: str, taken: frozenset[int], available: frozenset[int]) -> frozenset[int]:
    rest = available - taken
    if not rest:
        raise BadInput(
            f"{key}: {format_cpu_list(taken)} is every CPU there is; leave one for the other side, "
            "or write 'shared' for both"
        )
    return rest
