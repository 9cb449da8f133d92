"""Carry a run from its plan to its end: each result is kept, in database and folder, before the next trial begins.

Knows no engine: what carries out a trial is given. The order of the writes is what lets a killed run be resumed: the
database has a run or a trial first, run.json says "finished" before the database does, and whatever a kill between two
writes leaves apart is brought together by results/reconcile.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.containers.labels import current_owner, is_alive, owner_from
from orchestrator.model import Run, Session, TrialResult, TrialSpec
from orchestrator.report.progress import Progress
from orchestrator.report.remaining import Step
from orchestrator.results.folder import write_run, write_trial
from orchestrator.results.mend import Say, open_results
from orchestrator.results.opening import refuse_without_room
from orchestrator.results.reconcile import reconcile, write_missing
from orchestrator.results.store import Store
from orchestrator.verdicts.validity import UNSUPPORTED

Execute = Callable[[TrialSpec], TrialResult]
Kept = Callable[[TrialResult], None]


def open_settled(results: Path, say: Say) -> Store:
    """Open the results sound (mend.py), with database and run folders saying the same; `say` hears what was mended.

    Runs that another live process is at work on are left alone. Raises StoreDamaged.
    """
    store = open_results(results, say)
    try:
        for line in reconcile(store, results, lambda owner: is_at_work(owner) and owner.get("pid") != os.getpid()):
            say(line)
    except BaseException:
        store.close()
        raise
    return store


def open_for_run(results: Path, say: Say) -> Store:
    """Open the results as `open_settled` does, for who is about to add to them: a disk without room is refused."""
    refuse_without_room(results)
    return open_settled(results, say)


def is_at_work(owner: Mapping[str, object]) -> bool:
    """Whether the process that a session names still runs on this machine."""
    found = owner_from(owner)
    return found is not None and is_alive(found)


def new_session(run_id: str, changes: tuple[str, ...] = ()) -> Session:
    """Return this process' session of a run. changes: what is no longer as when the run began."""
    return Session(now(), asdict(current_owner(run_id)), changes)


def begin(store: Store, results: Path, run: Run) -> None:
    """Record that a run starts, before its first trial. Raises StoreDamaged."""
    store.begin(run)
    write_run(results, run)


def take_up(store: Store, results: Path, run: Run) -> None:
    """Record that a process goes on with a run: its last session is a new one. Raises StoreDamaged."""
    store.add_session(run.run_id, run.sessions[-1])
    write_run(results, run)
    if run.aborted is not None:  # reconcile.py left its folder alone
        write_missing(results, run)


def go_on(
    store: Store,
    results: Path,
    run: Run,
    execute: Execute,
    progress: Progress,
    loaded_s: Callable[[TrialSpec], float],
    kept: Kept | None = None,
) -> Run:
    """Carry out the trials that are not kept yet, in the plan's order, and finish the run.

    Returns it as the store has it. loaded_s: seconds a trial spends under load, for the remaining time. kept: is told
    of each trial once it is safe.
    """
    done = {trial.spec.index: trial for trial in run.trials}
    before = [spec for spec in run.plan.trials if spec.index in done]
    left = [spec for spec in run.plan.trials if spec.index not in done]
    took_s = [done[spec.index].loaded_s + done[spec.index].overhead_s for spec in before]
    with progress.stage("trial", _steps([*before, *left], loaded_s), took_s) as stage:
        for spec in left:
            stage.begin()
            result = _with_changes(execute(spec), run)
            store.add_trial(run.run_id, result)
            write_trial(results, run.run_id, result)
            if kept is not None:
                kept(result)
            stage.end(_in_words(result.void))
    return finish(store, results, run)


def finish(store: Store, results: Path, run: Run) -> Run:
    """Mark a run whose trials are all kept as finished, and return it as the store has it. Raises StoreDamaged."""
    finished_at = now()
    write_run(results, replace(run, finished_at=finished_at))
    store.finish_run(run.run_id, finished_at)
    return store.read_run(run.run_id)


def now() -> str:
    """Return the time as runs are labelled with it: UTC, whole seconds, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _steps(specs: Sequence[TrialSpec], loaded_s: Callable[[TrialSpec], float]) -> list[Step]:
    return [Step(f"{spec.scenario} {spec.variant}", loaded_s(spec)) for spec in specs]


def _with_changes(result: TrialResult, run: Run) -> TrialResult:
    """Say in a trial itself that it stands on other ground than the run's first ones."""
    changes = run.sessions[-1].changes if run.sessions else ()
    if not changes:
        return result
    return replace(result, notes=(*result.notes, f"made after the run was resumed although {'; '.join(changes)}"))


def _in_words(void: str | None) -> str:
    """Return why a trial has no figures, as its line of progress ends; "" where it has."""
    if void is None:
        return ""
    return void if void.startswith(UNSUPPORTED) else f"void: {void}"
