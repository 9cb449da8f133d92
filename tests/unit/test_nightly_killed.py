"""Nights that were killed: finished, judged or given up by the next one or by `lab run --resume`, and told of once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator import closing
from orchestrator import nightly as module
from orchestrator.errors import BadInput, EnvironmentMissing, StoreDamaged
from orchestrator.lock import only_one
from orchestrator.model import Lab, Run
from orchestrator.results.baseline import Accepted, accept
from orchestrator.results.folder import write_run
from orchestrator.results.nights import is_closed
from orchestrator.results.store import open_store
from orchestrator.run import Scripted
from orchestrator.verdicts.outcome import Outcome
from tests.unit.kept_runs import ended, in_child
from tests.unit.nightly_lab import LEVELS, cleared, folder, keep, lab, nights, root, runs_told_of, told
from tests.unit.nights import steady

__all__ = ["cleared", "nights", "root"]  # pytest finds the fixtures by these names


def test_a_killed_nightly_is_marked_aborted_by_the_next(root: Path, nights: list[Run | BaseException]) -> None:
    """Once, and it enters no history; a killed run that was no nightly is nobody's business here."""
    killed = cut(steady(1, LEVELS, finished=False))
    keep(root, killed)
    nights += [steady(2, LEVELS), steady(3, LEVELS)]
    first, second = lab(root, "nightly"), lab(root, "nightly")
    mark = json.loads((folder(root, killed) / "nightly.json").read_text())

    assert (killed.run_id, "aborted") == (mark["run_id"], mark["verdict"])
    assert f"run {killed.run_id} is marked aborted: killed after 39 of 40 trials, too long ago" in first.output
    assert "aborted" not in second.output
    with open_store(root / "results" / "lab.db") as store:
        assert store.read_run(killed.run_id).aborted == "killed after 39 of 40 trials, too long ago"
    assert "In 2 nights of history nothing changed." in second.output


def cut(run: Run) -> Run:
    """The last trial did not come to its end."""
    return replace(run, trials=run.trials[:-1])


def test_a_nightly_killed_an_hour_ago_is_finished_by_the_next(
    root: Path, nights: list[Run | BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tonight's: judged, reported and told of, and no other run begins. What cannot go on is given up."""
    began = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    killed, again = (replace(steady(n, LEVELS, finished=False), started_at=began) for n in (1, 2))
    keep(root, cut(killed))
    asked: list[str] = []

    def resume_run(lab: Lab, run_id: str, *_: object) -> Scripted:
        asked.append(run_id)
        if run_id == again.run_id:
            raise BadInput("kernel was 6.18, is 6.19")
        with open_store(root / "results" / "lab.db") as store:
            store.add_trial(run_id, killed.trials[-1])
            store.finish_run(run_id, "now")
            return Scripted(Outcome(store.read_run(run_id), (), ()), 0.0)

    monkeypatch.setattr(module, "resume_run", resume_run)
    done = lab(root, "nightly")
    keep(root, cut(again))
    nights.append(steady(3, LEVELS))
    changed = lab(root, "nightly")

    assert ([killed.run_id, again.run_id], 0, 0) == (asked, done.exit_code, changed.exit_code)
    assert str(folder(root, killed) / "nightly.html") == done.stdout.splitlines()[-1]
    assert f"run {again.run_id} is marked aborted: killed, and not to be resumed: kernel was 6.18" in changed.stderr
    assert [killed.run_id, steady(3, LEVELS).run_id] == [one["RUN"] for one in told(root)]


def whole(root: Path, run: Run) -> Run:
    """Keep a night as one that was killed after its last trial, before it was judged."""
    keep(root, run)
    write_run(root / "results", run)
    return run


def test_a_night_killed_before_it_was_judged_is_closed_by_the_next_once(
    root: Path, nights: list[Run | BaseException]
) -> None:
    """Judged by what was before it, reported and told of; then tonight runs; the night after catches up nothing."""
    first, late, tonight, last = (steady(n, {**LEVELS, "fast": 900.0 if n == 2 else 1000.0}) for n in range(1, 5))
    keep(root, first)
    accept(root / "results", "nightly", Accepted(first.run_id, "now"))
    whole(root, late)
    nights += [tonight, last]
    done, again = lab(root, "nightly"), lab(root, "nightly")
    document = json.loads((folder(root, late) / "nightly.json").read_text())

    assert [late.run_id, tonight.run_id, last.run_id] == runs_told_of(root)
    assert f"run {late.run_id} was killed before it was judged; judged now: regression. Report: " in done.stderr
    assert ("regression", 2, first.run_id) == tuple(document[key] for key in ("verdict", "nights", "baseline"))
    assert f"(begun {late.started_at}, judged late): regression." in told(root)[0]["TEXT"]
    assert (True, True) == ((folder(root, late) / "nightly.html").is_file(), document["closed_at"] is not None)
    assert (0, 0, False) == (done.exit_code, again.exit_code, late.run_id in again.output)


def test_a_night_killed_a_moment_ago_before_it_was_judged_is_tonights(
    root: Path, nights: list[Run | BaseException], cleared: list[Path]
) -> None:
    """No other run begins, what it left is cleared; once it is closed, the next night is one of its own."""
    began = datetime.now(UTC).isoformat(timespec="seconds")
    late = whole(root, replace(steady(1, LEVELS), started_at=began))
    done = lab(root, "nightly")
    nights.append(steady(2, LEVELS))
    again = lab(root, "nightly")

    assert (0, str(folder(root, late) / "nightly.html")) == (done.exit_code, done.stdout.splitlines()[-1])
    assert (0, [late.run_id, steady(2, LEVELS).run_id]) == (again.exit_code, runs_told_of(root))
    assert [root] == cleared


def test_a_night_with_all_trials_and_no_end_is_finished_and_not_aborted(
    root: Path, nights: list[Run | BaseException]
) -> None:
    """Killed between its last trial and the word that it is over."""
    late = whole(root, steady(1, LEVELS, finished=False))
    nights.append(steady(2, LEVELS))
    done = lab(root, "nightly")
    with open_store(root / "results" / "lab.db") as store:
        kept = store.read_run(late.run_id)

    assert (0, True, None) == (done.exit_code, kept.finished_at is not None, kept.aborted)
    assert [late.run_id, steady(2, LEVELS).run_id] == runs_told_of(root)
    assert "In 2 nights of history nothing changed." in done.output


@pytest.mark.parametrize(("step", "times_told"), [(0, 1), (1, 1), (2, 1), (3, 2)])
def test_a_night_killed_while_it_is_closed_is_closed_by_the_next(
    root: Path, monkeypatch: pytest.MonkeyPatch, step: int, times_told: int
) -> None:
    """Before the page, what it says, the telling; only a kill right after that tells again, rather than never."""
    began = datetime.now(UTC).isoformat(timespec="seconds")
    late = whole(root, replace(steady(1, LEVELS), started_at=began))

    def killed() -> None:
        for name in ("keep_report", "keep_night", "notify"):
            monkeypatch.setattr(closing, name, dies(getattr(closing, name)))
        lab(root, "nightly")

    count = 0

    def dies(function: Callable[..., object]) -> Callable[..., object]:
        def act(*args: object) -> object:
            nonlocal count
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            return function(*args)

        return act

    assert -signal.SIGKILL == ended(in_child(killed))
    done = lab(root, "nightly")

    assert (0, str(folder(root, late) / "nightly.html")) == (done.exit_code, done.stdout.splitlines()[-1])
    assert [late.run_id] * times_told == runs_told_of(root)
    assert is_closed(root / "results", late.run_id)


def test_an_earlier_night_that_cannot_be_judged_does_not_stop_tonight(
    root: Path, nights: list[Run | BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and that night goes on waiting."""
    late = whole(root, steady(1, LEVELS))

    def refuse(*_: object) -> None:
        raise StoreDamaged("the disk is odd")

    monkeypatch.setattr(module, "close_late", refuse)
    nights.append(steady(2, LEVELS))
    done = lab(root, "nightly")

    assert f"run {late.run_id} was killed before it was judged, and cannot be judged: the disk is odd" in done.stderr
    assert (0, False, [steady(2, LEVELS).run_id]) == (
        done.exit_code, is_closed(root / "results", late.run_id), runs_told_of(root)
    )  # fmt: skip


def test_a_resumed_night_is_closed_as_the_nightly_would(root: Path) -> None:
    """With its exit code, its report as the last line, by the nights before it alone, once, and without an engine."""
    first, late, later = steady(1, LEVELS), steady(2, {**LEVELS, "fast": 900.0}), steady(3, LEVELS)
    keep(root, first)
    accept(root / "results", "nightly", Accepted(first.run_id, "now"))
    whole(root, late)
    keep(root, later)
    done, again = lab(root, "run", "--resume"), lab(root, "run", "--resume", late.run_id)
    document = json.loads((folder(root, late) / "nightly.json").read_text())

    assert (1, str(folder(root, late) / "nightly.html")) == (done.exit_code, done.stdout.splitlines()[-1])
    assert "lab: a regression: Worse than the baseline: fast on plain" in done.stderr
    assert (2, [late.run_id]) == (document["nights"], runs_told_of(root))
    assert isinstance(again.exception, BadInput)
    assert "there is nothing to resume" in str(again.exception)


def test_a_nightly_at_work_closes_its_night_itself(root: Path) -> None:
    """`lab run --resume` says who is at it, and tells nobody."""
    late = whole(root, steady(1, LEVELS))
    with only_one(root / ".lab" / "nightly", "nightly of nightly"):
        done = lab(root, "run", "--resume")

    assert isinstance(done.exception, EnvironmentMissing)
    assert f"lab nightly of nightly, pid {os.getpid()}" in str(done.exception)
    assert ((root / "told").exists(), is_closed(root / "results", late.run_id)) == (False, False)
