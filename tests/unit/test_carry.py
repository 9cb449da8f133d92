"""A run that is killed, at any point, is resumed until it is whole: no trial is lost, none is counted twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import carry as story
from orchestrator.model import TrialSpec
from orchestrator.results.folder import read_run_folder, run_folder
from orchestrator.results.mend import database, open_results
from orchestrator.results.store import Store, open_store
from tests.unit.kept_runs import RUN_ID, carry, ended, in_child, plan, put, run, said_nothing

MOMENTS = 20


class Log:
    """Which trials were carried out, by which process; written by children that may be killed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, spec: TrialSpec) -> None:
        with self.path.open("a") as file:
            file.write(f"{spec.index} {os.getpid()}\n")

    def read(self) -> list[tuple[int, int]]:
        """Return (index of the trial, pid) in the order of their beginnings."""
        if not self.path.exists():
            return []
        return [(int(index), int(pid)) for index, pid in (line.split() for line in self.path.read_text().splitlines())]


def die_before_step(monkeypatch: pytest.MonkeyPatch, number: int | None) -> Callable[[], int]:
    """Make this process kill itself right before its step `number` (from 0); return what tells how many there were.

    A step is each write of the story into the database or a folder, and each flush of a file within these.
    """
    count = 0

    def told(function: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **options: object) -> object:
            nonlocal count
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            return function(*args, **options)

        return step

    for name in ("begin", "add_session", "add_trial", "finish_run", "adopt"):
        monkeypatch.setattr(Store, name, told(getattr(Store, name)))
    for name in ("write_run", "write_trial"):
        monkeypatch.setattr(story, name, told(getattr(story, name)))
    monkeypatch.setattr(os, "fsync", told(os.fsync))
    return lambda: count


def assert_whole(results: Path, trials: int, log: Log, kills: int) -> None:
    """Database and folder say the same, each trial is there once, and it is what its last execution gave."""
    with open_results(results, said_nothing) as store:
        kept = store.read_run(RUN_ID)
        entries = store.list_runs()
    executions = log.read()

    assert [(trials, trials)] == [(entry.planned, entry.finished) for entry in entries]
    assert list(plan(trials).trials) == [result.spec for result in kept.trials]
    assert kept.finished_at is not None
    assert dict(executions) == {result.spec.index: result.metrics.requests for result in kept.trials}
    assert sorted(index for index, _ in executions) == [index for index, _ in executions]  # the plan's order throughout
    assert trials <= len(executions) <= trials + kills  # only the interrupted one was done again
    there = read_run_folder(run_folder(results, RUN_ID))
    assert ((), kept.trials, kept.finished_at) == (there.unreadable, there.run.trials, there.run.finished_at)
    assert [] == [path.name for path in run_folder(results, RUN_ID).iterdir() if path.suffix not in (".json", ".tmp")]


def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL before each write and each flush of a run of two trials in turn, then a resumption to the end."""
    steps = 0
    for number in range(200):
        results, log = tmp_path / f"at-{number}", Log(tmp_path / f"log-{number}")

        def killed(results: Path = results, log: Log = log, number: int = number) -> None:
            die_before_step(monkeypatch, number)
            carry(results, 2, log)

        code = ended(in_child(killed))
        if code == 0:
            steps = number
            break
        assert -signal.SIGKILL == code
        before = len(log.read())
        assert 0 == ended(in_child(lambda results=results, log=log: carry(results, 2, log)))  # type: ignore[misc]
        assert_whole(results, 2, log, kills=1)
        assert before <= len(log.read())
    # begin and run.json; of each of two trials row and file; run.json and the end; a file's content and folder: two
    assert 8 + 4 * 2 == steps


def test_a_resumption_that_is_killed_at_any_step_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for a process that goes on with a run whose first trial is kept, in the folder alone."""
    steps = 0
    for number in range(200):
        results, log = tmp_path / f"at-{number}", Log(tmp_path / f"log-{number}")
        put(results, run(3, 1, finished=False), database=False)
        put(results, run(3, 0, finished=False), folder=False)

        def killed(results: Path = results, log: Log = log, number: int = number) -> None:
            die_before_step(monkeypatch, number)
            carry(results, 3, log)

        code = ended(in_child(killed))
        if code == 0:
            steps = number
            break
        assert 0 == ended(in_child(lambda results=results, log=log: carry(results, 3, log)))  # type: ignore[misc]
        with open_results(results, said_nothing) as store:
            kept = store.read_run(RUN_ID)
        assert list(plan(3).trials) == [result.spec for result in kept.trials]
        assert 0 == kept.trials[0].metrics.requests  # the first is the one that was kept, not done again
        assert [1, 2] == sorted({index for index, _ in log.read()})
        assert read_run_folder(run_folder(results, RUN_ID)).run.trials == kept.trials
    assert steps > 12


@pytest.mark.timeout(120)
def test_killed_at_twenty_random_moments_a_run_is_completed(tmp_path: Path) -> None:
    """Processes that go on with a run are killed at seeded moments; one more brings it to its end.

    A moment is some time after a process' start, or after it began so many trials. Which of the two, and how many,
    is drawn beforehand, and a process begins no more than so many: a slow machine changes nothing.
    """
    moments = random.Random(20)
    results, log = tmp_path / "results", Log(tmp_path / "log")
    begun = [0] * (MOMENTS // 4) + [moments.randrange(2, 6) for _ in range(MOMENTS - MOMENTS // 4)]
    moments.shuffle(begun)
    trials = sum(max(most, 1) for most in begun) + 1
    reached = []
    for allowed in begun:
        before = len(log.read())

        def executed(spec: TrialSpec, most: int = before + max(allowed, 1)) -> None:
            if len(log.read()) >= most:
                time.sleep(600.0)  # its moment has come; the signal is on its way
            log(spec)

        pid = in_child(lambda executed=executed: carry(results, trials, executed, pause_s=0.005))  # type: ignore[misc]
        while allowed and len(log.read()) < before + allowed:
            assert (0, 0) == os.waitpid(pid, os.WNOHANG), "the process ended before its moment came"
            time.sleep(0.001)
        time.sleep(moments.uniform(0.0, 0.02 if allowed else 0.1))
        os.kill(pid, signal.SIGKILL)
        assert -signal.SIGKILL == ended(pid), "the run ended before its moment came"
        reached.append(max((index for index, _ in log.read()), default=-1))
    assert 0 == ended(in_child(lambda: carry(results, trials, log)))

    assert_whole(results, trials, log, kills=MOMENTS)
    assert len(set(reached)) >= len([most for most in begun if most])  # the moments were spread over the run
    with open_results(results, said_nothing) as store:
        sessions = store.read_run(RUN_ID).sessions
    assert 2 <= len(sessions) <= MOMENTS + 1


def test_two_orchestrators_and_readers_at_once_lose_nothing(tmp_path: Path) -> None:
    """Three runs carried out side by side, none of whose database existed, while another process reads and settles."""
    results, ids = tmp_path / "results", [f"{RUN_ID[:-1]}{n}" for n in range(3)]
    logs = [Log(tmp_path / run_id) for run_id in ids]

    def read_on() -> None:
        for _ in range(20):
            story.open_settled(results, lambda _: None).close()

    children = [
        in_child(lambda run_id=run_id, log=log: carry(results, 12, log, run_id=run_id))  # type: ignore[misc]
        for run_id, log in zip(ids, logs, strict=True)
    ]
    children.append(in_child(read_on))

    assert [0, 0, 0, 0] == [ended(pid) for pid in children]
    with open_results(results, said_nothing) as store:
        runs = [store.read_run(run_id) for run_id in ids]
    assert [list(range(12))] * 3 == [[result.spec.index for result in one.trials] for one in runs]
    assert [12, 12, 12] == [len(log.read()) for log in logs]
    assert [True] * 3 == [one.finished_at is not None for one in runs]


def test_trials_after_a_change_say_so(tmp_path: Path) -> None:
    """The run keeps who went on with it and what was no longer the same; each later trial carries it as a note."""
    results, log = tmp_path / "results", Log(tmp_path / "log")
    put(results, run(3, 2, finished=False))
    carry(results, 3, log, changes=("image c-epoll was 01, is 02",))
    with open_store(database(results)) as store:
        kept = store.read_run(RUN_ID)

    said = "made after the run was resumed although image c-epoll was 01, is 02"
    assert [("n",), ("n",), ("n", said)] == [result.notes for result in kept.trials]
    assert [(), ("image c-epoll was 01, is 02",)] == [session.changes for session in kept.sessions]
    assert read_run_folder(run_folder(results, RUN_ID)).run.sessions == kept.sessions
