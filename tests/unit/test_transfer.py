"""A run as one file: all of it arrives, once, or nothing of it does."""

from __future__ import annotations

import hashlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator import transfer
from orchestrator.carry import new_session, open_settled
from orchestrator.errors import BadInput, StoreDamaged
from orchestrator.results.folder import run_folder, write_trial
from orchestrator.results.mend import database, open_results
from orchestrator.results.store import Store, open_store
from orchestrator.transfer import export_run, import_run
from tests.unit.kept_runs import RUN_ID, ended, in_child, put, run, said_nothing, trial
from tests.unit.two_labs import contents, exported, here, there

__all__ = ["here", "there"]  # pytest finds the fixtures by these names


def test_a_run_arrives_as_it_was(here: Path, there: Path, tmp_path: Path) -> None:
    """Every file of the folder, byte for byte, and every value of the run; what a killed write left stays behind."""
    done = export_run(here, None, tmp_path / "run.tar.gz", said_nothing)
    came = import_run(there, done.path, said_nothing)
    folder = run_folder(there / "results", RUN_ID)

    assert contents(run_folder(here / "results", RUN_ID)) == contents(folder)
    assert {"report.html", "run.json", "series/003.bin"} <= set(contents(folder))
    assert (9, True) == (done.files, came.is_new)
    assert hashlib.sha256(done.path.read_bytes()).hexdigest() == done.sha256
    assert came.run.imported_at is not None
    assert run() == replace(came.run, imported_at=None)
    assert [] == [path.name for path in (there / "results").iterdir() if path.name.startswith(".")]


def test_the_same_run_is_the_same_file_and_travels_on_unchanged(here: Path, there: Path, tmp_path: Path) -> None:
    """Exported twice, and once more from where it was imported: the same bytes."""
    first = exported(here, tmp_path / "1.tar.gz").read_bytes()
    os.utime(run_folder(here / "results", RUN_ID) / "run.json", (0, 0))
    exported(here, tmp_path / "1.tar.gz")
    import_run(there, tmp_path / "1.tar.gz", said_nothing)

    assert first == exported(here, tmp_path / "2.tar.gz").read_bytes()
    assert first == export_run(there, RUN_ID, tmp_path / "3.tar.gz", said_nothing).path.read_bytes()


def test_an_import_is_done_once(here: Path, there: Path, tmp_path: Path) -> None:
    """The second time nothing is new, also where the run was carried out; a report made since is left alone."""
    file = exported(here, tmp_path / "run.tar.gz")
    run_folder(here / "results", RUN_ID).joinpath("report.html").write_text("<p>newer")

    assert [True, False, False] == [import_run(root, file, said_nothing).is_new for root in (there, there, here)]
    with open_store(database(there / "results")) as store:
        assert [(RUN_ID, 6)] == [(entry.run_id, entry.finished) for entry in store.list_runs()]
    assert "<p>newer" == run_folder(here / "results", RUN_ID).joinpath("report.html").read_text()
    assert run() == open_store(database(here / "results")).read_run()  # and it is still nobody's import


def test_a_pruned_folder_is_filled_from_a_file(here: Path, tmp_path: Path) -> None:
    """The database had it all along; the raw files come back."""
    file = exported(here, tmp_path / "run.tar.gz")
    folder = run_folder(here / "results", RUN_ID)
    before = contents(folder)
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()

    assert import_run(here, file, said_nothing).is_new
    assert before == contents(folder)


def test_an_imported_run_is_not_the_newest_of_this_machine(here: Path, there: Path, tmp_path: Path) -> None:
    """`lab show` without a name goes on to mean what was run here."""
    file = exported(here, tmp_path / "run.tar.gz")
    own = run(run_id="20200101T000000Z-own-000000")
    put(there / "results", own)
    import_run(there, file, said_nothing)

    with open_results(there / "results", said_nothing) as store:
        assert own == store.read_run()
        assert RUN_ID == store.read_run("2026").run_id


def test_an_unfinished_run_travels_and_one_that_is_going_on_does_not(there: Path, tmp_path: Path) -> None:
    """Half of a trial's figures are nobody's result."""
    put(there / "results", run(6, 2, finished=False))
    export_run(there, None, tmp_path / "half.tar.gz", said_nothing)
    came = import_run(tmp_path / "third", tmp_path / "half.tar.gz", said_nothing)
    with open_store(database(there / "results")) as store:
        store.add_session(RUN_ID, new_session(RUN_ID))

    assert (2, None) == (len(came.run.trials), came.run.finished_at)
    with pytest.raises(BadInput, match=rf"run {RUN_ID}: is going on\. Wait for its end"):
        export_run(there, None, tmp_path / "2.tar.gz", said_nothing)


@pytest.mark.parametrize("what", ["a trial's figures", "another end", "more trials", "a file"])
def test_other_content_of_a_run_that_is_here_is_refused(here: Path, there: Path, tmp_path: Path, what: str) -> None:
    """One line; neither database nor folder changes."""
    file = exported(here, tmp_path / "run.tar.gz")
    other = {
        "a trial's figures": replace(run(), trials=(trial(run().plan.trials[0], requests=99), *run().trials[1:])),
        "another end": replace(run(), finished_at="2027"),
        "more trials": run(6, 3, finished=False),
    }.get(what, run())
    put(there / "results", other)
    if what == "a file":
        (run_folder(there / "results", RUN_ID) / "series").mkdir()
        (run_folder(there / "results", RUN_ID) / "series" / "003.bin").write_bytes(b"other")
    before = contents(run_folder(there / "results", RUN_ID))

    with pytest.raises(BadInput, match=f"run {RUN_ID} is here already with other content") as caught:
        import_run(there, file, said_nothing)
    assert "\n" not in str(caught.value)
    assert before == contents(run_folder(there / "results", RUN_ID))
    with open_results(there / "results", said_nothing) as store:
        assert other == store.read_run()


def test_an_export_replaces_nothing_and_leaves_nothing_half(here: Path, tmp_path: Path) -> None:
    """Another file under its name stays; a link in the run's folder ends it."""
    out = tmp_path / "run.tar.gz"
    out.write_text("mine")
    with pytest.raises(BadInput, match=r"is there already with other content\. Move it away, or write --out FILE"):
        exported(here, out)
    (run_folder(here / "results", RUN_ID) / "link").symlink_to("/etc/passwd")
    with pytest.raises(StoreDamaged, match="expected a plain file, found a link"):
        exported(here, tmp_path / "2.tar.gz")
    with pytest.raises(StoreDamaged, match=r"link|expected to write the export"):
        exported(here, tmp_path / "nowhere" / "3.tar.gz")

    assert "mine" == out.read_text()
    assert ["here", "run.tar.gz"] == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("step", ["unpack_archive", "open_results", "adopt"])
def test_an_import_that_is_killed_is_done_by_the_next_start(
    here: Path, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before the run is in place nothing of it is seen; once its folder is there, the next command takes it over."""
    file = exported(here, tmp_path / "run.tar.gz")

    def killed() -> None:
        def die(*_args: object, **_options: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(Store if step == "adopt" else transfer, step, die)
        import_run(there, file, said_nothing)

    assert -signal.SIGKILL == ended(in_child(killed))
    with open_settled(there / "results", lambda _: None) as store:
        assert (1 if step == "adopt" else 0) == len(store.list_runs())
    monkeypatch.setattr(transfer, "_LEFT_S", -1.0)

    assert (step != "adopt") == import_run(there, file, said_nothing).is_new
    assert ["lab.db", "runs"] == sorted(path.name for path in (there / "results").iterdir())
    with open_store(database(there / "results")) as store:
        assert run() == replace(store.read_run(RUN_ID), imported_at=None)
        assert store.read_run(RUN_ID).imported_at is not None


def test_imports_at_once_take_it_in_once(here: Path, there: Path, tmp_path: Path) -> None:
    """Four real processes with the same file: all end well, one run is there."""
    file = exported(here, tmp_path / "run.tar.gz")

    def take() -> None:
        import_run(there, file, lambda _: None)

    assert [0, 0, 0, 0] == [ended(pid) for pid in [in_child(take) for _ in range(4)]]
    with open_results(there / "results", said_nothing) as store:
        assert [(RUN_ID, 6)] == [(entry.run_id, entry.finished) for entry in store.list_runs()]
    assert contents(run_folder(here / "results", RUN_ID)) == contents(run_folder(there / "results", RUN_ID))


def test_a_trial_that_the_folder_lacks_is_exported_from_the_database(here: Path, there: Path, tmp_path: Path) -> None:
    """The database is of record; a file that says something else does not travel."""
    write_trial(here / "results", RUN_ID, trial(run().plan.trials[4], requests=99))
    next(run_folder(here / "results", RUN_ID).glob("trial-002*")).unlink()

    assert run().trials == import_run(there, exported(here, tmp_path / "run.tar.gz"), said_nothing).run.trials
