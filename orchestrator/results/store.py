"""Keep runs and their finished trials in one SQLite file, and give them back.

Append-only, one transaction for each trial: what was added stays, whatever kills the process afterwards. Several
orchestrators may write at once; a writer waits its turn. Shape of the tables: schema.py; of the JSON in them: codec.py;
how the file is opened and what its errors mean: opening.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput
from orchestrator.model import Plan, Run, Session, TrialResult
from orchestrator.results.codec import dump, load_mapping, load_plan, load_sessions, load_trial
from orchestrator.results.opening import connect, explained, hold_folder, let_go

# How many runs an error names: a screenful at most, and the wanted one is nearly always among the last.
_NAMED_RUNS = 5
_INDEXES = "SELECT trial_index FROM trials WHERE run_id = ?"
_SESSIONS = (
    "SELECT json_group_array(json_object('began_at', began_at, 'owner', json(owner), 'changes', json(changes)))"
    " FROM (SELECT * FROM run_sessions WHERE run_id = ? ORDER BY seq)"
)


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
    aborted: str | None = None  # why it was given up
    imported_at: str | None = None
    owner: Mapping[str, object] | None = None  # the process that began or resumed it last; None: not known


class Store:
    """An open results database; `open_store` makes one. Used by one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection, held: int | None = None) -> None:
        self.path = path
        self._connection = connection
        self._held = held

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; every added trial is already safe."""
        self._connection.close()
        let_go(self._held)
        self._held = None

    def begin_run(self, run_id: str, suite: str, started_at: str, host: Mapping[str, object], plan: Plan) -> None:
        """Record that a run starts, before its first trial. Raises StoreDamaged."""
        self.begin(Run(run_id, suite, started_at, None, host, plan, ()))

    def begin(self, run: Run) -> None:
        """Record that a run starts, with its sessions and without trials. Raises StoreDamaged."""
        with self._transaction():
            self._insert_run(run)

    def add_session(self, run_id: str, session: Session) -> None:
        """Record that a process goes on with a run. Raises StoreDamaged."""
        with self._transaction():
            self._insert_session(run_id, session)

    def add_trial(self, run_id: str, result: TrialResult) -> None:
        """Keep one finished trial; it is on the disk when this returns. Raises StoreDamaged."""
        with self._transaction():
            self._insert_trial(run_id, result)

    def finish_run(self, run_id: str, finished_at: str) -> None:
        """Record that a run came to its end; a run that has one keeps it. Raises StoreDamaged."""
        with self._transaction():
            self._insert_end(run_id, finished_at)

    def abort_run(self, run_id: str, aborted_at: str, reason: str) -> None:
        """Record that a run is given up; the first reason stays. Raises StoreDamaged."""
        with self._transaction():
            self._connection.execute(
                "INSERT INTO run_aborts (run_id, aborted_at, reason) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (run_id, aborted_at, reason),
            )

    def adopt(self, run: Run) -> int | None:
        """Keep what is not kept yet of a run that was carried out already, all of it or nothing.

        Returns how many trials were new, or None where the whole run was; what is kept already stays as it is. Two
        who adopt the same at once find that one of them was first. The run's end is taken over once all of its plan
        is there. Raises StoreDamaged, and BadInput where the run kept under that id has another plan.
        """
        with self._transaction():
            known = self._connection.execute("SELECT plan FROM runs WHERE run_id = ?", (run.run_id,)).fetchone()
            if known is None:
                self._insert_run(run)
            elif load_plan(known[0]) != run.plan:
                raise BadInput(f"run {run.run_id}: another plan is kept under this id. Compare: lab show {run.run_id}")
            kept = {index for (index,) in self._connection.execute(_INDEXES, (run.run_id,))}
            fresh = [trial for trial in run.trials if trial.spec.index not in kept]
            for trial in fresh:
                self._insert_trial(run.run_id, trial)
            is_whole = len(kept) + len(fresh) == len(run.plan.trials)
            if run.finished_at is not None and (known is None or is_whole):
                self._insert_end(run.run_id, run.finished_at)
        return None if known is None else len(fresh)

    def read_run(self, wanted: str | None = None) -> Run:
        """Return a run with the trials it finished, in the order of its plan.

        wanted: a run id, the beginning of one if only one begins so, or None or "last" for the newest that was
        carried out here.
        Raises BadInput when no run or several match, StoreDamaged when the file cannot be read.
        """
        return self._read(self._resolve, wanted)

    def read_exactly(self, run_id: str) -> Run:
        """Return the run of this very id, without a look at any other. Raises BadInput, StoreDamaged."""
        return self._read(lambda run_id: str(run_id), run_id)

    def run_ids(self) -> Iterator[str]:
        """Yield the runs' ids, oldest first, as far as the file can be read. Raises StoreDamaged where it cannot."""
        with explained(self.path):
            for (run_id,) in self._connection.execute("SELECT run_id FROM runs ORDER BY seq"):
                yield run_id

    def _read(self, resolve: Callable[[str | None], str], wanted: str | None) -> Run:
        with explained(self.path):
            self._connection.execute("BEGIN")  # run, end and trials as of one instant
            try:
                run_id = resolve(wanted)
                row = self._connection.execute(
                    "SELECT suite, started_at, finished_at, host, plan, declared, reason, imported_at"
                    " FROM runs LEFT JOIN run_ends USING (run_id) LEFT JOIN run_aborts USING (run_id)"
                    " WHERE run_id = ?",
                    (run_id,),
                ).fetchone()
                results = self._connection.execute(
                    "SELECT result FROM trials WHERE run_id = ? ORDER BY trial_index", (run_id,)
                ).fetchall()
                sessions = self._connection.execute(_SESSIONS, (run_id,)).fetchone()[0]
            finally:
                if self._connection.in_transaction:  # damage ends it
                    self._connection.execute("ROLLBACK")
            if row is None:
                raise BadInput(f"{self.path}: no run {run_id!r} is kept")
            suite, started_at, finished_at, host, plan, declared, aborted, imported_at = row
            return Run(
                run_id=run_id,
                suite=suite,
                started_at=started_at,
                finished_at=finished_at,
                host=load_mapping(host),
                plan=load_plan(plan),
                trials=tuple(load_trial(text) for (text,) in results),
                declared=load_mapping(declared),
                sessions=load_sessions(sessions),
                aborted=None if finished_at else aborted,
                imported_at=imported_at,
            )

    def list_runs(self) -> tuple[RunEntry, ...]:
        """Return every run, newest first. Raises StoreDamaged."""
        with explained(self.path):
            rows = self._connection.execute(
                "SELECT (SELECT owner FROM run_sessions s WHERE s.run_id = runs.run_id ORDER BY seq DESC LIMIT 1),"
                " run_id, suite, started_at, finished_at, planned, count(trial_index), count(void), reason, imported_at"
                " FROM runs LEFT JOIN run_ends USING (run_id) LEFT JOIN run_aborts USING (run_id)"
                " LEFT JOIN trials USING (run_id) GROUP BY run_id ORDER BY runs.seq DESC"
            ).fetchall()
            return tuple(_entry(*row) for row in rows)

    def find_damage(self) -> str | None:
        """Return what SQLite's own look at every page and index found wrong, or None. 30 ms for each 100 MB."""
        with explained(self.path):
            found = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        return None if found == "ok" else str(found).splitlines()[-1]

    def empty_log(self) -> None:
        """Bring the write-ahead log into the file itself. Raises StoreDamaged."""
        with explained(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of the block's statements or none. A breach of the schema is our bug and not caught."""
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk ends it
                    self._connection.execute("ROLLBACK")
                raise

    def _insert_run(self, run: Run) -> None:
        self._connection.execute(
            "INSERT INTO runs (run_id, suite, started_at, planned, host, plan, declared, imported_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (run.run_id, run.suite, run.started_at, len(run.plan.trials), dump(run.host), dump(run.plan),
             dump(run.declared), run.imported_at),
        )  # fmt: skip
        for session in run.sessions:
            self._insert_session(run.run_id, session)

    def _insert_session(self, run_id: str, session: Session) -> None:
        self._connection.execute(
            "INSERT INTO run_sessions (run_id, began_at, owner, changes) VALUES (?, ?, ?, ?)",
            (run_id, session.began_at, dump(session.owner), dump(session.changes)),
        )

    def _insert_trial(self, run_id: str, result: TrialResult) -> None:
        spec = result.spec
        self._connection.execute(
            "INSERT INTO trials (run_id, trial_index, block, variant, scenario, void, result)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run_id, spec.index, spec.block, spec.variant, spec.scenario, result.void, dump(result)),
        )

    def _insert_end(self, run_id: str, finished_at: str) -> None:
        self._connection.execute(
            "INSERT INTO run_ends (run_id, finished_at) VALUES (?, ?) ON CONFLICT DO NOTHING", (run_id, finished_at)
        )

    def _resolve(self, wanted: str | None) -> str:
        newest = self._ids("SELECT run_id FROM runs ORDER BY imported_at IS NOT NULL, seq DESC LIMIT ?", (_NAMED_RUNS,))
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


def open_store(path: Path, *, alone: bool = False) -> Store:
    """Open the database, making it and its folder when there is none, and bring it to the current shape.

    A file that is damaged or not ours is left untouched. While a store is open, nobody sets its file aside (mend.py).
    alone: the caller holds the folder's lock himself. Raises StoreDamaged; Unsound where mending would help.
    """
    held = None
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not alone:
        held = hold_folder(path.parent, alone=False)
    try:
        return Store(path, connect(path), held)
    except BaseException:
        let_go(held)
        raise


def _entry(owner: str | None, *row: Any) -> RunEntry:
    return replace(RunEntry(*row), owner=None if owner is None else load_mapping(owner))


def _named(run_ids: list[str]) -> str:
    shown = ", ".join(run_ids[:_NAMED_RUNS])
    return f"{shown} and more" if len(run_ids) > _NAMED_RUNS else shown
