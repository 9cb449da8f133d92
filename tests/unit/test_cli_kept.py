"""Kept runs at the command line: shown, resumed, carried from one lab to another."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.results.store import open_store
from orchestrator.run import Scripted
from orchestrator.verdicts.outcome import judge
from tests.unit.lab_command import SOUND, Command, Done, files_here, lab, make_run

__all__ = ["lab"]  # pytest finds the fixture by this name


def test_show_without_results_names_the_next_step(lab: Command) -> None:
    """Bad input, and no database is made by looking for one."""
    done = lab("show")

    assert (2, "", "/results/lab.db: there are no results yet. Next: lab run quick\n") == (
        done.code,
        done.out,
        done.err[-63:],
    )
    assert (1, ["s"]) == (len(done.err.splitlines()), files_here())


def test_show_finds_a_run_by_the_beginning_of_its_id(lab: Command) -> None:
    """The list names it; a beginning that none has is bad input."""
    run = make_run({"c-epoll": "no worker", "seed-c": None})
    Path("results").mkdir()
    with open_store(Path("results/lab.db")) as store:
        store.begin_run(run.run_id, "quick", "a", {}, run.plan)
        store.add_trial(run.run_id, run.trials[0])

    state = f"unfinished: 1 of 2 trials kept; go on with: lab run --resume {run.run_id}"
    assert Done(0, f"{run.run_id}  quick  {state}\n", "") == lab("show", "--list")
    assert run.run_id == json.loads(lab("show", "--json", "20261123").out)["run_id"]
    assert (2, "", 1) == ((done := lab("show", "2027")).code, done.out, len(done.err.splitlines()))


@pytest.mark.parametrize(
    "more", [["--trials", "2"], ["--seed", "1"], ["--locustfile", "x.py"], ["--users", "5"], ["--variant", "c-epoll"]]
)
def test_a_run_is_resumed_as_it_was_planned(lab: Command, more: list[str]) -> None:
    """Whatever would change the plan is refused before anything starts."""
    done = lab("--file", SOUND, "run", "--resume", *more)

    assert (2, False) == (done.code, lab.engine_was_called)
    assert Done(2, "", done.err) == done
    assert done.err.startswith("lab: --resume goes on with a run as it was planned")


def test_a_resumed_run_ends_as_any_other(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's name and --attempt reach the story; tables and exit code are those of `lab run`."""
    asked: list[object] = []

    def resumed(_lab: object, wanted: str | None, *_: object, attempt: bool) -> Scripted:
        asked.append((wanted, attempt))
        return Scripted(judge(make_run({"c-epoll": "no worker"})), 1.25)

    monkeypatch.setattr(cli.run, "resume_run", resumed)

    assert [4, 4] == [
        lab("--file", SOUND, "run", "--resume").code, lab("--file", SOUND, "run", "--resume", "2026", "--attempt").code
    ]  # fmt: skip
    assert [(None, False), ("2026", True)] == asked


def test_a_run_is_carried_from_one_lab_to_another(lab: Command) -> None:
    """Export says where to and the digest; import says what came; the second time it is here already."""
    run = make_run({"c-epoll": None, "seed-c": "no worker"})
    Path("results").mkdir()
    with open_store(Path("results/lab.db")) as store:
        store.adopt(run)
    exported = lab("export")
    file = f"{run.run_id}.tar.gz"
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()

    assert (0, "") == (exported.code, exported.err)
    assert f"{file}: run {run.run_id}, 3 files, " == exported.out[: len(f"{file}: run {run.run_id}, 3 files, ")]
    assert f", SHA-256 {digest}\n" == exported.out[-len(f", SHA-256 {digest}\n") :]
    other = Path("other")
    other.mkdir()
    said = f"{file}: run {run.run_id}: "
    seen = f". See it: lab show {run.run_id}\n"
    assert [Done(0, f"{said}2 of 2 trials taken in{seen}", ""), Done(0, f"{said}is here already{seen}", "")] == [
        lab("--file", "other/lab.yaml", "import", file) for _ in range(2)
    ]
    assert run.run_id == json.loads(lab("--file", "other/lab.yaml", "show", "--json", run.run_id).out)["run_id"]


def test_what_cannot_be_carried_is_bad_input(lab: Command) -> None:
    """No results, no such run, no such file: 2, one line, nothing written."""
    Path("torn.tar.gz").write_bytes(b"\x1f\x8b")
    for arguments, said in (
        (["export"], "there are no results yet. Next: lab run quick"),
        (["import", "none.tar.gz"], "lab: none.tar.gz: expected a file that lab export wrote, found none there"),
        (["import", "torn.tar.gz"], "lab: torn.tar.gz: expected a run that lab export wrote, found not a whole tar.gz"),
    ):
        done = lab(*arguments)
        assert (2, "", 1) == (done.code, done.out, len(done.err.splitlines()))
        assert said in done.err
    assert [] == [path.name for path in Path("results").iterdir()]
