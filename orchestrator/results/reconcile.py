"""Bring the database and the run folders to say the same, after commands that were killed between the two.

The database is the store of record. A run or a trial that only a folder has is taken over, once; what an unfinished
run's folder lacks is written again. That of a finished run, or of one that was given up, is not: who prunes folders
keeps the trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import BadInput
from orchestrator.model import Run
from orchestrator.results.codec import Undecodable, load_run
from orchestrator.results.folder import (
    RUN_FILE,
    read_run_folder,
    read_text,
    read_trial,
    run_folder,
    run_folders,
    trial_file,
    write_run,
    write_trial,
)
from orchestrator.results.store import RunEntry, Store

IsAlive = Callable[[Mapping[str, object]], bool]


def reconcile(store: Store, results: Path, is_alive: IsAlive) -> tuple[str, ...]:
    """Mend what differs, and return one line for each run where something did.

    is_alive: whether the process of an owner record runs; its run is at work and left alone. Raises StoreDamaged.
    """
    lines: list[str] = []
    known = {entry.run_id for entry in store.list_runs()}
    for folder in run_folders(results):
        if folder.name not in known:
            lines += _take_over(store, folder)
    for entry in reversed(store.list_runs()):
        is_whole = entry.finished == entry.planned and entry.finished_at is not None
        if not is_whole and not (entry.owner is not None and is_alive(entry.owner)):
            lines += _mend(store, results, entry)
    return tuple(lines)


def _take_over(store: Store, folder: Path) -> list[str]:
    try:
        kept = read_run_folder(folder)
    except (Undecodable, OSError) as error:
        return [f"{folder}: passed over, for its {RUN_FILE} cannot be read: {error}"]
    store.adopt(kept.run)
    lost = f"; passed over: {'; '.join(kept.unreadable)}" if kept.unreadable else ""
    run = kept.run
    return [f"run {run.run_id}: its folder was not in the database; {len(run.trials)} trials taken over{lost}"]


def _mend(store: Store, results: Path, entry: RunEntry) -> list[str]:
    run = store.read_run(entry.run_id)
    in_folder = _read_folder_of(run, results)
    said: list[str] = []
    if in_folder is not None:
        try:
            taken = store.adopt(in_folder)
        except BadInput as error:
            return [str(error)]
        if taken:
            said.append(f"{taken} trials were in its folder alone and are taken over")
        was_open, run = run.finished_at is None, store.read_run(run.run_id)
        if was_open and run.finished_at is not None:
            said.append("it had come to its end")
    if run.finished_at is None and run.aborted is None:
        written = write_missing(results, run)
        if written:
            said.append(f"{written} files that its folder lacked are written")
    return [f"run {run.run_id}: {', '.join(said)}"] if said else []


def _read_folder_of(run: Run, results: Path) -> Run | None:
    """Return the run as its folder has it, with those trials only that `run` lacks; None without a run.json."""
    folder = run_folder(results, run.run_id)
    try:
        there = load_run(read_text(folder / RUN_FILE))
    except (Undecodable, OSError):
        return None
    kept = {trial.spec.index for trial in run.trials}
    found = []
    for spec in run.plan.trials:
        if spec.index not in kept:
            try:
                found.append(read_trial(trial_file(results, run.run_id, spec), spec))
            except (Undecodable, OSError):
                continue  # absent, or half of something else's: the trial is not done
    return replace(there, run_id=run.run_id, trials=tuple(found))


def write_missing(results: Path, run: Run) -> int:
    """Write what a run's folder lacks of what the database has, and return how many files. Raises StoreDamaged."""
    written = 0
    try:
        load_run(read_text(run_folder(results, run.run_id) / RUN_FILE))
    except (Undecodable, OSError):
        write_run(results, run)
        written += 1
    for trial in run.trials:
        try:
            same = read_trial(trial_file(results, run.run_id, trial.spec), trial.spec) == trial
        except (Undecodable, OSError):
            same = False
        if not same:
            write_trial(results, run.run_id, trial)
            written += 1
    return written
