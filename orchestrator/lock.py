"""One command at a time on a lab: a lock in its state folder, held by the kernel for as long as the holder lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import EnvironmentMissing


@contextlib.contextmanager
def only_one(state: Path, verb: str) -> Iterator[None]:
    """Hold the lab's lock. Raises EnvironmentMissing naming who holds it, or why there can be none.

    A killed holder's lock is free at once.
    """
    lock = state / "lock"
    try:
        state.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+")
    except OSError as error:
        raise EnvironmentMissing(f"{lock}: cannot be written: {error.strerror}. Try: ls -ld {state}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise EnvironmentMissing(
                f"another command is at work on this lab: {file.read().strip() or 'unknown'}. Wait for it, or stop it"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"lab {verb}, pid {os.getpid()}")
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()
