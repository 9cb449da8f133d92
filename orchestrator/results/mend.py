"""Open the results sound: a damaged database is set aside, a missing one is made anew from the run folders.

Nothing is thrown away: the damaged file stays beside the new one under another name, and what can still be read of
it comes along where a run's folder lacks it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import BadInput, LabError, StoreDamaged, Unsound
from orchestrator.model import Run
from orchestrator.results.codec import Undecodable
from orchestrator.results.folder import read_run_folder, run_folders
from orchestrator.results.opening import explained, hold_folder, let_go
from orchestrator.results.store import Store, open_store
from orchestrator.results.whole import sync_folder

Say = Callable[[str], None]
DATABASE = "lab.db"
_LOG = ("-wal", "-shm")  # SQLite finds them by the database's name; trials may still be in the log
_PATIENCE_S = 5.0  # other commands that only read end sooner; a run does not, and says so itself


def database(results: Path) -> Path:
    """Return where a results folder has its database."""
    return results / DATABASE


def has_results(results: Path) -> bool:
    """Whether there is a database, or a run to make one from. Touches nothing."""
    return database(results).exists() or next(run_folders(results), None) is not None


def open_results(results: Path, say: Say) -> Store:
    """Open the database of a results folder once every page of it was checked, mending first what needs it.

    say: hears one line where something was damaged or missing. Raises StoreDamaged for what cannot be mended: another
    program's or a later lab's file, a disk that is full or refuses, a damaged database that another command has open.
    """
    path = database(results)
    is_there = path.exists() and path.stat().st_size > 0  # an empty file is what a power cut can leave
    if is_there:
        damage = _damage(path)
        if isinstance(damage, Store):
            return damage
    elif next(run_folders(results), None) is None:
        return open_store(path)
    else:
        damage = "it is empty" if path.exists() else "there was none"
    held = hold_folder(results, alone=True, patience_s=_PATIENCE_S)
    try:
        say(_rebuild(results, damage))
    finally:
        let_go(held)
    return open_store(path)


def _damage(path: Path, *, alone: bool = False) -> Store | str:
    """Return the open database, or what is wrong with it."""
    try:
        store = open_store(path, alone=alone)
    except Unsound as error:
        return str(error.__cause__)
    try:
        found = store.find_damage()
    except Unsound as error:
        found = str(error.__cause__)
    except BaseException:
        store.close()
        raise
    if found is None:
        return store
    store.close()
    return found


def _rebuild(results: Path, damage: str) -> str:
    """Make the database anew and return the line that says so. The caller holds the folder alone."""
    path = database(results)
    if path.exists() and path.stat().st_size > 0:
        again = _damage(path, alone=True)
        if isinstance(again, Store):  # somebody else was faster
            again.close()
            return f"{path}: damaged, and mended by another command meanwhile"
    fresh = results / f".{DATABASE}.{os.getpid()}.new"
    runs, passed_over = _from_folders(results)
    try:
        saved = _still_readable(path, fresh)
        with open_store(fresh, alone=True) as store:
            # A run that both have comes from its folder first; the database adds what the folder lacks.
            for run in sorted([*runs, *saved], key=lambda run: (run.started_at, run.run_id)):
                with contextlib.suppress(BadInput):  # of another plan: the folder is believed
                    store.adopt(run)
            kept = sum(entry.finished for entry in store.list_runs())
            store.empty_log()
        aside = set_aside(path, datetime.now(UTC))
        with explained(path):
            fresh.rename(path)
            sync_folder(results)
    finally:
        with contextlib.suppress(OSError):
            _remove(fresh)
    trials = sum(len(run.trials) for run in runs)
    others = {run.run_id for run in saved} - {run.run_id for run in runs}
    where = f"set aside as {aside.name} and made anew" if aside else "made anew"
    extra = kept - trials
    more = f", {len(others)} more runs ({extra} trials) from what could still be read of it" if others or extra else ""
    lost = f"; passed over: {'; '.join(passed_over)}" if passed_over else ""
    return f"{path}: {damage}; {where} from {len(runs)} run folders ({trials} trials){more}{lost}"


def set_aside(path: Path, now: datetime) -> Path | None:
    """Rename a database, its log included, and return where it went; None where there is none.

    now: an aware time; the name becomes lab.db.damaged-20261123T082036Z. A log without its file goes as well: beside
    another database it would be read into it. Raises StoreDamaged.
    """
    first = path.with_name(f"{path.name}.damaged-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    target, number = first, 1
    while any(target.with_name(target.name + suffix).exists() for suffix in ("", *_LOG)):
        number += 1
        target = first.with_name(f"{first.name}-{number}")
    is_there = path.exists()
    with explained(path):
        for suffix in ("", *_LOG):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(target.with_name(target.name + suffix))
    return target if is_there else None


def _from_folders(results: Path) -> tuple[list[Run], list[str]]:
    """Return the runs that the run folders hold, and a sentence for each file that could not be read."""
    runs: list[Run] = []
    passed_over: list[str] = []
    for folder in run_folders(results):
        try:
            kept = read_run_folder(folder)
        except (Undecodable, OSError) as error:
            passed_over.append(f"{folder}: {error}")
        else:
            runs.append(kept.run)
            passed_over += kept.unreadable
    return runs, passed_over


def _still_readable(path: Path, copy: Path) -> list[Run]:
    """Return the runs that a damaged database still gives.

    Reading may bring a log into the file, so it is a copy that is read; nothing of it is left.
    """
    found: list[Run] = []
    with explained(path):
        _remove(copy)
        for suffix in ("", _LOG[0]):
            part = path.with_name(path.name + suffix)
            if part.exists() and part.stat().st_size > 0:
                shutil.copyfile(part, copy.with_name(copy.name + suffix))
    if copy.exists():
        with contextlib.suppress(StoreDamaged), open_store(copy, alone=True) as store:
            for run_id in store.run_ids():
                with contextlib.suppress(LabError):
                    found.append(store.read_exactly(run_id))
    with explained(path):
        _remove(copy)
    return found


def _remove(path: Path) -> None:
    for suffix in ("", *_LOG):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
