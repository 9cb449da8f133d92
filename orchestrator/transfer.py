"""Carry a run to another machine as one file, and take such a file in.

What is taken in is checked whole before any of it can be seen: digests, plan and trials. A run that is here already
with the same content stays as it is; with other content it is refused.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.carry import is_at_work, now
from orchestrator.containers.engine import Say
from orchestrator.errors import BadInput, StoreDamaged
from orchestrator.model import Run
from orchestrator.results.archive import Manifest, digest, unpack_archive, write_archive
from orchestrator.results.codec import Undecodable
from orchestrator.results.folder import IMPORTED, keep, read_run_folder, run_folder
from orchestrator.results.mend import open_results
from orchestrator.results.opening import explained, hold_folder, let_go
from orchestrator.results.reconcile import write_missing
from orchestrator.results.store import Store
from orchestrator.results.whole import sync_folder
from orchestrator.run import results_folder

_STAGING = ".import-"
_LEFT_S = 60.0  # what nobody holds and is older was left by a command that was killed
_DERIVED = "report."  # lab report makes them anew; they are no part of what was measured


@dataclass(frozen=True, slots=True)
class Exported:
    """A run as one file."""

    path: Path
    run: Run
    files: int
    bytes: int
    sha256: str  # of the file


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file."""

    run: Run
    is_new: bool  # False: all of it was here already


def export_run(root: Path, wanted: str | None, out: Path | None, say: Say) -> Exported:
    """Write a run as one file. root: the lab file's folder. out: None: RUN.tar.gz in the working folder.

    Raises BadInput for an unknown run, one that is going on, and a file that is there with other content.
    """
    results = results_folder(root)
    with open_results(results, say) as store:
        run = store.read_run(wanted)
        if run.finished_at is None and run.sessions and is_at_work(run.sessions[-1].owner):
            raise BadInput(f"run {run.run_id}: is going on. Wait for its end (lab show --list), then export it")
        write_missing(results, run)
    path = out or Path(f"{run.run_id}.tar.gz")
    manifest = write_archive(run_folder(results, run.run_id), run.run_id, path)
    with explained(path):
        size, sha256 = digest(path)
    return Exported(path, run, len(manifest.files), size, sha256)


def import_run(root: Path, archive: Path, say: Say) -> Imported:
    """Take a run in from the file that `export_run` wrote. root: the lab file's folder.

    Raises BadInput for a file that is no sound export or holds other content of a run that is here, StoreDamaged.
    """
    results = results_folder(root)
    with explained(results):
        results.mkdir(parents=True, exist_ok=True)
        _clear_left(results)
    with _staging(results) as staging:
        apart = staging / "runs" / "incoming"
        with explained(apart):
            apart.mkdir(parents=True)
        manifest = unpack_archive(archive, apart)
        folder = run_folder(staging, manifest.run_id)
        with explained(folder):
            apart.rename(folder)
        run = _read(archive, folder)
        with open_results(results, say) as store:
            is_new = _take_in(store, results, archive, manifest, folder, run)
            return Imported(store.read_run(run.run_id), is_new)


def _read(archive: Path, folder: Path) -> Run:
    try:
        kept = read_run_folder(folder)
    except Undecodable as error:
        raise BadInput(f"{archive}: its run cannot be read ({error}). Nothing was taken in") from error
    if kept.unreadable:
        what = kept.unreadable[0].removeprefix(f"{folder}/")
        raise BadInput(f"{archive}: {what}. Nothing was taken in")
    return kept.run


def _take_in(store: Store, results: Path, archive: Path, manifest: Manifest, folder: Path, run: Run) -> bool:
    """Put the run beside the others, and return whether any of it was new."""
    target = run_folder(results, run.run_id)
    known = {entry.run_id for entry in store.list_runs()}
    if run.run_id in known:
        _refuse_other_trials(archive, store.read_run(run.run_id), run)
    elif not target.exists():
        keep(folder / IMPORTED, f"{now()}\n".encode())
        with explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another import of the same came first
                _rename_into_place(folder, target)
    added = _complete(archive, manifest, folder, target) if folder.exists() else len(manifest.files)
    taken = store.adopt(read_run_folder(target).run)
    return taken != 0 or added > 0


def _rename_into_place(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError as error:
        if target.is_dir():  # ENOTEMPTY, which Python gives no class of its own
            raise FileExistsError(error.errno, error.strerror, str(target)) from error
        raise
    sync_folder(target.parent)


def _refuse_other_trials(archive: Path, here: Run, run: Run) -> None:
    if here.trials != run.trials or here.plan != run.plan or here.finished_at != run.finished_at:
        counts = f"{len(here.trials)} trials here, {len(run.trials)} in the file"
        raise _other(archive, run.run_id, "other results" if len(here.trials) == len(run.trials) else counts)


def _complete(archive: Path, manifest: Manifest, folder: Path, target: Path) -> int:
    """Move what the run's folder here lacks into it, and return how many files; refuse before touching anything."""
    lacking = []
    with explained(target):
        for one in manifest.files:
            there = target / one.path
            if there.is_symlink() or not there.exists():
                lacking.append(one.path)
            elif digest(there) != (one.bytes, one.sha256) and not one.path.startswith(_DERIVED):
                raise _other(archive, manifest.run_id, one.path)
        for path in lacking:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).replace(target / path)
    return len(lacking)


def _other(archive: Path, run_id: str, what: str) -> BadInput:
    return BadInput(
        f"{archive}: run {run_id} is here already with other content ({what}); nothing was changed. "
        f"Compare: lab show {run_id}"
    )


@contextlib.contextmanager
def _staging(results: Path) -> Iterator[Path]:
    """Yield a hidden folder that is gone afterwards; while it is held, nobody clears it."""
    folder = results / f"{_STAGING}{os.getpid()}-{secrets.token_hex(4)}"
    with explained(folder):
        folder.mkdir()
    held = hold_folder(folder, alone=True, patience_s=0.0)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        let_go(held)


def _clear_left(results: Path) -> None:
    """Remove what imports left that were killed."""
    for folder in results.glob(f"{_STAGING}*"):
        if folder.is_symlink() or not folder.is_dir() or time.time() - folder.stat().st_mtime < _LEFT_S:
            continue
        try:
            held = hold_folder(folder, alone=True, patience_s=0.0)
        except StoreDamaged:
            continue  # somebody is at work in it
        shutil.rmtree(folder, ignore_errors=True)
        let_go(held)
