"""Turn a well-shaped lab.yaml into the list of what contradicts itself: what one key means for another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from orchestrator.config.defaults import settle_revert
from orchestrator.config.faults import Where, advise
from orchestrator.config.grafana import find_grafana_contradictions
from orchestrator.config.kinds import Complaint, find_misfits
from orchestrator.config.schema import LabFile, ProfileSection, SuiteSection
from orchestrator.model import Variant
from orchestrator.units import format_cpu_list, parse_cpu_list, shown


def find_contradictions(lab: LabFile, variants: Collection[str], sound: Mapping[str, Variant]) -> list[Complaint]:
    """Return where and what, in the file's order of sections.

    variants: the names that suites and the arena may use. sound: those of them whose manifests are in order.
    """
    return [
        *(found for name, profile in lab.profiles.items() for found in _cpus(("profiles", name), profile)),
        *(found for name, scenario in lab.scenarios.items() for found in find_misfits(("scenarios", name), scenario)),
        *_references(lab, variants),
        *_thresholds(lab),
        *_nightly(lab, variants),
        *_arena_ports(lab, sound),
        *_ports(lab),
        *find_grafana_contradictions(lab),
    ]


def find_port_clash(variants: Sequence[Variant]) -> str | None:
    """Return which of the variants of one arena cannot listen beside the others, and what to write; None where all can.

    Each has a loopback address of its own there. An existing image that is not told its {host} listens on all of them.
    """
    for one in variants:
        if not one.image or any("{host}" in text for text in (*one.command, *one.environment.values())):
            continue
        other = next((v.name for v in variants if v is not one and v.port == one.port), None)
        if other is not None:
            return (
                f"{shown(one.name)} is not told {{host}}, so it listens on every address, and {other} has port "
                f"{one.port} too; write {{host}} into its command or environment, or give it another port"
            )
    return None


def _arena_ports(lab: LabFile, sound: Mapping[str, Variant]) -> Iterator[Complaint]:
    names = list(sound) if lab.arena.variants == ["all"] else lab.arena.variants
    clash = find_port_clash([sound[name] for name in names if name in sound])
    if clash is not None:
        yield ("arena", "variants"), clash


def _cpus(where: Where, profile: ProfileSection) -> Iterator[Complaint]:
    sides = (profile.server_cpus, profile.load_cpus)
    if "shared" in sides:
        if len(set(sides)) > 1:
            own = shown(next(side for side in sides if side != "shared"))
            text = f"expected 'shared' on both sides or on none, saw it beside {own}; write it for both"
            yield (*where, "load_cpus"), text
        return
    if "auto" in sides:
        return
    both = parse_cpu_list(profile.server_cpus) & parse_cpu_list(profile.load_cpus)
    if both:
        seen = f"saw {format_cpu_list(both)} in both; write disjoint lists, or 'shared' for both"
        yield (*where, "load_cpus"), f"expected CPUs that server_cpus leaves free, {seen}"


def _references(lab: LabFile, variants: Collection[str]) -> Iterator[Complaint]:
    for name, suite in lab.suites.items():
        where: Where = ("suites", name)
        yield from _names((*where, "scenarios"), suite.scenarios, lab.scenarios, "scenario")
        yield from _all_or_names((*where, "variants"), suite.variants, variants)
        yield from _without(where, suite, variants)
        yield from _names_profile((*where, "profile"), suite.profile, lab)
        yield from _reverts((*where, "reverts"), suite, lab)
    yield from _names_profile(("arena", "profile"), lab.arena.profile, lab)
    yield from _all_or_names(("arena", "variants"), lab.arena.variants, variants)


def _without(where: Where, suite: SuiteSection, variants: Collection[str]) -> Iterator[Complaint]:
    if suite.without is None:
        return
    yield from _names((*where, "without"), suite.without, variants, "variant")
    if suite.variants != ["all"]:
        yield (*where, "without"), "expected only beside 'variants: all'; remove it, and the names from the list"
    elif variants and not set(variants) - set(suite.without):
        yield (*where, "without"), "leaves no variant; write fewer"


def _thresholds(lab: LabFile) -> Iterator[Complaint]:
    for name in lab.thresholds.scenarios:
        if name not in lab.scenarios:
            yield ("thresholds", "scenarios", name), f"{shown(name)} is not a scenario; {advise(name, lab.scenarios)}"


def _nightly(lab: LabFile, variants: Collection[str]) -> Iterator[Complaint]:
    if lab.nightly is None:
        return
    notify, suite = lab.nightly.notify, lab.suites.get(lab.nightly.suite)
    if notify.webhook_env and notify.webhook_file:
        yield ("nightly", "notify", "webhook_file"), "webhook_env names the webhook already; remove one of the two"
    if suite is None:
        name = lab.nightly.suite
        yield ("nightly", "suite"), f"{shown(name)} is not a suite; {advise(name, lab.suites)}"
        return
    took_part = list(variants) if suite.variants == ["all"] else suite.variants
    runs = [name for name in took_part if name not in (suite.without or ())]
    if lab.nightly.control is not None and lab.nightly.control not in runs:
        yield ("nightly", "control"), _not_in(lab.nightly.control, lab.nightly.suite, runs)
    for index, name in enumerate(lab.nightly.stable):
        if name not in runs:
            yield ("nightly", "stable", index), _not_in(name, lab.nightly.suite, runs)


def _not_in(name: str, suite: str, runs: Sequence[str]) -> str:
    return f"{shown(name)} does not run in suite {suite}; {advise(name, runs)}"


def _reverts(where: Where, suite: SuiteSection, lab: LabFile) -> Iterator[Complaint]:
    profile = lab.profiles.get(suite.profile)
    if profile is None:
        return  # complained about already
    tuned = {**profile.sysctls, "nofile": str(profile.nofile)}
    seen: set[str] = set()
    for index, text in enumerate(suite.reverts):
        name, settled = text.partition("=")[0], settle_revert(text)
        if name not in tuned:
            yield (*where, index), f"profile {suite.profile} does not set {name}; {advise(name, tuned)}"
        elif settled is None:
            yield (*where, index), f"{name} has no default of its own; write a value to revert to, as in '{name}=1'"
        elif settled == f"{name}={tuned[name]}":
            yield (*where, index), f"{settled} is what profile {suite.profile} has; write another value, or remove it"
        elif settled in seen:
            yield (*where, index), f"{settled} is named twice; write it once"
        seen.add(settled or text)


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
