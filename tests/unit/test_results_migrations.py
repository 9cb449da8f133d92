"""A database of every earlier schema opens as one of today's, with everything in it."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

import pytest

from orchestrator.model import Metrics, Session
from orchestrator.results import schema
from orchestrator.results.schema import MIGRATIONS
from orchestrator.results.store import RunEntry, open_store
from tests.unit.kept_runs import ended, in_child, run

EARLIER = Path(__file__).resolve().parents[1] / "fixtures" / "results"
VERSIONS = range(1, len(MIGRATIONS))


def lay(version: int, path: Path) -> None:
    """Write the database that a lab of an earlier schema left."""
    connection = sqlite3.connect(path)
    connection.executescript((EARLIER / f"v{version}.sql").read_text())
    connection.close()


def shape(path: Path) -> dict[str, object]:
    """Return tables with their columns, and the text of triggers and indexes."""
    connection = sqlite3.connect(path)
    found: dict[str, object] = {
        name: sql if kind != "table" else connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
        for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_schema")
    }
    found["version"] = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return found


def test_every_earlier_schema_has_its_database() -> None:
    """Who adds a migration adds tests/fixtures/results/vN.sql, made with the code before it."""
    assert [f"v{version}.sql" for version in VERSIONS] == sorted(path.name for path in EARLIER.iterdir())


@pytest.mark.parametrize("version", VERSIONS)
def test_an_earlier_database_has_the_shape_of_a_new_one(tmp_path: Path, version: int) -> None:
    """Tables, columns, keys and triggers; it is sound, and takes a run."""
    lay(version, tmp_path / "lab.db")
    open_store(tmp_path / "new.db").close()
    with open_store(tmp_path / "lab.db") as store:
        assert store.find_damage() is None
        store.adopt(run(run_id="20261125T000000Z-new-0000ff"))
        assert run(run_id="20261125T000000Z-new-0000ff") == store.read_run("20261125")

    assert shape(tmp_path / "new.db") == shape(tmp_path / "lab.db")


def test_runs_of_the_first_schema_are_all_there(tmp_path: Path) -> None:
    """Two runs, five trials: figures, void reasons, plans; what was not kept then is empty, not invented."""
    lay(1, tmp_path / "lab.db")
    with open_store(tmp_path / "lab.db") as store:
        entries = store.list_runs()
        old, killed = store.read_run("20261123T082036Z-quick-ab12cd"), store.read_run("20261124")

    end = "2026-11-23T08:24:00+00:00"
    assert (
        RunEntry("20261124T000000Z-quick-0000ff", "quick", "2026-11-24T00:00:00+00:00", None, 4, 1, 0),
        RunEntry("20261123T082036Z-quick-ab12cd", "quick", "2026-11-23T08:20:36+00:00", end, 4, 4, 1),
    ) == entries
    assert [None, "no worker", None, None] == [trial.void for trial in old.trials]
    assert Metrics(requests=3, p50_s=0.00025, errors={"ECONNRESET in first byte": 2}) == old.trials[3].metrics
    assert ("seed-c", 7, 4) == (old.plan.left_out[0].variant, old.plan.seed, len(old.plan.trials))
    assert [({}, (), None, None)] * 2 == [(r.declared, r.sessions, r.aborted, r.imported_at) for r in (old, killed)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_kill_during_a_migration_leaves_the_earlier_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """SIGKILL between its statements: the version is the earlier one, and the next opening does it all."""
    path = tmp_path / "lab.db"
    lay(version, path)

    def killed() -> None:
        statements = schema._statements

        def cut(script: str) -> list[str]:
            found = statements(script)
            return [*found[:2], "SELECT kill_me()", *found[2:]]

        connect = sqlite3.connect

        def with_kill(*args: object, **options: object) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*args, **options)  # type: ignore[call-overload]
            connection.create_function("kill_me", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
            return connection

        monkeypatch.setattr(schema, "_statements", cut)
        monkeypatch.setattr(sqlite3, "connect", with_kill)
        open_store(path)

    assert -signal.SIGKILL == ended(in_child(killed))
    connection = sqlite3.connect(path)
    assert (version,) == connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    with open_store(path) as store:
        assert store.list_runs()
        store.add_session(store.list_runs()[0].run_id, Session("t", {}))
