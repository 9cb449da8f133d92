"""Keep runs and their finished trials in one SQLite file, and give them back.

Append-only, one transaction for each trial: what was added stays, whatever kills the process afterwards. Several
orchestrators may write at once; a writer waits its turn. Shape of the tables: schema.py; of the JSON in them: codec.py.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput, StoreDamaged
from orchestrator.model import Plan, Run, TrialResult
from orchestrator.results.codec import Undecodable, dump, load_mapping, load_plan, load_trial
from orchestrator.results.schema import ForeignDatabase, migrate, refuse_foreign

# A write takes milliseconds; whoever holds the lock longer than this is stuck, and the person should hear of it.
BUSY_S = 30.0
# How many runs an error names: a screenful at most, and the wanted one is nearly always among the last.
_NAMED_RUNS = 5


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One line of the list of runs."""

    run_id: str
    suite: str
    started_at: str
    finished_at: str | None  # None: still running or ended abruptly
    planned: int
    finished: int  # trials kept, void ones included
    void: int


class Store:
    """An open results database; `open_store` makes one. Used by one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; every added trial is already safe."""
        self._connection.close()

    def begin_run(self, run_id: str, suite: str, started_at: str, host: Mapping[str, object], plan: Plan) -> None:
        """Record that a run starts, before its first trial. Raises StoreDamaged."""
        self._append(
            "INSERT INTO runs (run_id, suite, started_at, planned, host, plan) VALUES (?, ?, ?, ?, ?, ?)",
            (run_id, suite, started_at, len(plan.trials), dump(host), dump(plan)),
        )

    def add_trial(self, run_id: str, result: TrialResult) -> None:
        """Keep one finished trial; it is on the disk when this returns. Raises StoreDamaged."""
        spec = result.spec
        self._append(
            "INSERT INTO trials (run_id, trial_index, block, variant, scenario, void, result)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run_id, spec.index, spec.block, spec.variant, spec.scenario, result.void, dump(result)),
        )

    def finish_run(self, run_id: str, finished_at: str) -> None:
        """Record that a run came to its end. Raises StoreDamaged."""
        self._append("INSERT INTO run_ends (run_id, finished_at) VALUES (?, ?)", (run_id, finished_at))

    def read_run(self, wanted: str | None = None) -> Run:
        """Return a run with the trials it finished, in the order of its plan.

        wanted: a run id, the beginning of one if only one begins so, or None or "last" for the newest.
        Raises BadInput when no run or several match, StoreDamaged when the file cannot be read.
        """
        with _explained(self.path):
            self._connection.execute("BEGIN")  # run, end and trials as of one instant
            try:
                run_id = self._resolve(wanted)
                suite, started_at, host, plan, finished_at = self._connection.execute(
                    "SELECT suite, started_at, host, plan, finished_at FROM runs LEFT JOIN run_ends USING (run_id)"
                    " WHERE run_id = ?",
                    (run_id,),
                ).fetchone()
                results = self._connection.execute(
                    "SELECT result FROM trials WHERE run_id = ? ORDER BY trial_index", (run_id,)
                ).fetchall()
            finally:
                if self._connection.in_transaction:  # damage ends it
                    self._connection.execute("ROLLBACK")
            return Run(
                run_id=run_id,
                suite=suite,
                started_at=started_at,
                finished_at=finished_at,
                host=load_mapping(host),
                plan=load_plan(plan),
                trials=tuple(load_trial(text) for (text,) in results),
            )

    def list_runs(self) -> tuple[RunEntry, ...]:
        """Return every run, newest first. Raises StoreDamaged."""
        with _explained(self.path):
            rows = self._connection.execute(
                "SELECT run_id, suite, started_at, finished_at, planned, count(trial_index), count(void)"
                " FROM runs LEFT JOIN run_ends USING (run_id) LEFT JOIN trials USING (run_id)"
                " GROUP BY run_id ORDER BY runs.seq DESC"
            ).fetchall()
        return tuple(RunEntry(*row) for row in rows)

    def _append(self, statement: str, values: tuple[object, ...]) -> None:
        """Run one INSERT in a transaction of its own (autocommit). A breach of the schema is our bug and not caught."""
        with _explained(self.path):
            self._connection.execute(statement, values)

    def _resolve(self, wanted: str | None) -> str:
        newest = self._ids("SELECT run_id FROM runs ORDER BY seq DESC LIMIT ?", (_NAMED_RUNS,))
        if not newest:
            raise BadInput(f"{self.path}: no run is kept yet. Try: lab run SUITE")
        if wanted is None or wanted == "last":
            return newest[0]
        matches = self._ids(
            "SELECT run_id FROM runs WHERE substr(run_id, 1, length(?1)) = ?1"
            " ORDER BY run_id != ?1, seq DESC LIMIT ?2",  # a run id that another one begins with still means itself
            (wanted, _NAMED_RUNS + 1),
        )
        if len(matches) == 1 or wanted in matches:
            return matches[0]
        if matches:
            raise BadInput(f"run {wanted!r}: several runs begin so: {_named(matches)}. Write more of the id")
        raise BadInput(f"run {wanted!r}: no run begins so; the newest: {_named(newest)}. Write one of them, or 'last'")

    def _ids(self, query: str, values: tuple[object, ...]) -> list[str]:
        return [row[0] for row in self._connection.execute(query, values)]


def open_store(path: Path) -> Store:
    """Open the database, making it and its folder when there is none, and bring it to the current shape.

    A file that is damaged or not ours is left untouched. Raises StoreDamaged.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            refuse_foreign(connection)
            _use_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")  # a trial costs minutes, a sync milliseconds
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
    return Store(path, connection)


def set_aside(path: Path, now: datetime) -> Path:
    """Rename a damaged database, its log included, and return where it went. Only ever called because a person asked.

    now: an aware time; the name becomes lab.db.damaged-20261123T082036Z. Raises StoreDamaged.
    """
    target = path.with_name(f"{path.name}.damaged-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    with _explained(path):
        if target.exists():
            raise StoreDamaged(f"{target}: expected no such file yet, but it exists. Try again in a second")
        path.rename(target)
        for suffix in ("-wal", "-shm"):  # SQLite finds them by the database's name; trials may still be in the log
            log = path.with_name(path.name + suffix)
            if log.exists():
                log.rename(target.with_name(target.name + suffix))
    return target


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
            if _code(exc) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # the lock has no condition to wait on


@contextmanager
def _explained(path: Path) -> Iterator[None]:
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
        raise StoreDamaged(f"{path}: {_trouble(exc, path)}") from exc
    except OSError as exc:
        raise StoreDamaged(
            f"{path}: expected to read and write the results, but {exc.strerror or exc}. "
            f"Mend the folder's permissions, then run again"
        ) from exc


def _trouble(exc: sqlite3.DatabaseError, path: Path) -> str:
    code = _code(exc)
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full; trials kept so far are safe. Free some space, then run again"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"cannot be opened for writing ({exc}). Make it and its folder writable for you, then run again"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"another process has held it for over {BUSY_S:.0f} s ({exc}). Wait for it or end it: fuser {path}"
    if code == sqlite3.SQLITE_IOERR:
        return f"the disk gave an error ({exc}). Check the disk (dmesg), then run again"
    return f"expected the lab's results, found a damaged or foreign file ({exc}). {_move_away(path)}"


def _move_away(path: Path) -> str:
    return f"Trials are also under {path.parent / 'runs'}; to start a new database: mv {path} {path}.damaged"


def _code(exc: sqlite3.Error) -> int:
    """The primary result code: the low byte of the extended one. Python's own errors carry none."""
    code: Any = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return int(code) & 0xFF


def _named(run_ids: list[str]) -> str:
    shown = ", ".join(run_ids[:_NAMED_RUNS])
    return f"{shown} and more" if len(run_ids) > _NAMED_RUNS else shown
