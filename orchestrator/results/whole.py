"""Write a file whole or not at all: a full disk, or a kill, leaves an earlier one as it was.

The content goes into a hidden file beside it, onto the disk, and from there under its name (rename(2)).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, making its folder and replacing an earlier one of the same mode. Raises OSError.

    A link is followed. What is there and no plain file, a pipe or /dev/stdout, is written into as it is.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            file.write(content)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(target)
    try:
        with partial.open("wb") as file:
            if target.exists():
                partial.chmod(stat.S_IMODE(target.stat().st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(target.parent)


def try_whole(path: Path) -> None:
    """Raise the OSError that `write_whole` would meet where nothing may be written; what is there stays as it is."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        return  # a pipe: opening it would wait for its reader
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(target)
    partial.touch()
    partial.unlink()


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")  # is_partial (folder.py) knows it by this


def sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut (rename(2) alone does not promise it)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
