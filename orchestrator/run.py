"""Carry out a plan: every trial in a fresh pod, each result kept before the next begins.

A run killed at any moment loses at most the trial it was in, and resume.py carries it on. One run at a time (lock.py).
The order in which results are kept is carry.py's, and how the run judges itself verdicts/outcome.py's.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.arena import return_worker, standstill
from orchestrator.carry import begin, go_on, new_session, now, open_for_run, take_up
from orchestrator.charted import Keeper
from orchestrator.containers.clear import clear_abandoned, clear_owned
from orchestrator.containers.control import ControlPlane, control_state
from orchestrator.containers.engine import Say
from orchestrator.containers.labels import STANDING, Owner, current_owner, lab_id
from orchestrator.containers.nonce import new_nonce
from orchestrator.errors import BadInput, Refused
from orchestrator.foresee import plan_here
from orchestrator.grafana import open_marks
from orchestrator.guests import with_guests
from orchestrator.hosts.facts import kernel_version
from orchestrator.load.master import Master
from orchestrator.lock import only_one
from orchestrator.model import Lab, Plan, Run, TrialResult
from orchestrator.observe.exporter_client import Exporter
from orchestrator.observe.marks import Marks
from orchestrator.past import show_past
from orchestrator.planning.refusal import leave_out, refuse_empty, refuse_impossible
from orchestrator.planning.sameness import declared as declared_of
from orchestrator.pod import Bench
from orchestrator.report.progress import Progress
from orchestrator.report.text import loaded_s
from orchestrator.results.folder import new_run_id
from orchestrator.results.mend import open_results
from orchestrator.results.store import Store
from orchestrator.trial import execute
from orchestrator.up import Ground, bring_up_control, make_site, prepare, state_folder
from orchestrator.verdicts.outcome import Outcome, judge
from orchestrator.verifying.kept import FAILED, barred, unverified


@dataclass(frozen=True, slots=True)
class Scripted:
    """What `lab run` did."""

    outcome: Outcome
    setup_s: float  # from the command to the first trial: engine, images, limits, control plane


def run_suite(
    lab: Lab,
    suite: str,
    progress: Progress,
    say: Say,
    *,
    trials: int | None = None,
    seed: int | None = None,
    attempt: bool = False,
    locustfile: Path | None = None,
    declared: Lab | None = None,
) -> Scripted:
    """Set up whatever is missing, run a suite, and leave the lab as it was found: standing, or not there.

    trials, seed: instead of the suite's own. attempt: run although the plan says that something cannot work, or a
    variant failed verification.
    locustfile: a person's own, whose users load instead of the lab's (own.py); declared: the lab without the scenario
    that was made for it.
    """
    lab = _overridden(lab, suite, trials, seed)
    if not attempt:  # by what is known already: a lab that cannot work need not be built first
        early = plan_here(lab, suite)
        refuse_empty(early)
        refuse_impossible(early)
    with only_one(state_folder(lab.root), f"run {suite}"):
        began_s = time.monotonic()
        open_for_run(results_folder(lab.root), say).close()  # what cannot be kept need not be measured
        run_id = new_id(suite)
        owner = current_owner(run_id)
        variants = lab.suites[suite].variants
        ground = lay_ground(lab, lab.suites[suite].profile, variants, owner, progress, say)
        with under_control(lab, ground, variants, owner, say, declared) as (lab, control):
            plan = plan_suite(lab, suite, ground, attempt=attempt)
            if not attempt:
                planned = {spec.variant for spec in plan.trials}
                plan = leave_out(plan, barred(lab, planned, ground.images))
            if names := unverified(lab, dict.fromkeys(spec.variant for spec in plan.trials), ground.images):
                say(f"never verified: {', '.join(names)}; try lab verify --all")
            for left in plan.left_out:
                say(f"left out: {left.variant} on {left.scenario}: {left.reason}")
            if not attempt:
                refuse_impossible(plan)
            if not plan.trials and any(left.reason.startswith(FAILED) for left in plan.left_out):
                raise Refused(f"{plan.left_out[-1].variant}: {plan.left_out[-1].reason}, or lab run --attempt")
            refuse_empty(plan)
            say(f"run {run_id}: {len(plan.trials)} trials; live: {control.master_url} and {control.prometheus_url}")
            setup_s = time.monotonic() - began_s
            return Scripted(carry_out(lab, ground, control, plan, run_id, progress, locustfile), setup_s)


def lay_ground(lab: Lab, profile: str, variants: Iterable[str], owner: Owner, progress: Progress, say: Say) -> Ground:
    """Return what a run stands on, with everything gone that an earlier command left when it was killed."""
    ground = prepare(lab, profile, owner, progress, say, variants)
    cleared = clear_abandoned(ground.client, ground.lab_id)
    if cleared.containers:
        say(f"an earlier command was killed: {cleared.sentence()}")
    return ground


@contextlib.contextmanager
def under_control(
    lab: Lab, ground: Ground, variants: Iterable[str], owner: Owner, say: Say, declared: Lab | None = None
) -> Iterator[tuple[Lab, ControlPlane]]:
    """Bring up the control plane for a run of these variants, and leave the lab as it was found.

    Yields the lab with the guests of its standing arena, and the control plane. declared: as in run_suite.
    """
    was_standing = bool(control_state(ground.client, ground.lab_id))
    if was_standing:
        state = state_folder(lab.root)
        lab, declared = with_guests(lab, state), declared and with_guests(declared, state)
    told = with_variants(lab, variants)
    try:
        yield lab, bring_up_control(told, ground, current_owner(STANDING) if was_standing else owner, say)
    finally:
        if was_standing and (declared is not None or told is not lab):
            # The master was told of what the standing lab does not have; it gets its own words back.
            restored, standing = declared or lab, current_owner(STANDING)
            control = bring_up_control(restored, ground, standing, say)
            return_worker(restored, make_site(ground, standing, keep=True), control)
        clear_owned(ground.client, lab_id(lab.root), owner)


def with_variants(lab: Lab, variants: Iterable[str]) -> Lab:
    """Return the lab with an arena that knows these variants too: the master starts no swarm on a name it was not told.

    The arena's own keep their addresses; nothing is started for the others.
    """
    strangers = [name for name in variants if name not in lab.arena.variants]
    if not strangers:
        return lab
    return replace(lab, arena=replace(lab.arena, variants=(*lab.arena.variants, *strangers)))


def results_folder(root: Path) -> Path:
    """Return where results are kept. root: the lab file's folder."""
    return root / "results"


def new_id(suite: str) -> str:
    """Return a fresh run id."""
    return new_run_id(suite, datetime.now(UTC), secrets.token_hex(3))


def plan_suite(lab: Lab, suite: str, ground: Ground, *, attempt: bool = False) -> Plan:
    """Return the suite's plan under the limits that were read back. attempt: as in run_suite."""
    kernel = kernel_version(str(ground.facts.get("kernel")))
    return plan_here(lab, suite, nofile_granted=ground.nofile, kernel=kernel, attempt=attempt)


def make_bench(
    lab: Lab,
    ground: Ground,
    control: ControlPlane,
    run_id: str,
    *,
    master: Master | None = None,
    nonce: str | None = None,
    locustfile: Path | None = None,
    marks: Marks | None = None,
) -> Bench:
    """Return what every trial of a run needs at hand.

    master: None: the control plane's own. nonce: None: a fresh one. locustfile: a person's own. marks: None: no marks.
    """
    return Bench(
        lab=lab,
        site=make_site(ground, current_owner(run_id), keep=False),
        control=control,
        master=master or Master(control.master_url),
        exporter=Exporter(control.exporter_url),
        run_id=run_id,
        nonce=nonce or new_nonce(),
        locustfile=locustfile,
        marks=marks or Marks(None),
    )


def carry_out(
    lab: Lab,
    ground: Ground,
    control: ControlPlane,
    plan: Plan,
    run_id: str,
    progress: Progress,
    locustfile: Path | None = None,
) -> Outcome:
    """Run every trial of a plan in its order and return the run as the store has it."""
    run = Run(
        run_id, plan.suite, now(), None, ground.facts, plan, (),
        declared=declared_of(lab, plan), sessions=(new_session(run_id),),
    )  # fmt: skip
    return _carry(lab, ground, control, run, begin, progress, locustfile)


def carry_on(lab: Lab, ground: Ground, control: ControlPlane, run: Run, progress: Progress) -> Outcome:
    """Run the trials that a killed run lacks and return it as the store has it. run: with this process' session."""
    return _carry(lab, ground, control, run, take_up, progress, None)


def _carry(
    lab: Lab,
    ground: Ground,
    control: ControlPlane,
    run: Run,
    record: Callable[[Store, Path, Run], None],
    progress: Progress,
    locustfile: Path | None,
) -> Outcome:
    results = results_folder(lab.root)
    marks = open_marks(lab, control.grafana_url, state_folder(lab.root))
    bench = make_bench(lab, ground, control, run.run_id, locustfile=locustfile, marks=marks)
    arena = make_site(ground, current_owner(STANDING), keep=True)

    keeper = Keeper(results, run.run_id, control.prometheus_url, lab.observability.interval_s)

    def keep_series(result: TrialResult) -> None:
        if untold := keeper.take(result):
            progress.say(untold)

    with open_results(results, progress.say) as store, standstill(lab, arena, control):
        record(store, results, run)
        with marks.during(f"run {run.run_id} of suite {run.suite}", ["run", run.run_id]):
            done = go_on(
                store, results, run, lambda spec: execute(bench, spec), progress,
                lambda spec: loaded_s(lab.scenarios[spec.scenario]) + spec.probe_s, keep_series,
            )  # fmt: skip
        if untold := keeper.finish():
            progress.say(untold)
    for trouble in filter(None, (marks.close(), show_past(results, state_folder(lab.root), bench.exporter))):
        progress.say(trouble)
    return judge(done)


def _overridden(lab: Lab, name: str, trials: int | None, seed: int | None) -> Lab:
    suite = lab.suites.get(name)
    if suite is None:
        raise BadInput(f"{lab.path}: no suite '{name}'; known: {', '.join(lab.suites)}")
    wanted = replace(
        suite,
        trials=suite.trials if trials is None else trials,
        seed=suite.seed if seed is None else seed,
    )
    return replace(lab, suites={**lab.suites, name: wanted})
