"""A damaged database is set aside and made anew from the run folders; one that is not damaged is never touched."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.errors import StoreDamaged
from orchestrator.results import mend
from orchestrator.results.folder import run_folder, trial_file
from orchestrator.results.mend import database, has_results, open_results, set_aside
from orchestrator.results.store import open_store
from tests.unit.kept_runs import RUN_ID, ended, in_child, put, run, said_nothing

OTHER = "20261124T000000Z-quick-0000ff"


def zero_header(content: bytearray) -> None:
    content[:100] = bytes(100)


def trample_pages(content: bytearray) -> None:
    content[4096:] = b"\xa5" * (len(content) - 4096)


def cut_off(content: bytearray) -> None:
    del content[len(content) // 2 :]


def swap_pages(content: bytearray) -> None:
    size = 4096
    content[size : 2 * size], content[2 * size : 3 * size] = content[2 * size : 3 * size], content[size : 2 * size]


def nothing_left(content: bytearray) -> None:
    content.clear()


DAMAGES = [zero_header, trample_pages, cut_off, swap_pages, nothing_left]


def spoil(results: Path, damage: Callable[[bytearray], None]) -> bytes:
    """Damage the database as it lies on the disk, and return what it is now."""
    content = bytearray(database(results).read_bytes())
    damage(content)
    database(results).write_bytes(content)
    return bytes(content)


def spoil_last_page(results: Path) -> None:
    """Damage the page that was filled last: what lies before it can be read."""
    connection = sqlite3.connect(database(results))
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.close()
    spoil(results, lambda content: content.__setitem__(slice((pages - 1) * 4096, pages * 4096), b"\xa5" * 4096))


def aside(results: Path) -> list[Path]:
    return sorted(path for path in results.iterdir() if ".damaged-" in path.name)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_set_aside_and_every_run_is_back(tmp_path: Path, damage: Callable[[bytearray], None]) -> None:
    """One line; the damaged bytes are still there; the new database has all that the folders have, oldest first."""
    runs = [run(), run(6, 3, run_id=OTHER, finished=False)]
    for one in runs:
        put(tmp_path, one)
    spoilt = spoil(tmp_path, damage)
    said: list[str] = []
    with open_results(tmp_path, said.append) as store:
        assert runs == [store.read_run(RUN_ID), store.read_run(OTHER)]
        assert [OTHER, RUN_ID] == [entry.run_id for entry in store.list_runs()]

    assert 1 == len(said)
    assert "\n" not in said[0]
    assert said[0].startswith(f"{database(tmp_path)}: ")
    assert "made anew from 2 run folders (9 trials)" in said[0]
    assert [spoilt] == [path.read_bytes() for path in aside(tmp_path)]
    open_results(tmp_path, said_nothing).close()
    assert [] == [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_missing_database_is_made_from_the_folders(tmp_path: Path) -> None:
    """As after a kill between setting aside and putting the new one in place."""
    put(tmp_path, run(), database=False)
    said: list[str] = []
    assert has_results(tmp_path)
    with open_results(tmp_path, said.append) as store:
        assert run() == store.read_run()

    assert [f"{database(tmp_path)}: there was none; made anew from 1 run folders (6 trials)"] == said


def test_an_empty_folder_gets_an_empty_database_without_a_word(tmp_path: Path) -> None:
    """Nothing to mend, nothing to say."""
    assert not has_results(tmp_path / "results")
    with open_results(tmp_path / "results", said_nothing) as store:
        assert () == store.list_runs()


def test_a_trial_that_only_the_damaged_one_has_comes_along(tmp_path: Path) -> None:
    """A kill between row and file, and then a damaged page of another run: the trial is not lost."""
    put(tmp_path, run(6, 4, finished=False))
    trial_file(tmp_path, RUN_ID, run().plan.trials[3]).unlink()
    put(tmp_path, run(40, run_id=OTHER))
    spoil_last_page(tmp_path)
    said: list[str] = []
    with open_results(tmp_path, said.append) as store:
        assert run(6, 4, finished=False) == store.read_run(RUN_ID)

    assert "from 2 run folders (43 trials), 0 more runs (1 trials) from what could still be read of it" in said[0]


def test_what_can_be_read_of_the_damaged_one_comes_along(tmp_path: Path) -> None:
    """A run whose folder was pruned is in the database only; a page of another one is trampled."""
    put(tmp_path, run(), folder=False)
    put(tmp_path, run(40, run_id=OTHER))
    spoil_last_page(tmp_path)
    said: list[str] = []
    with open_results(tmp_path, said.append) as store:
        assert run() == store.read_run(RUN_ID)
        assert run(40, run_id=OTHER) == store.read_run(OTHER)

    assert "from 1 run folders (40 trials), 1 more runs (6 trials) from what could still be read of it" in said[0]


def test_a_file_that_cannot_be_read_is_named_and_costs_its_trial_only(tmp_path: Path) -> None:
    """The rest of the run is there."""
    put(tmp_path, run())
    torn = trial_file(tmp_path, RUN_ID, run().plan.trials[3])
    torn.write_text("{")
    spoil(tmp_path, zero_header)
    said: list[str] = []
    with open_results(tmp_path, said.append) as store:
        assert [0, 1, 2, 4, 5] == [trial.spec.index for trial in store.read_run().trials]
    assert f"passed over: {torn}: cannot be read (not JSON" in said[0]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [("CREATE TABLE bookmarks (url)", "another program's database"), ("PRAGMA user_version = 99", "a later lab's")],
)
def test_what_is_not_damaged_is_not_set_aside(tmp_path: Path, sql: str, expected: str) -> None:
    """Another program's and a later lab's file stay where they are, byte for byte."""
    put(tmp_path, run(), database=False)
    if "99" in sql:
        open_store(database(tmp_path)).close()
    connection = sqlite3.connect(database(tmp_path))
    connection.execute(sql)
    connection.commit()
    connection.close()
    before = database(tmp_path).read_bytes()

    with pytest.raises(StoreDamaged, match=expected):
        open_results(tmp_path, said_nothing)
    assert (before, []) == (database(tmp_path).read_bytes(), aside(tmp_path))


def test_nobody_sets_aside_what_another_command_has_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says to wait; once the other has ended, it is mended."""
    monkeypatch.setattr(mend, "_PATIENCE_S", 0.05)
    put(tmp_path, run())
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)  # as every open store does
    spoil(tmp_path, zero_header)

    with pytest.raises(StoreDamaged, match=r"another lab command has the results open\. Wait for it to end"):
        open_results(tmp_path, said_nothing)
    assert [] == aside(tmp_path)
    os.close(held)
    with open_results(tmp_path, lambda _: None) as store:
        assert run() == store.read_run()


def test_an_open_store_holds_the_folder_and_a_closed_one_does_not(tmp_path: Path) -> None:
    """What the rule above rests on."""
    store = open_store(database(tmp_path))
    other = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    store.close()
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_four_commands_that_meet_the_damage_at_once_mend_it_once(tmp_path: Path) -> None:
    """Real processes: each ends with the run whole, and one file is set aside."""
    put(tmp_path, run())
    spoil(tmp_path, trample_pages)

    def look() -> None:
        with open_results(tmp_path, lambda _: None) as store:
            assert run() == store.read_run()

    assert [0, 0, 0, 0] == [ended(pid) for pid in [in_child(look) for _ in range(4)]]
    assert 1 == len(aside(tmp_path))


@pytest.mark.parametrize(("name", "after"), [("set_aside", False), ("set_aside", True), ("sync_folder", False)])
def test_a_kill_while_mending_is_mended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, after: bool
) -> None:
    """Before the old one goes, before the new one comes, and after: nothing is lost."""
    put(tmp_path, run())
    spoil(tmp_path, trample_pages)

    def killed() -> None:
        def die(*_args: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def set_aside_and_die(path: Path, now: datetime) -> None:
            set_aside(path, now)
            die()

        monkeypatch.setattr(mend, name, set_aside_and_die if after else die)
        open_results(tmp_path, lambda _: None)

    assert -signal.SIGKILL == ended(in_child(killed))
    with open_results(tmp_path, lambda _: None) as store:
        assert run() == store.read_run()
    assert 1 == len(aside(tmp_path))


def test_a_log_without_its_database_is_not_read_into_the_new_one(tmp_path: Path) -> None:
    """lab.db was moved away by hand and its -wal forgotten: it goes aside, for its pages are another file's."""
    store = open_store(database(tmp_path))
    store.adopt(run(40, run_id=OTHER))
    log = database(tmp_path).with_name("lab.db-wal").read_bytes()
    store.close()
    database(tmp_path).unlink()
    put(tmp_path, run(), database=False)
    database(tmp_path).with_name("lab.db-wal").write_bytes(log)
    with open_results(tmp_path, lambda _: None) as again:
        assert [RUN_ID] == [entry.run_id for entry in again.list_runs()]
        assert again.find_damage() is None

    assert [log] == [path.read_bytes() for path in aside(tmp_path)]
    assert run_folder(tmp_path, RUN_ID).is_dir()
