"""Go on with a run that was killed: the same plan in the same order, finished trials kept, the rest carried out.

The run is resumed on the ground it began on, or not at all: scenarios, profile and variants as declared, images and
machine must be the same, unless the person insists; then the run and its later trials say what was not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.carry import finish, is_at_work, new_session, now, open_for_run, open_settled
from orchestrator.containers.engine import Say
from orchestrator.containers.labels import current_owner
from orchestrator.down import clear_left
from orchestrator.errors import BadInput
from orchestrator.lock import only_one
from orchestrator.model import Lab, Run
from orchestrator.own import SUITE as OWN
from orchestrator.planning.control import with_second_names
from orchestrator.planning.sameness import changed_ground, changed_words, declared, missing
from orchestrator.report.progress import Progress
from orchestrator.results.mend import open_results
from orchestrator.results.nights import waiting
from orchestrator.results.store import RunEntry, Store
from orchestrator.run import Scripted, carry_on, lay_ground, results_folder, under_control
from orchestrator.up import state_folder
from orchestrator.verdicts.outcome import judge


def resume_run(lab: Lab, wanted: str | None, progress: Progress, say: Say, *, attempt: bool = False) -> Scripted:
    """Carry out what a killed run lacks, and finish it; closing a night is its caller's (closing.py).

    wanted: a run id or its beginning; None: the newest unfinished one that was neither given up nor imported, else a
    night that is finished and waits to be closed.
    attempt: although something changed since. Raises BadInput where nothing is to be resumed or something changed.
    """
    results = results_folder(lab.root)
    with only_one(state_folder(lab.root), "run --resume"):
        began_s = time.monotonic()
        with open_results(results, say) as store:
            waited = {entry.run_id for entry in store.list_runs() if entry.finished_at is None}
        with open_for_run(results, say) as store:
            ended = [entry for entry in store.list_runs() if entry.run_id in waited and entry.finished_at is not None]
            run = find_resumable(store, wanted, [*ended, *waiting(store, results)])
            if len(run.trials) == len(run.plan.trials):
                clear_left(lab.root, say)
            if run.finished_at is not None:
                return Scripted(judge(run), time.monotonic() - began_s)
            if len(run.trials) == len(run.plan.trials):
                say(f"run {run.run_id}: all {len(run.trials)} trials are kept; it is finished now")
                return Scripted(judge(finish(store, results, run)), time.monotonic() - began_s)
        lab = with_second_names(lab, (spec.variant for spec in run.plan.trials))
        _refuse_missing(lab, run)
        changes = changed_words(run.declared, declared(lab, run.plan))
        if not attempt:  # before minutes of building
            _refuse_changed(run, changes)
        owner = current_owner(run.run_id)
        variants = tuple(dict.fromkeys(spec.variant for spec in run.plan.trials))
        ground = lay_ground(lab, run.plan.trials[0].profile, variants, owner, progress, say)
        changes += changed_ground(run.host, ground.facts)
        if not attempt:
            _refuse_changed(run, changes)
        for change in changes:
            say(f"not as when the run began: {change}")
        with under_control(lab, ground, variants, owner, say) as (there, control):
            say(
                f"run {run.run_id} goes on: {len(run.trials)} of {len(run.plan.trials)} trials are kept; "
                f"live: {control.master_url} and {control.prometheus_url}"
            )
            setup_s = time.monotonic() - began_s
            resumed = replace(run, sessions=(*run.sessions, new_session(run.run_id, changes)))
            return Scripted(carry_on(there, ground, control, resumed, progress), setup_s)


def abort_run(root: Path, wanted: str | None, reason: str, say: Say) -> str:
    """Mark an unfinished run as given up and return its id; --resume passes over it unless it is named.

    root: the lab file's folder. wanted, and what is raised: as in resume_run.
    """
    with only_one(state_folder(root), "abort"), open_settled(results_folder(root), say) as store:
        run = find_resumable(store, wanted)
        store.abort_run(run.run_id, now(), reason)
    return run.run_id


def find_resumable(store: Store, wanted: str | None, ended: Sequence[RunEntry] = ()) -> Run:
    """Return the run to go on with; nobody is at work on the lab's runs meanwhile. Raises BadInput.

    ended: runs that are whole and of which something is still to be done; one of them will do, if none waits.
    """
    if wanted is None:
        entry = next(iter([*unfinished(store), *ended]), None)
        if entry is None:
            raise BadInput(f"{store.path}: no run is unfinished; expected one that was killed. Try: lab show --list")
        wanted = entry.run_id
    run = store.read_run(wanted)
    if run.finished_at is not None and run.run_id not in {entry.run_id for entry in ended}:
        raise BadInput(f"run {run.run_id}: finished at {run.finished_at}; there is nothing to resume. Try: lab run")
    return run


def unfinished(store: Store) -> tuple[RunEntry, ...]:
    """Return the runs that wait to be resumed, the newest first; those given up or from elsewhere do not wait."""
    return tuple(
        entry
        for entry in store.list_runs()
        if entry.finished_at is None and entry.aborted is None and entry.imported_at is None
    )


def state_in_words(entry: RunEntry, command: str = "lab") -> str:
    """Return when a run finished, or how far it is and what goes on with it. command: how this lab is called."""
    if entry.finished_at is not None:
        return entry.finished_at if entry.imported_at is None else f"{entry.finished_at}, imported {entry.imported_at}"
    kept = f"{entry.finished} of {entry.planned} trials kept"
    if entry.owner is not None and is_at_work(entry.owner):
        return f"running: {kept}"
    how = "unfinished" if entry.aborted is None else f"aborted ({entry.aborted})"
    where = "" if entry.imported_at is None else f", imported {entry.imported_at}"
    return f"{how}: {kept}{where}; go on with: {command} run --resume {entry.run_id}"


def _refuse_missing(lab: Lab, run: Run) -> None:
    gone = missing(lab, run.plan)
    if not gone:
        return
    if run.suite == OWN:
        raise BadInput(
            f"run {run.run_id}: its load was a person's locustfile, which is not kept with the run. "
            f"Run it again: lab run --locustfile FILE"
        )
    raise BadInput(
        f"run {run.run_id}: needs {', '.join(gone)}, which {lab.path} does not declare. Put it back, or run anew: "
        f"lab run {run.suite}"
    )


def _refuse_changed(run: Run, changes: tuple[str, ...]) -> None:
    if changes:
        raise BadInput(
            f"run {run.run_id}: not as when it began, so its later trials would be another experiment's: "
            f"{'; '.join(changes)}. Put it back, run anew (lab run {run.suite}), or go on all the same: "
            f"lab run --resume {run.run_id} --attempt"
        )
