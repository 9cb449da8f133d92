"""Turn a well-shaped lab.yaml into the list of what contradicts itself: what one key means for another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from orchestrator.config.faults import Where, advise
from orchestrator.config.schema import LabFile, ProfileSection, ScenarioSection
from orchestrator.units import format_cpu_list, parse_cpu_list, shown

Complaint = tuple[Where, str]


def find_contradictions(lab: LabFile, variants: Collection[str]) -> list[Complaint]:
    """Return where and what, in the file's order of sections.

    variants: the names that suites and the arena may use.
    """
    return [
        *(found for name, profile in lab.profiles.items() for found in _cpus(("profiles", name), profile)),
        *(found for name, scenario in lab.scenarios.items() for found in _kind(("scenarios", name), scenario)),
        *_references(lab, variants),
        *_ports(lab),
    ]


def _cpus(where: Where, profile: ProfileSection) -> Iterator[Complaint]:
    if "auto" in (profile.server_cpus, profile.load_cpus):
        return
    both = parse_cpu_list(profile.server_cpus) & parse_cpu_list(profile.load_cpus)
    if both:
        text = f"expected CPUs that server_cpus leaves free, saw {format_cpu_list(both)} in both; write disjoint lists"
        yield (*where, "load_cpus"), text


def _kind(where: Where, scenario: ScenarioSection) -> Iterator[Complaint]:
    yield from _closed(where, scenario) if scenario.kind == "closed" else _hold(where, scenario)


def _closed(where: Where, scenario: ScenarioSection) -> Iterator[Complaint]:
    if scenario.connections is None and scenario.users is None:
        yield (*where, "connections"), "missing; a closed scenario needs it: write 'connections: 50'"
    if scenario.connections is not None and scenario.users is not None:
        text = "in a closed scenario each user has one connection; write either 'users' or 'connections'"
        yield (*where, "users"), text
    if scenario.measure is None:
        yield (*where, "measure"), "missing; a closed scenario needs it: write 'measure: 6s'"
    if scenario.delay is not None:
        yield (*where, "delay"), "expected only in a hold scenario; remove it, or write 'kind: hold'"


def _hold(where: Where, scenario: ScenarioSection) -> Iterator[Complaint]:
    if scenario.connections is None:
        yield (*where, "connections"), "missing; a hold scenario needs it: write 'connections: 2000'"
    if scenario.delay is None:
        yield (*where, "delay"), "missing; a hold scenario needs it: write 'delay: 5s'"
    if scenario.users is not None:
        yield (*where, "users"), "a hold scenario counts connections; write 'connections' instead"
    if scenario.path not in (None, "/delay"):
        yield (*where, "path"), f"expected '/delay' in a hold scenario, saw {shown(scenario.path)}; remove it"
    if scenario.warmup is not None:
        yield (*where, "warmup"), "a hold scenario has no warm-up: every connection counts; remove it"
    if scenario.measure is not None:
        yield (*where, "measure"), "a hold scenario's window ends with its last answer; remove it, and write 'delay'"


def _references(lab: LabFile, variants: Collection[str]) -> Iterator[Complaint]:
    for name, suite in lab.suites.items():
        where: Where = ("suites", name)
        yield from _names((*where, "scenarios"), suite.scenarios, lab.scenarios, "scenario")
        yield from _all_or_names((*where, "variants"), suite.variants, variants)
        yield from _names_profile((*where, "profile"), suite.profile, lab)
    yield from _names_profile(("arena", "profile"), lab.arena.profile, lab)
    yield from _all_or_names(("arena", "variants"), lab.arena.variants, variants)


def _names_profile(where: Where, profile: str, lab: LabFile) -> Iterator[Complaint]:
    if profile not in lab.profiles:
        yield where, f"{shown(profile)} is not a profile; {advise(profile, lab.profiles)}"


def _all_or_names(where: Where, seen: Sequence[str], variants: Collection[str]) -> Iterator[Complaint]:
    if list(seen) != ["all"]:
        yield from _names(where, seen, variants, "variant")
    elif not variants:
        yield where, "expected at least one variant, found no servers/*/variant.toml beside the lab file; write one"


def _names(where: Where, seen: Sequence[str], known: Collection[str], what: str) -> Iterator[Complaint]:
    for index, name in enumerate(seen):
        if name not in known:
            yield (*where, index), f"{shown(name)} is not a {what}; {advise(name, known)}"
        elif name in seen[:index]:
            yield (*where, index), f"{shown(name)} is named twice; write it once"


def _ports(lab: LabFile) -> Iterator[Complaint]:
    taken: dict[int, str] = {}
    for key in ("web_port", "prometheus_port", "exporter_port"):
        port: int = getattr(lab.observability, key)
        if port in taken:
            text = f"{port} is also {taken[port]}; write a port of its own, such as {_free(port, taken)}"
            yield ("observability", key), text
        taken.setdefault(port, key)


def _free(port: int, taken: Collection[int]) -> int:
    near = (port + 1, port + 2, port - 1, port - 2)
    return next(free for free in near if 1024 <= free <= 65535 and free not in taken)
