"""Measure what a connection costs on this machine, for lab plan: the story's own trials with scenarios of their own.

Each variant holds 1,000 and then 4,000 connections and serves small answers, in fresh pods; the difference is what one
costs. Nothing of it enters the store: these are no results, they make plans better (.lab/calibration.json).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.arena import standstill
from orchestrator.containers.engine import Say
from orchestrator.containers.labels import STANDING, current_owner
from orchestrator.containers.nonce import tells_nonce
from orchestrator.errors import BadInput, Undecided
from orchestrator.hosts.calibration import keep_calibration
from orchestrator.hosts.limits import read_limits
from orchestrator.lock import only_one
from orchestrator.model import Lab, Scenario, Suite, TrialResult, TrialSpec, Users
from orchestrator.offer import Load
from orchestrator.planning.calibrating import Asked, Held, ServerFigures, generator_cost, server_figures
from orchestrator.planning.costs import Calibration, EndCost, GeneratorCost
from orchestrator.pod import Bench
from orchestrator.report.progress import Progress
from orchestrator.report.remaining import Step
from orchestrator.report.text import loaded_s
from orchestrator.run import lay_ground, make_bench, new_id, plan_suite, under_control
from orchestrator.trial import busiest, execute
from orchestrator.units import shown
from orchestrator.up import make_site, state_folder

SUITE = "calibrate"
LOW, HIGH, PLAIN = "calibrate-1k", "calibrate-4k", "calibrate-plain"
POINTS = {LOW: 1000, HIGH: 4000}  # far enough apart for pages of 4 KiB not to matter, few enough for any machine
DELAY_S = 4.0  # opening 4,000 takes a fifth of a second with the engine, two with Locust's users
PREFERRED = "c-epoll"  # whom both kinds of users load: the cheapest server hides them the least


@dataclass(slots=True)
class Calibrated:
    """What came of it."""

    path: Path | None = None
    servers: dict[str, ServerFigures] = field(default_factory=dict)
    generators: dict[str, GeneratorCost] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # variant or kind of users -> why it has no figures


@dataclass(slots=True)
class _Seen:
    """What the trials of one variant and one kind of users showed."""

    held: dict[str, Held] = field(default_factory=dict)
    asked: Asked | None = None
    trouble: str = ""


def calibrate(lab: Lab, names: Sequence[str], progress: Progress, say: Say) -> Calibrated:
    """Calibrate these variants (none: the arena's that speak the contract) and both kinds of users; keep and return it.

    The lab is left as it was found: standing, or not there. Raises BadInput for a name that is no variant or knows one
    answer only, Undecided when not one variant could be calibrated.
    """
    variants = chosen(lab, names)
    made = with_scenarios(lab, variants)
    with only_one(state_folder(lab.root), "tune --calibrate"):
        run_id = new_id(SUITE)
        owner = current_owner(run_id)
        ground = lay_ground(made, made.suites[SUITE].profile, variants, owner, progress, say)
        # The master is told of scenarios that the standing lab does not have, and has its own words back afterwards.
        with under_control(made, ground, variants, owner, say, declared=lab) as (made, control):
            bench = make_bench(made, ground, control, run_id)
            both = PREFERRED if PREFERRED in variants else variants[0]
            specs = [
                spec
                for spec in plan_suite(made, SUITE, ground).trials
                if spec.users == "engine" or spec.variant == both
            ]
            with standstill(made, make_site(ground, current_owner(STANDING), keep=True), control):
                seen = _carry_out(bench, specs, progress)
        return _keep(lab, seen)


def chosen(lab: Lab, names: Sequence[str]) -> list[str]:
    """Return the variants to calibrate, in the lab's order. Raises BadInput."""
    able = [name for name, variant in lab.variants.items() if tells_nonce(variant)]
    for name in names:
        if name not in able:
            what = "knows one answer only and cannot be" if name in lab.variants else "is not a variant to be"
            raise BadInput(f"{lab.path}: {shown(name)} {what} calibrated; write one of: {', '.join(able) or 'none'}")
    found = [name for name in able if name in (names or lab.arena.variants)]
    if not found:
        raise BadInput(
            f"{lab.path}: no variant of the arena answers /delay and /plain, so none can be calibrated; "
            "name another with --variant"
        )
    return found


def with_scenarios(lab: Lab, variants: Sequence[str]) -> Lab:
    """Return the lab with the suite that calibrates: each scenario once for each kind of users."""
    scenarios = {}
    for users in ("engine", "locust"):
        for name, connections in POINTS.items():
            scenarios[f"{name}-{users}"] = Scenario(
                name=f"{name}-{users}", summary=f"{connections} open, {users} users", kind="hold", path="/delay",
                connections=connections, delay_s=DELAY_S, warmup_s=0.0, measure_s=0.0, timeout_s=10.0,
                users="engine" if users == "engine" else "locust",
            )  # fmt: skip
        scenarios[f"{PLAIN}-{users}"] = Scenario(
            name=f"{PLAIN}-{users}", summary=f"small answers, {users} users", kind="closed", path="/plain",
            connections=50, delay_s=0.0, warmup_s=1.0, measure_s=3.0, timeout_s=10.0,
            users="engine" if users == "engine" else "locust",
        )  # fmt: skip
    suite = Suite(SUITE, "what a connection costs", tuple(scenarios), tuple(variants), 1, lab.arena.profile, 1)
    return replace(lab, scenarios={**lab.scenarios, **scenarios}, suites={**lab.suites, SUITE: suite})


def _carry_out(bench: Bench, specs: Sequence[TrialSpec], progress: Progress) -> dict[tuple[str, Users], _Seen]:
    seen: dict[tuple[str, Users], _Seen] = {}
    steps = [Step(f"{s.scenario} {s.variant}", loaded_s(bench.lab.scenarios[s.scenario])) for s in specs]
    with progress.stage("calibrating", steps) as stage:
        for spec in specs:
            stage.begin()
            here = seen.setdefault((spec.variant, spec.users), _Seen())
            loads: list[Load] = []
            result = execute(bench, spec, loads.append)
            trouble = result.void or _take(here, spec, result, loads[-1])
            here.trouble = here.trouble or trouble
            stage.end(f"not used: {trouble}" if trouble else "")
    return seen


def _take(seen: _Seen, spec: TrialSpec, result: TrialResult, load: Load) -> str:
    """Take a valid trial's figures in; return what is missing of them, or ""."""
    values = load.held.values if load.held is not None else load.last.values
    for reading in (values, load.idle.values):
        for name in ("rss_bytes", "cgroup_memory_bytes", "cpu_s"):
            if name not in reading:
                return f"the exporter could not read {name}"
    metrics = result.metrics
    if spec.kind == "hold":
        if load.held is None or load.generator_memory_bytes is None:
            return "the memory of server and workers was not read with the connections open"
        if load.established != metrics.connections_requested:
            return f"{load.established} of {metrics.connections_requested} connections were open at the reading"
        seen.held[spec.scenario.removesuffix(f"-{spec.users}")] = Held(
            connections=load.established or 0,
            server_rss_bytes=values["rss_bytes"],
            server_cgroup_bytes=values["cgroup_memory_bytes"],
            server_cpu_s=values["cpu_s"] - load.idle.values["cpu_s"],
            workers=spec.workers,
            generator_rss_bytes=float(load.generator_memory_bytes),
            established_s=load.established_s or None,
        )
        return ""
    ratio = busiest(load.window)
    if metrics.throughput_per_s is None or metrics.cpu_s_per_10k_requests is None or ratio is None:
        return "throughput, or the CPU it took, was not measured"
    seen.asked = Asked(metrics.throughput_per_s, metrics.cpu_s_per_10k_requests / 10_000, ratio)
    return ""


def _keep(lab: Lab, seen: dict[tuple[str, Users], _Seen]) -> Calibrated:
    """Turn what was seen into costs and keep them. Raises Undecided where there is nothing to keep."""
    done = Calibrated()
    for (variant, users), found in seen.items():
        if users != "engine":
            continue
        try:
            if found.trouble:
                raise ValueError(found.trouble)
            done.servers[variant] = server_figures(found.held[LOW], found.held[HIGH], found.asked)
        except ValueError as error:
            done.failed[variant] = str(error)
    if not done.servers:
        reasons = "; ".join(f"{name}: {why}" for name, why in done.failed.items())
        raise Undecided(
            f"nothing could be calibrated, and what was known stays: {reasons}. Try again on a quiet machine"
        )
    loops: dict[str, EndCost] = {
        name: figures.cost for name, figures in done.servers.items() if lab.variants[name].threads != "per-connection"
    }
    kinds: tuple[Users, ...] = ("engine", "locust")
    for users in kinds:
        found_all = [found for (_, kind), found in seen.items() if kind == users and not found.trouble]
        pairs = [(found.held[LOW], found.held[HIGH]) for found in found_all]
        try:
            if not pairs:
                raise ValueError("no trial of theirs was valid")
            asked = [found.asked for found in found_all if found.asked is not None]
            done.generators[users] = generator_cost(users, pairs, asked, loops)
        except ValueError as error:
            done.failed[f"{users} users"] = str(error)
    state = state_folder(lab.root)
    costs = {name: figures.cost for name, figures in done.servers.items()}
    done.path = keep_calibration(state, Calibration(read_limits(state).fingerprint, costs, done.generators))
    return done
