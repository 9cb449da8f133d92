"""The database when something is wrong with it: one line, and nothing lost."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.errors import StoreDamaged
from orchestrator.model import Metrics, Plan, Run, TrialResult, TrialSpec
from orchestrator.results.mend import set_aside
from orchestrator.results.schema import MIGRATIONS
from orchestrator.results.store import Store, open_store

SPECS = tuple(TrialSpec(i, 0, f"v{i}", "plain", "closed", "default", 1, 1, "one") for i in range(4))
PLAN = Plan("quick", 7, SPECS, ())


def trial(index: int, histogram_us: dict[int, int] | None = None) -> TrialResult:
    """A finished trial of the plan."""
    return TrialResult(SPECS[index], None, Metrics(), {}, histogram_us or {}, (), (), "t", 1.5, 2.5)


def filled(store: Store, run_id: str, trials: int = 2) -> Run:
    """Keep an unfinished run with some trials and return what reading it must give."""
    kept = tuple(trial(index) for index in range(trials))
    store.begin_run(run_id, "quick", "t", {}, PLAN)
    for result in kept:
        store.add_trial(run_id, result)
    return Run(run_id, "quick", "t", None, {}, PLAN, kept)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"not a database, " * 64, "damaged or foreign file"), (b"SQLite format 3\x00" + b"\xff" * 4080, "found")],
)
def test_foreign_bytes_are_left_as_they_are(tmp_path: Path, content: bytes, expected: str) -> None:
    """One line with what was seen and the next step; the file is not touched."""
    path = tmp_path / "lab.db"
    path.write_bytes(content)

    with pytest.raises(StoreDamaged, match=expected) as caught:
        open_store(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert f"mv {path} {path}.damaged" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert content == path.read_bytes()


def test_another_programs_database_is_refused_and_untouched(tmp_path: Path) -> None:
    """Tables that are not ours: no WAL, no migration."""
    path = tmp_path / "lab.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.commit()
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreDamaged, match="found another program's database"):
        open_store(path)
    assert before == path.read_bytes()


def test_later_labs_database_is_refused(tmp_path: Path) -> None:
    """A version this lab does not know is named."""
    path = tmp_path / "lab.db"
    open_store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreDamaged, match=rf"a later lab's database \(version 99; this lab knows {len(MIGRATIONS)}\)"):
        open_store(path)


def test_damage_within_the_file_is_one_line(tmp_path: Path) -> None:
    """Pages overwritten in the middle: reading raises StoreDamaged and no sqlite3 error."""
    path = tmp_path / "lab.db"
    with open_store(path) as store:
        filled(store, "r1", trials=4)
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)

    with pytest.raises(StoreDamaged, match="damaged or foreign file"), open_store(path) as store:
        store.read_run("r1")


def test_kept_json_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """A row that is not what the lab wrote names what is wrong with it."""
    with open_store(tmp_path / "lab.db") as store:
        filled(store, "r1", trials=0)
        store._connection.execute("INSERT INTO trials VALUES ('r1', 0, 0, 'v', 'plain', NULL, '{\"spec\": {}}')")

        with pytest.raises(StoreDamaged, match=r"a kept run cannot be read \(TrialSpec lacks 'index'"):
            store.read_run("r1")


def test_full_disk_keeps_what_was_kept(tmp_path: Path) -> None:
    """SQLite's own limit stands in for a full disk: one line, and earlier trials are readable."""
    with open_store(tmp_path / "lab.db") as store:
        expected = filled(store, "r1")
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        big = trial(2, dict.fromkeys(range(50_000), 1))

        with pytest.raises(StoreDamaged, match=r"the disk is full; trials kept so far are safe\. Free some space"):
            store.add_trial("r1", big)
        assert expected == store.read_run("r1")


def test_read_only_database_is_explained(tmp_path: Path) -> None:
    """A refused write says what to make writable (a read-only connection: root ignores file modes)."""
    with open_store(tmp_path / "lab.db") as store:
        store._connection.execute("PRAGMA query_only = ON")

        with pytest.raises(StoreDamaged, match=r"cannot be opened for writing .*Make it and its folder writable"):
            store.begin_run("r1", "quick", "t", {}, PLAN)


def test_folder_in_place_of_the_file_is_explained(tmp_path: Path) -> None:
    """Neither a directory nor an unreachable path ends in a traceback."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreDamaged, match="cannot be opened"):
        open_store(tmp_path)
    with pytest.raises(StoreDamaged, match="Mend the folder's permissions"):
        open_store(tmp_path / "file" / "lab.db")


def test_set_aside_takes_the_log_along(tmp_path: Path) -> None:
    """Trials still in the write-ahead log move with the file, and a new one can be made."""
    path = tmp_path / "lab.db"
    store = open_store(path)
    expected = filled(store, "r1")
    target = set_aside(path, datetime(2026, 11, 23, 8, 20, 36, tzinfo=UTC))
    store.close()

    assert target is not None
    assert "lab.db.damaged-20261123T082036Z" == target.name
    with open_store(target) as moved:
        assert expected == moved.read_run("r1")
    with open_store(path) as fresh:
        assert () == fresh.list_runs()
    second = set_aside(path, datetime(2026, 11, 23, 8, 20, 36, tzinfo=UTC))
    assert second is not None
    assert "lab.db.damaged-20261123T082036Z-2" == second.name
    assert set_aside(path, datetime(2026, 11, 23, 8, 20, 36, tzinfo=UTC)) is None
