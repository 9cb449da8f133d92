"""The database: what it gives back, what it refuses, and what survives."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.model import LeftOut, Metrics, Plan, Run, Session, TrialResult, TrialSpec
from orchestrator.results.store import RunEntry, Store, open_store
from tests.unit.kept_runs import ended, in_child

HOST = {"kernel": "6.1.0", "cpus": 2, "engine": {"version": "26.1"}}
SPECS = tuple(TrialSpec(i, i // 2, f"v{i % 2}", "plain", "closed", "default", 1, 1, "one") for i in range(4))
PLAN = Plan("quick", 7, SPECS, (LeftOut("seed-c", "plain", "speaks raw"),))

# Adds trials for ever, printing each index once its transaction is over.
WRITER = """
import sys
from pathlib import Path
from orchestrator.model import Metrics, Plan, TrialResult, TrialSpec
from orchestrator.results.store import open_store

path, run_id, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
histogram = dict.fromkeys(range(3000), 1)
with open_store(path) as store:
    store.begin_run(run_id, "quick", "t0", {}, Plan("quick", 0, (), ()))
    for index in range(limit):
        spec = TrialSpec(index, 0, "v", "plain", "closed", "default", 1, 1, "")
        store.add_trial(run_id, TrialResult(spec, None, Metrics(), {}, histogram, (), (), "", 0.0, 0.0))
        print(index, flush=True)
"""


def trial(index: int, void: str | None = None) -> TrialResult:
    """A finished trial of the plan."""
    return TrialResult(
        SPECS[index], void, Metrics(requests=index), {"p50_s": "none"}, {7: index}, (), ("n",), "t", 1.5, 2.5
    )


def filled(store: Store, run_id: str, trials: int = 2, finished: bool = True) -> Run:
    """Keep a run with some trials and return what reading it must give."""
    kept = tuple(trial(index) for index in range(trials))
    store.begin_run(run_id, "quick", "2026-11-23T08:20:36Z", HOST, PLAN)
    for result in kept:
        store.add_trial(run_id, result)
    if finished:
        store.finish_run(run_id, "2026-11-23T08:24:00Z")
    end = "2026-11-23T08:24:00Z" if finished else None
    return Run(run_id, "quick", "2026-11-23T08:20:36Z", end, HOST, PLAN, kept)


def writer(path: Path, run_id: str, limit: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), run_id, str(limit)], stdout=subprocess.PIPE, text=True
    )


def test_run_comes_back_as_it_went(tmp_path: Path) -> None:
    """Another process' view of the file: every value of the run, in the plan's order."""
    path = tmp_path / "results" / "lab.db"
    with open_store(path) as store:
        expected = filled(store, "r1", trials=4)

    with open_store(path) as store:
        assert expected == store.read_run("r1")


def test_trials_come_in_the_plans_order(tmp_path: Path) -> None:
    """Order of adding does not matter."""
    with open_store(tmp_path / "lab.db") as store:
        store.begin_run("r1", "quick", "t", {}, PLAN)
        for index in (2, 0, 1):
            store.add_trial("r1", trial(index))

        assert [0, 1, 2] == [result.spec.index for result in store.read_run().trials]


def test_newest_run_is_the_last_begun_and_not_the_last_by_clock(tmp_path: Path) -> None:
    """A clock that jumped back does not hide the newest run; None and "last" mean it."""
    with open_store(tmp_path / "lab.db") as store:
        filled(store, "20270101T000000Z-quick-aaaaaa")
        filled(store, "20200101T000000Z-quick-bbbbbb")

        assert ["20200101T000000Z-quick-bbbbbb"] * 2 == [store.read_run(w).run_id for w in (None, "last")]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("20261123T08", "20261123T082036Z-quick-ab12cd"), ("20261124", "20261124T000000Z"), ("x", "x"), ("x_", "x_y")],
)
def test_run_is_found_by_unique_beginning_or_whole_id(tmp_path: Path, wanted: str, expected: str) -> None:
    """A prefix suffices when unique; a whole id wins over longer ones; wildcards mean themselves."""
    with open_store(tmp_path / "lab.db") as store:
        for run_id in ("20261123T082036Z-quick-ab12cd", "20261124T000000Z", "x", "x_y", "xzy"):
            filled(store, run_id, trials=0)

        assert expected == store.read_run(wanted).run_id


def test_ambiguous_and_unknown_runs_name_what_there_is(tmp_path: Path) -> None:
    """Both are BadInput; ambiguous names the matches, unknown the newest five."""
    with open_store(tmp_path / "lab.db") as store:
        with pytest.raises(BadInput, match=r"no run is kept yet\. Try: lab run SUITE"):
            store.read_run()
        for n in range(7):
            filled(store, f"a{n}", trials=0)
        filled(store, "b0", trials=0)

        with pytest.raises(BadInput, match=r"run 'a': several runs begin so: a6, a5, a4, a3, a2 and more\. Write more"):
            store.read_run("a")
        with pytest.raises(BadInput, match=r"run 'zz': no run begins so; the newest: b0, a6, a5, a4, a3\. Write"):
            store.read_run("zz")
        with pytest.raises(BadInput, match="%"):
            store.read_run("%")


def test_list_counts_trials_and_void_ones(tmp_path: Path) -> None:
    """Newest first; a run without trials is listed too."""
    with open_store(tmp_path / "lab.db") as store:
        filled(store, "r1", trials=3)
        store.begin_run("r2", "quick", "t2", HOST, PLAN)
        store.add_trial("r2", trial(0, void="no worker"))
        store.add_trial("r2", trial(1))
        store.begin_run("r3", "long", "t3", HOST, Plan("long", 1, (), ()))

        assert (
            RunEntry("r3", "long", "t3", None, 0, 0, 0),
            RunEntry("r2", "quick", "t2", None, 4, 2, 1),
            RunEntry("r1", "quick", "2026-11-23T08:20:36Z", "2026-11-23T08:24:00Z", 4, 3, 0),
        ) == store.list_runs()


def test_constructor_touches_nothing(tmp_path: Path) -> None:
    """Only open_store makes the file."""
    Store(tmp_path / "lab.db", sqlite3.connect(":memory:")).close()

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trials SET void = NULL",
        "DELETE FROM trials",
        "UPDATE runs SET suite = 'x'",
        "DELETE FROM runs",
        "UPDATE run_ends SET finished_at = 'x'",
        "DELETE FROM run_ends",
        "UPDATE run_sessions SET changes = '[]'",
        "DELETE FROM run_aborts",
    ],
)
def test_tables_refuse_to_forget(tmp_path: Path, statement: str) -> None:
    """Append-only holds for anyone who opens the file."""
    with open_store(tmp_path / "lab.db") as store:
        filled(store, "r1")
        store.add_session("r1", Session("t", {}))
        store.abort_run("r1", "t", "why")
    connection = sqlite3.connect(tmp_path / "lab.db")

    with pytest.raises(sqlite3.IntegrityError, match="is append-only"):
        connection.execute(statement)
    connection.close()


def test_trial_is_kept_once_and_only_in_a_known_run(tmp_path: Path) -> None:
    """The same trial twice, and a trial of no run, are the lab's own mistakes and raise."""
    with open_store(tmp_path / "lab.db") as store:
        filled(store, "r1")
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            store.add_trial("r1", trial(0))
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            store.add_trial("r9", trial(0))

        assert 2 == len(store.read_run("r1").trials)


def test_a_run_is_adopted_once(tmp_path: Path) -> None:
    """What is kept stays, what is missing is added, the end once all is there; another plan is refused."""
    whole = Run("r1", "quick", "t", "end", HOST, PLAN, tuple(trial(index) for index in range(4)))
    with open_store(tmp_path / "lab.db") as store:
        assert store.adopt(replace(whole, trials=whole.trials[:1], finished_at=None)) is None
        assert 1 == store.adopt(replace(whole, trials=whole.trials[:2]))
        assert store.read_run("r1").finished_at is None
        assert 2 == store.adopt(whole)
        assert 0 == store.adopt(whole)
        assert whole == store.read_run("r1")
        with pytest.raises(BadInput, match="another plan is kept under this id"):
            store.adopt(replace(whole, plan=replace(PLAN, seed=8)))
        assert whole == store.read_run("r1")


def test_sessions_and_what_was_declared_come_back(tmp_path: Path) -> None:
    """In the order of their beginnings; the list names the last one's owner."""
    first, second = Session("a", {"pid": 1}), Session("b", {"pid": 2}, ("image x was 1, is 2",))
    run = Run("r1", "quick", "t", None, HOST, PLAN, (), {"scenario plain": {"delay_s": 0.5}}, (first,))
    with open_store(tmp_path / "lab.db") as store:
        store.begin(run)
        store.add_session("r1", second)

        assert replace(run, sessions=(first, second)) == store.read_run("r1")
        assert [{"pid": 2}] == [entry.owner for entry in store.list_runs()]


def test_an_end_and_a_reason_stay_the_first(tmp_path: Path) -> None:
    """A run is finished once, aborted once; one that is finished after all is not aborted any more."""
    with open_store(tmp_path / "lab.db") as store:
        filled(store, "r1", finished=False)
        for reason in ("the disk", "another"):
            store.abort_run("r1", "t", reason)
        aborted = store.read_run("r1").aborted
        for end in ("first", "second"):
            store.finish_run("r1", end)

        assert ("the disk", "first", None) == (
            aborted,
            (found := store.read_run("r1")).finished_at,
            found.aborted,
        )


def test_killed_writer_loses_no_trial_it_reported(tmp_path: Path) -> None:
    """kill -9 while adding: every reported trial is there, the run reads as unfinished, the file is whole."""
    path = tmp_path / "lab.db"
    process = writer(path, "r1", 1_000_000)
    assert process.stdout is not None
    reported = [int(process.stdout.readline()) for _ in range(25)]
    os.kill(process.pid, signal.SIGKILL)
    reported += [int(line) for line in process.stdout.read().splitlines()]
    process.stdout.close()

    assert -signal.SIGKILL == process.wait(timeout=30)
    with open_store(path) as store:
        run = store.read_run("r1")
    kept = [result.spec.index for result in run.trials]
    assert list(range(len(kept))) == kept
    assert len(reported) <= len(kept) <= len(reported) + 1  # one may be safe but not yet reported
    assert run.finished_at is None
    assert {3000} == {len(result.histogram_us) for result in run.trials}
    connection = sqlite3.connect(path)
    assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()


def test_openers_at_once_see_one_database(tmp_path: Path) -> None:
    """Six processes open a database that none of them finds: nobody meets a half of another's schema."""
    for number in range(10):
        path = tmp_path / str(number) / "lab.db"
        children = [in_child(lambda path=path: open_store(path).close()) for _ in range(6)]  # type: ignore[misc]

        assert [0] * 6 == [ended(pid) for pid in children]


@pytest.mark.timeout(300)
def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    """All three make the file and append side by side; each finds all of its own trials.

    Every tenth trial each waits for the others: however the machine spreads its time, none has done before all have.
    """
    path, together = tmp_path / "lab.db", multiprocessing.get_context("fork").Barrier(3)
    histogram = dict.fromkeys(range(3000), 1)

    def write(run_id: str) -> None:
        together.wait()
        with open_store(path) as store:
            store.begin_run(run_id, "quick", "t0", {}, Plan("quick", 0, (), ()))
            for index in range(60):
                if index % 10 == 0:
                    together.wait()
                spec = TrialSpec(index, 0, "v", "plain", "closed", "default", 1, 1, "")
                store.add_trial(run_id, TrialResult(spec, None, Metrics(), {}, histogram, (), (), "", 0.0, 0.0))

    children = [in_child(lambda run_id=run_id: write(run_id)) for run_id in ("r0", "r1", "r2")]  # type: ignore[misc]

    assert [0, 0, 0] == [ended(pid) for pid in children]
    with open_store(path) as store:
        assert [list(range(60))] * 3 == [
            [result.spec.index for result in store.read_run(f"r{n}").trials] for n in range(3)
        ]
