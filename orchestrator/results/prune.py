"""Remove the run folders of old nights: histograms, time series, reports. The database keeps every trial.

What goes is decided by `choose`, which touches nothing. A folder is renamed before it is emptied, so that a killed
prune leaves no half of a run under its name; the next one finishes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import StoreDamaged
from orchestrator.model import Keep
from orchestrator.results.folder import run_folder

_GOING = ".pruned-"  # begins the name of a folder that is on its way out


@dataclass(frozen=True, slots=True)
class Folder:
    """A night's folder that may go."""

    run_id: str
    size_bytes: int


def choose(nights: Sequence[Folder], keep: Keep, always: Collection[str]) -> tuple[Folder, ...]:
    """Return which folders go, the oldest first.

    nights: the oldest first. always: run ids that stay whatever the policy says, and count towards both limits. The
    newest stays too. Beyond `keep.nights` folders, and then beyond `keep.most_bytes` of all together, the oldest go.
    """
    going: list[Folder] = []
    count, total = len(nights), sum(night.size_bytes for night in nights)
    for night in nights[:-1]:
        too_many = count > keep.nights
        too_large = keep.most_bytes is not None and total > keep.most_bytes
        if not (too_many or too_large):
            break
        if night.run_id in always:
            continue
        going.append(night)
        count, total = count - 1, total - night.size_bytes
    return tuple(going)


def measure(results: Path, run_ids: Sequence[str]) -> tuple[Folder, ...]:
    """Return the folders that there are of these runs, in the order given, with the space they take on the disk."""
    found = []
    for run_id in run_ids:
        folder = run_folder(results, run_id)
        if folder.is_dir() and not folder.is_symlink():
            found.append(Folder(run_id, _size(folder)))
    return tuple(found)


def remove(results: Path, folders: Sequence[Folder]) -> int:
    """Remove run folders, and what an earlier prune left of some; return the bytes that were freed.

    Raises StoreDamaged for a folder that cannot be removed.
    """
    freed = 0
    for folder in folders:
        path = run_folder(results, folder.run_id)
        going = path.with_name(_GOING + path.name)
        with _explained(path), contextlib.suppress(FileNotFoundError):
            path.rename(going)
            freed += folder.size_bytes
    for left in sorted((results / "runs").glob(f"{_GOING}*")):
        with _explained(left):
            shutil.rmtree(left)
    return freed


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreDamaged(
            f"{path}: expected to remove the folder of an old night, but {error.strerror or error}. Mend its "
            "permissions, or raise nightly.keep in lab.yaml"
        ) from error


def _size(folder: Path) -> int:
    size = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += (Path(where) / name).lstat().st_blocks * 512  # what du counts
    return size
