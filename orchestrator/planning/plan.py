"""Turn a Lab and a suite's name into a Plan: ordered, seeded trials in interleaved blocks. No side effects."""

from __future__ import annotations

import random
from dataclasses import replace

from orchestrator.errors import BadInput
from orchestrator.model import Lab, LeftOut, Plan, Scenario, Suite, TrialSpec, Users, Variant
from orchestrator.planning.ablation import conditions, profile_of
from orchestrator.planning.ask import Ask
from orchestrator.planning.bounds import find_bounds, predict
from orchestrator.planning.capacity import Limit, Processes, count_servers, count_workers, find_limit
from orchestrator.planning.costs import Calibration, costs_of
from orchestrator.planning.cpus import split_cpus
from orchestrator.planning.hostlimits import HostLimits
from orchestrator.units import shown

Pairing = tuple[str, str]  # scenario, variant


def make_plan(
    lab: Lab,
    suite_name: str,
    *,
    nofile_granted: int | None,
    kernel: tuple[int, int] | None = None,
    host: HostLimits | None = None,
    calibration: Calibration | None = None,
    attempt: bool = False,
) -> Plan:
    """Return the trials of a suite, in order, and the pairings it leaves out, in the suite's order.

    nofile_granted: descriptors the engine gives one process; None: not known, the profile's wish is believed.
    kernel: (major, minor) of the machine that will run it; None: not known, every variant is believed to run.
    host: what that machine allows; None: not known, and then the trials have no bounds and no predictions.
    calibration: what connections were seen to cost; None, or another machine's: the reference's constants count.
    attempt: what lacks descriptors is planned all the same, with one process where no number of them would do.

    Each block holds every servable pairing once, in an ablation once for each condition: the scenarios in a shuffled
    order, within each its variants, and within each variant its conditions, so that those to be compared run close
    together and drift falls on all alike. The same lab, suite and limits give the same plan. A suite of which nothing
    can be served gives a plan without trials.
    Raises BadInput for an unknown suite.
    """
    suite = lab.suites.get(suite_name)
    if suite is None:
        raise BadInput(f"{lab.path}: {shown(suite_name)} is not a suite; write one of: {', '.join(sorted(lab.suites))}")
    if nofile_granted is None and host is not None:
        nofile_granted = host.nofile_granted
    limit = find_limit(lab.profiles[suite.profile], nofile_granted, host.nr_open if host else None)
    counts: dict[Pairing, tuple[Processes, Processes]] = {}
    left_out: list[LeftOut] = []
    for scenario_name in suite.scenarios:
        for variant_name in suite.variants:
            scenario, variant = lab.scenarios[scenario_name], lab.variants[variant_name]
            fate = _judge(variant, scenario, limit, kernel, attempt)
            if isinstance(fate, str):
                left_out.append(LeftOut(variant_name, scenario_name, fate))
            else:
                counts[scenario_name, variant_name] = fate
    specs = _specs(lab, suite, counts)
    if host is not None:
        specs = tuple(_foreseen(lab, spec, nofile_granted, host, calibration) for spec in specs)
    return Plan(suite_name, suite.seed, specs, tuple(left_out))


def serves(variant: Variant, scenario: Scenario) -> str | None:
    """Return why a variant cannot serve a scenario; None when it can. Limits and kernels are not considered."""
    if variant.image:
        return _image_serves(variant, scenario)
    needs = ("hold", "release", "stats") if scenario.answer == "release" else (_route(scenario),)
    lacking = next((route for route in needs if route in variant.lacks), None)
    if lacking is not None:
        return f"declares that it lacks {lacking}, which {scenario.name} asks for"
    if scenario.kind != "hold":
        if variant.speaks != "http":
            return f"speaks the raw line protocol; {scenario.name} asks for HTTP {scenario.path}"
        if variant.fixed_delay:
            return f"knows one answer only, after a fixed delay; {scenario.name} asks for {scenario.path} at once"
        return None
    if scenario.answer == "release" and (variant.fixed_delay or variant.speaks != "http"):
        return f"knows one answer only, after a fixed delay; {scenario.name} is answered on release"
    if variant.speaks != "http" and not variant.fixed_delay:
        return f"speaks the raw line protocol and has no delay to set; {scenario.name} needs its answers delayed"
    return None


def _image_serves(variant: Variant, scenario: Scenario) -> str | None:
    """Return why an existing image cannot serve a scenario: only its mapped routes are asked for."""
    if scenario.answer == "release" or _route(scenario) not in variant.routes:
        mapped = " and ".join(sorted(variant.routes))
        return f"{scenario.name} asks for {scenario.path}; the routes of the image {variant.image} map {mapped} only"
    return None


def _route(scenario: Scenario) -> str:
    return scenario.path.partition("?")[0].strip("/")


def decide_users(variant: Variant, scenario: Scenario) -> Users:
    """Return who loads a pairing: the engine wherever it can, unless the scenario asks for Locust's users.

    The engine speaks HTTP only, so a raw target gets Locust's users whatever the scenario says.
    """
    return "locust" if variant.speaks != "http" or scenario.users == "locust" else "engine"


def ask_of(
    lab: Lab, spec: TrialSpec, nofile_granted: int | None, host: HostLimits, calibration: Calibration | None
) -> Ask:
    """Return what a trial's bounds are computed from. Raises BadInput when its profile names CPUs that are not here."""
    profile, variant = profile_of(lab, spec), lab.variants[spec.variant]
    cpus = split_cpus(host.cpus or frozenset({0}), profile.server_cpus, profile.load_cpus)
    makes_own = variant.processes == "own"
    return Ask(
        scenario=lab.scenarios[spec.scenario],
        variant=variant,
        profile=profile,
        users=spec.users,
        server_processes=max(spec.own_processes, len(cpus.server)) if makes_own else spec.server_processes,
        workers=spec.workers,
        limit=find_limit(profile, nofile_granted, host.nr_open),
        host=host,
        costs=costs_of(variant, spec.users, calibration, host.fingerprint),
        load_cpus=len(cpus.load - cpus.server) or max(1, len(cpus.load) // 2),
    )


def _foreseen(
    lab: Lab, spec: TrialSpec, nofile_granted: int | None, host: HostLimits, calibration: Calibration | None
) -> TrialSpec:
    ask = ask_of(lab, spec, nofile_granted, host, calibration)
    bounds = find_bounds(ask)
    return replace(spec, bounds=bounds, predicted=predict(ask, bounds))


def _judge(
    variant: Variant, scenario: Scenario, limit: Limit, kernel: tuple[int, int] | None, attempt: bool
) -> tuple[Processes, Processes] | str:
    """Return the servers and workers of a pairing, or why it is left out."""
    refusal = serves(variant, scenario)
    if refusal is not None:
        return refusal
    if kernel is not None and kernel < variant.kernel_least:
        return f"needs Linux {_dotted(variant.kernel_least)} or newer; this kernel is {_dotted(kernel)}"
    servers = count_servers(variant, scenario, limit)
    workers = count_workers(scenario, limit, decide_users(variant, scenario))
    if attempt:
        servers, workers = (Processes(1, each) if isinstance(each, str) else each for each in (servers, workers))
    if isinstance(servers, str):
        return servers
    return workers if isinstance(workers, str) else (servers, workers)


def _specs(lab: Lab, suite: Suite, counts: dict[Pairing, tuple[Processes, Processes]]) -> tuple[TrialSpec, ...]:
    order = random.Random(suite.seed)
    specs: list[TrialSpec] = []
    for block in range(suite.trials):
        for scenario, variant, reverted in _shuffled_block(suite, counts, order):
            servers, workers = counts[scenario, variant]
            specs.append(
                TrialSpec(
                    index=len(specs),
                    block=block,
                    variant=variant,
                    scenario=scenario,
                    kind=lab.scenarios[scenario].kind,
                    profile=suite.profile,
                    server_processes=servers.count,
                    workers=workers.count,
                    why_processes="; ".join(dict.fromkeys((servers.why, workers.why))),
                    users=decide_users(lab.variants[variant], lab.scenarios[scenario]),
                    reverted=reverted,
                    own_processes=servers.own,
                    language=lab.variants[variant].language,
                    technique=lab.variants[variant].technique,
                    # A closed loop and a clock's arrivals go on after their window; the other kinds end with it.
                    probe_s=suite.probe_s if lab.scenarios[scenario].kind in ("closed", "open") else 0.0,
                )
            )
    return tuple(specs)


def _shuffled_block(
    suite: Suite, counts: dict[Pairing, tuple[Processes, Processes]], order: random.Random
) -> list[tuple[str, str, str]]:
    scenarios = list(suite.scenarios)
    order.shuffle(scenarios)
    trials: list[tuple[str, str, str]] = []
    for scenario in scenarios:
        variants = [variant for variant in suite.variants if (scenario, variant) in counts]
        order.shuffle(variants)
        for variant in variants:
            without = conditions(suite)
            if len(without) > 1:  # no number is drawn for a single one: published orders stay what they were
                order.shuffle(without)
            trials.extend((scenario, variant, reverted) for reverted in without)
    return trials


def _dotted(kernel: tuple[int, int]) -> str:
    return f"{kernel[0]}.{kernel[1]}"
