"""Open the results database, hold its folder meanwhile, and say in one line what stands in the way.

Everybody who has the database open shares a lock on its folder; who sets a damaged one aside takes that lock alone
(mend.py). It is flock(2) on the folder itself: a killed process holds nothing, and no file is needed on a full disk.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from orchestrator.errors import StoreDamaged, Unsound
from orchestrator.results.codec import Undecodable
from orchestrator.results.schema import ForeignDatabase, migrate, refuse_foreign

# A write takes milliseconds; whoever holds the lock longer than this is stuck, and the person should hear of it.
BUSY_S = 30.0
# A trial takes some 100 KiB in the database and as much in its folder; a run of fifty fits.
LEAST_ROOM_BYTES = 10 * 1024 * 1024
_LOOK_S = 0.01  # neither lock has a condition to wait on


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection in autocommit mode to a database of the current shape. Raises StoreDamaged."""
    with explained(path):
        try:
            return _prepared(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None))
        except sqlite3.OperationalError as exc:
            if code(exc) not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL) or not is_full(path.parent):
                raise
        # Not even the 32 KiB that readers and writers share fit on the disk: alone, one connection does without, and
        # what was kept can still be read.
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return _prepared(connection)


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        refuse_foreign(connection)
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")  # a trial costs minutes, a sync milliseconds
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def hold_folder(folder: Path, *, alone: bool, patience_s: float = BUSY_S) -> int:
    """Lock a results folder and return what holds the lock, for `let_go`.

    alone: nobody else has the database open meanwhile. Raises StoreDamaged when others keep it for `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    with explained(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            while not _locked(descriptor, alone):
                if time.monotonic() > deadline:
                    raise StoreDamaged(
                        f"{folder}: another lab command has the results open. Wait for it to end (fuser {folder}), "
                        f"then try again"
                    )
                time.sleep(_LOOK_S)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _locked(descriptor: int, alone: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def let_go(held: int | None) -> None:
    """Give up what `hold_folder` returned."""
    if held is not None:
        os.close(held)


def is_full(folder: Path) -> bool:
    """Whether not even what readers and writers share fits on the disk that a folder is on."""
    try:
        return _free_bytes(folder) < 64 * 1024
    except OSError:
        return False


def refuse_without_room(results: Path) -> None:
    """Raise StoreDamaged where a run's results would soon not fit any more."""
    with explained(results):
        results.mkdir(parents=True, exist_ok=True)
        free_bytes = _free_bytes(results)
    if free_bytes < LEAST_ROOM_BYTES:
        raise StoreDamaged(
            f"{results}: the disk is full: {free_bytes // 1024:,} KiB are left, a run needs "
            f"{LEAST_ROOM_BYTES // 1024:,} KiB. Free some space, then run again; lab show goes on working"
        )


def _free_bytes(folder: Path) -> int:
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; kept by the file from then on.

    SQLite does not wait for its busy timeout when two connections switch at the same moment, so waiting is ours.
    """
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            with closing(connection.execute("PRAGMA journal_mode = WAL")) as cursor:
                cursor.fetchone()
            return
        except sqlite3.OperationalError as exc:
            if code(exc) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_S)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into one line with a next step."""
    try:
        yield
    except ForeignDatabase as exc:
        raise StoreDamaged(f"{path}: expected the lab's results, found {exc}. {_move_away(path)}") from exc
    except Undecodable as exc:
        raise StoreDamaged(f"{path}: a kept run cannot be read ({exc}). {_move_away(path)}") from exc
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as exc:
        kind = Unsound if code(exc) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else StoreDamaged
        raise kind(f"{path}: {_trouble(exc, path)}") from exc
    except OSError as exc:
        raise StoreDamaged(
            f"{path}: expected to read and write the results, but {exc.strerror or exc}. "
            f"Mend the folder's permissions, then run again"
        ) from exc


def _trouble(exc: sqlite3.DatabaseError, path: Path) -> str:
    found = code(exc)
    if found == sqlite3.SQLITE_FULL or (found == sqlite3.SQLITE_IOERR and is_full(path.parent)):
        return "the disk is full; trials kept so far are safe. Free some space, then go on with: lab run --resume"
    if found in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"cannot be opened for writing ({exc}). Make it and its folder writable for you, then run again"
    if found in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"another process has held it for over {BUSY_S:.0f} s ({exc}). Wait for it or end it: fuser {path}"
    if found == sqlite3.SQLITE_IOERR:
        return f"the disk gave an error ({exc}). Check the disk (dmesg), then run again"
    return f"expected the lab's results, found a damaged or foreign file ({exc}). {_move_away(path)}"


def _move_away(path: Path) -> str:
    return (
        f"Trials are also under {path.parent / 'runs'}; to make a new database of them: "
        f"mv {path} {path}.damaged && lab show --list"
    )


def code(exc: sqlite3.Error) -> int:
    """Return the primary result code: the low byte of the extended one. Python's own errors carry none."""
    found: Any = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return int(found) & 0xFF
