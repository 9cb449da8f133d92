"""Bring a results database to the shape this lab knows, or say that it is not one.

`PRAGMA user_version` counts the migrations applied; `PRAGMA application_id` marks the file as ours. A migration is
never edited once released: the next one is added behind it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

APPLICATION_ID = 0x4E506C62  # "NPlb"

# Triggers keep the tables append-only against our own mistakes too. A run's end is a row of its own for that reason.
_FIRST = """
CREATE TABLE runs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL UNIQUE,
  suite TEXT NOT NULL,
  started_at TEXT NOT NULL,
  planned INTEGER NOT NULL,
  host TEXT NOT NULL,
  plan TEXT NOT NULL
) STRICT;
CREATE TABLE run_ends (
  run_id TEXT PRIMARY KEY REFERENCES runs (run_id),
  finished_at TEXT NOT NULL
) STRICT;
CREATE TABLE trials (
  run_id TEXT NOT NULL REFERENCES runs (run_id),
  trial_index INTEGER NOT NULL,
  block INTEGER NOT NULL,
  variant TEXT NOT NULL,
  scenario TEXT NOT NULL,
  void TEXT,
  result TEXT NOT NULL,
  PRIMARY KEY (run_id, trial_index)
) STRICT;
"""

# What resuming needs: what was declared, who is or was at work on a run, and runs that were given up.
_SECOND = """
ALTER TABLE runs ADD COLUMN declared TEXT NOT NULL DEFAULT '{}';
ALTER TABLE runs ADD COLUMN imported_at TEXT;
CREATE TABLE run_sessions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL REFERENCES runs (run_id),
  began_at TEXT NOT NULL,
  owner TEXT NOT NULL,
  changes TEXT NOT NULL
) STRICT;
CREATE TABLE run_aborts (
  run_id TEXT PRIMARY KEY REFERENCES runs (run_id),
  aborted_at TEXT NOT NULL,
  reason TEXT NOT NULL
) STRICT;
"""


def _append_only(table: str) -> str:
    return "".join(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;\n"
        for verb in ("UPDATE", "DELETE")
    )


MIGRATIONS: tuple[str, ...] = (
    _FIRST + "".join(_append_only(table) for table in ("runs", "run_ends", "trials")),
    _SECOND + "".join(_append_only(table) for table in ("run_sessions", "run_aborts")),
)


class ForeignDatabase(Exception):
    """The file is a database, but not one that this lab can use; the text says why."""


def migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing, in one transaction; a no-op on a current file.

    connection: in autocommit mode, so that transactions are begun here only.
    Raises ForeignDatabase for another program's or a later lab's file, which is left as it is.
    """
    if _version(connection) == len(MIGRATIONS) and _pragma(connection, "application_id") == APPLICATION_ID:
        return
    connection.execute("BEGIN IMMEDIATE")  # another orchestrator may be migrating: look again once it is our turn
    try:
        refuse_foreign(connection)
        for script in MIGRATIONS[_version(connection) :]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def refuse_foreign(connection: sqlite3.Connection) -> None:
    """Raise ForeignDatabase unless the file is empty or one this lab can use; changes nothing."""
    with _one_instant(connection):
        application_id, version = _pragma(connection, "application_id"), _version(connection)
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application_id != APPLICATION_ID and (tables or application_id or version):
        raise ForeignDatabase("another program's database")
    if version > len(MIGRATIONS):
        raise ForeignDatabase(f"a later lab's database (version {version}; this lab knows {len(MIGRATIONS)})")


@contextmanager
def _one_instant(connection: sqlite3.Connection) -> Iterator[None]:
    """Read as of one instant: between two reads another orchestrator may make the whole schema."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # damage ends it
            connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection) -> int:
    return _pragma(connection, "user_version")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _statements(script: str) -> list[str]:
    """Split a script; `executescript` would commit the transaction that protects it."""
    found, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found
