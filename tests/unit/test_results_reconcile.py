"""Database and run folders, one of which lacks something: each thing is brought over once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.carry import take_up
from orchestrator.model import Metrics, Run
from orchestrator.results.folder import read_run_folder, run_folder, trial_file, write_run, write_trial
from orchestrator.results.mend import database
from orchestrator.results.reconcile import reconcile
from orchestrator.results.store import open_store
from tests.unit.kept_runs import RUN_ID, SESSION, put, run, trial


def nobody(_owner: Mapping[str, object]) -> bool:
    return False


def settle(results: Path) -> tuple[tuple[str, ...], Run]:
    """Reconcile twice, insist that the second time finds nothing, and return what was said and the run."""
    with open_store(database(results)) as store:
        said = reconcile(store, results, nobody)
        assert () == reconcile(store, results, nobody)
        return said, store.read_run(RUN_ID)


def test_a_trial_in_the_database_alone_is_written_into_the_folder(tmp_path: Path) -> None:
    """The kill came between the two: the third file is made from the row."""
    put(tmp_path, run(6, 2, finished=False), database=False)
    put(tmp_path, run(6, 3, finished=False), folder=False)
    said, kept = settle(tmp_path)

    assert (f"run {RUN_ID}: 1 files that its folder lacked are written",) == said
    assert run(6, 3, finished=False) == kept == read_run_folder(run_folder(tmp_path, RUN_ID)).run


def test_trials_in_the_folder_alone_are_taken_into_the_database(tmp_path: Path) -> None:
    """As after a log that was lost: the files are of record then, void reason and all."""
    put(tmp_path, run(6, 4, finished=False), database=False)
    put(tmp_path, run(6, 1, finished=False), folder=False)
    said, kept = settle(tmp_path)

    assert (f"run {RUN_ID}: 3 trials were in its folder alone and are taken over",) == said
    assert run(6, 4, finished=False) == kept


def test_a_run_in_the_folder_alone_is_taken_over_whole(tmp_path: Path) -> None:
    """Its trials, its end, what was declared and who worked on it."""
    open_store(database(tmp_path)).close()
    put(tmp_path, run(), database=False)
    said, kept = settle(tmp_path)

    assert (f"run {RUN_ID}: its folder was not in the database; 6 trials taken over",) == said
    assert run() == kept


def test_an_end_that_only_the_folder_has_counts_once_all_trials_are_there(tmp_path: Path) -> None:
    """run.json says so before the database; with a trial missing the run is not over."""
    put(tmp_path, run(6, 6), database=False)
    put(tmp_path, run(6, 5, finished=False), folder=False)
    said, kept = settle(tmp_path)

    lines = "1 trials were in its folder alone and are taken over, it had come to its end"
    assert ((f"run {RUN_ID}: {lines}",), run()) == (said, kept)
    other = tmp_path / "other"
    put(other, run(6, 6), database=False)
    put(other, run(6, 5, finished=False), folder=False)
    trial_file(other, RUN_ID, run().plan.trials[5]).unlink()
    _, kept = settle(other)
    assert (None, 5) == (kept.finished_at, len(kept.trials))


def test_a_pruned_folder_stays_pruned(tmp_path: Path) -> None:
    """A finished run needs no folder: the database has every trial."""
    put(tmp_path, run(), folder=False)
    said, kept = settle(tmp_path)

    assert ((), run()) == (said, kept)
    assert not run_folder(tmp_path, RUN_ID).exists()


@pytest.mark.parametrize("text", ["{", "[]", "", '{"spec": {}}', "\xff"])
def test_a_file_that_cannot_be_read_is_no_trial(tmp_path: Path, text: str) -> None:
    """Where the row is there it is written anew; where it is not, the trial counts as not done."""
    put(tmp_path, run(6, 3, finished=False), database=False)
    put(tmp_path, run(6, 2, finished=False), folder=False)
    for index in (1, 2):
        path = trial_file(tmp_path, RUN_ID, run().plan.trials[index])
        path.write_bytes(text.encode("latin-1"))
    said, kept = settle(tmp_path)

    assert (f"run {RUN_ID}: 1 files that its folder lacked are written",) == said
    assert run(6, 2, finished=False) == kept


def test_what_differs_is_written_as_the_database_has_it(tmp_path: Path) -> None:
    """It is of record; a file of another trial under this one's name counts as different too."""
    put(tmp_path, run(6, 2, finished=False))
    changed = trial(run().plan.trials[0], requests=99)
    write_trial(tmp_path, RUN_ID, changed)
    trial_file(tmp_path, RUN_ID, run().plan.trials[1]).write_text(
        trial_file(tmp_path, RUN_ID, run().plan.trials[0]).read_text()
    )
    said, kept = settle(tmp_path)

    assert Metrics(requests=99, errors={"µ": 2}) == changed.metrics
    assert (f"run {RUN_ID}: 2 files that its folder lacked are written",) == said
    assert run(6, 2, finished=False).trials == kept.trials == read_run_folder(run_folder(tmp_path, RUN_ID)).run.trials


def test_a_folder_with_another_plan_is_left_alone(tmp_path: Path) -> None:
    """Nothing is mixed; the line names the run."""
    put(tmp_path, run(6, 2, finished=False), folder=False)
    write_run(tmp_path, run(4, 0, finished=False))
    with open_store(database(tmp_path)) as store:
        said = reconcile(store, tmp_path, nobody)

        assert (f"run {RUN_ID}: another plan is kept under this id. Compare: lab show {RUN_ID}",) == said
        assert run(6, 2, finished=False) == store.read_run(RUN_ID)


def test_a_run_that_is_going_on_is_left_alone(tmp_path: Path) -> None:
    """Its process may be between the two writes at this very moment."""
    put(tmp_path, run(6, 2, finished=False), folder=False)
    asked = []

    def somebody(owner: Mapping[str, object]) -> bool:
        asked.append(owner)
        return True

    with open_store(database(tmp_path)) as store:
        assert () == reconcile(store, tmp_path, somebody)
    assert [run().sessions[0].owner] == asked
    assert not run_folder(tmp_path, RUN_ID).exists()


def test_folders_that_hold_no_run_are_passed_over(tmp_path: Path) -> None:
    """The benchmark's have no run.json; one that cannot be read, or says it is another's, is named."""
    runs = tmp_path / "runs"
    (runs / "bench").mkdir(parents=True)
    (runs / ".import-1").mkdir()
    write_run(tmp_path, run())
    run_folder(tmp_path, RUN_ID).rename(runs / ".import-1" / "x")
    (runs / "torn").mkdir()
    (runs / "torn" / "run.json").write_text('{"run_id": "torn"')
    write_run(tmp_path, run())
    run_folder(tmp_path, RUN_ID).rename(runs / "another")
    with open_store(database(tmp_path)) as store:
        said = reconcile(store, tmp_path, nobody)

        assert () == store.list_runs()
    assert [f"{runs}/another: passed over", f"{runs}/torn: passed over"] == [line.split(",")[0] for line in said]
    assert f"it says that it is the run '{RUN_ID}'" in said[0]


def test_the_folder_of_a_run_that_was_given_up_may_be_deleted(tmp_path: Path) -> None:
    """Pruned like any night's: what the database has is not written again, unless somebody goes on with it."""
    put(tmp_path, run(6, 3, finished=False), folder=False)
    with open_store(database(tmp_path)) as store:
        store.abort_run(RUN_ID, "t", "the next night came")
    said, kept = settle(tmp_path)
    is_there = run_folder(tmp_path, RUN_ID).exists()
    with open_store(database(tmp_path)) as store:
        take_up(store, tmp_path, replace(kept, sessions=(*kept.sessions, SESSION)))

    assert ((), False) == (said, is_there)
    assert kept.trials == read_run_folder(run_folder(tmp_path, RUN_ID)).run.trials
