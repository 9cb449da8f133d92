"""`lab run --resume`: which run it takes, what it refuses, and what it leaves to the engine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from orchestrator import resume
from orchestrator.carry import begin, go_on, new_session, take_up
from orchestrator.config.load import load_lab
from orchestrator.errors import BadInput
from orchestrator.model import Lab, Plan, Run, TrialSpec
from orchestrator.planning.plan import make_plan
from orchestrator.planning.sameness import declared
from orchestrator.report.progress import Progress
from orchestrator.results.folder import write_run
from orchestrator.results.mend import database, open_results
from orchestrator.results.store import RunEntry, open_store
from orchestrator.resume import abort_run, resume_run, state_in_words
from orchestrator.verdicts.outcome import Outcome, judge
from tests.unit.kept_runs import RUN_ID, trial
from tests.unit.lab_files import write_lab

TEXT = """\
profiles:
  default: {nofile: 65536}
scenarios:
  plain: {kind: closed, connections: 5, measure: 1s}
suites:
  quick: {scenarios: [plain], variants: all, trials: 4}
"""
HOST = {"kernel": "6.1.0", "images": {"c-epoll": "01", "swarm": "02"}}


class Bench:
    """Stands in for engine and control plane: notes what was asked of them, and carries trials out at once."""

    def __init__(self) -> None:
        self.host: dict[str, object] = dict(HOST)
        self.asked: list[str] = []
        self.cleared: list[Path] = []
        self.done: list[int] = []

    def lay_ground(self, _lab: Lab, profile: str, variants: Any, *_rest: object) -> SimpleNamespace:
        self.asked.append(f"ground {profile} {','.join(variants)}")
        return SimpleNamespace(facts=self.host)

    @contextlib.contextmanager
    def under_control(self, lab: Lab, *_rest: object) -> Iterator[tuple[Lab, SimpleNamespace]]:
        self.asked.append("control")
        yield lab, SimpleNamespace(master_url="http://m", prometheus_url="http://p")
        self.asked.append("gone")

    def carry_on(self, lab: Lab, _ground: object, _control: object, run: Run, progress: Progress) -> Outcome:
        def execute(spec: TrialSpec) -> Any:
            self.done.append(spec.index)
            return trial(spec)

        results = lab.root / "results"
        with open_results(results, progress.say) as store:
            take_up(store, results, run)
            return judge(go_on(store, results, run, execute, progress, lambda _: 1.0))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    for name in ("lay_ground", "under_control", "carry_on"):
        monkeypatch.setattr(resume, name, getattr(made, name))
    monkeypatch.setattr(resume, "clear_left", lambda root, _say: made.cleared.append(root))
    return made


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return load_lab(write_lab(tmp_path, "c-epoll", text=TEXT))


def killed(lab: Lab, kept: int, run_id: str = RUN_ID, **changes: Any) -> Run:
    """Keep a run of four trials as a killed command leaves it."""
    plan = replace(make_plan(lab, "quick", nofile_granted=None), seed=99)
    made = Run(run_id, "quick", "t", None, HOST, plan, (), declared(lab, plan), (_session_of_another_boot(),))
    made = replace(made, **changes)
    with open_store(database(lab.root / "results")) as store:
        begin(store, lab.root / "results", made)
        for spec in plan.trials[:kept]:
            store.add_trial(run_id, trial(spec))
    return made


def _session_of_another_boot() -> Any:
    session = new_session(RUN_ID)
    return replace(session, owner={**session.owner, "boot_id": "another"})


def go(lab: Lab, wanted: str | None = None, *, attempt: bool = False) -> tuple[Run, list[str]]:
    """Resume, and return the run and what was said."""
    said: list[str] = []
    progress = Progress(Console(file=StringIO()))
    return resume_run(lab, wanted, progress, said.append, attempt=attempt).outcome.run, said


def kept_run(lab: Lab, run_id: str = RUN_ID) -> Run:
    with open_store(database(lab.root / "results")) as store:
        return store.read_run(run_id)


def test_a_killed_run_goes_on_where_it_was(lab: Lab, bench: Bench) -> None:
    """The stored plan, seed and order, not a new one; what is kept is not done again; one more session."""
    was = killed(lab, 1)
    done, said = go(lab)

    assert ["ground default c-epoll", "control", "gone"] == bench.asked
    assert [1, 2, 3] == bench.done
    assert (was.plan, 99, 4) == (done.plan, done.plan.seed, len(done.trials))
    assert done.finished_at is not None
    assert [(), ()] == [session.changes for session in done.sessions]
    assert f"run {RUN_ID} goes on: 1 of 4 trials are kept; live: http://m and http://p" in said
    assert done == kept_run(lab)


def test_a_run_whose_last_act_was_missing_needs_no_engine(lab: Lab, bench: Bench) -> None:
    """All trials are kept: it is marked finished, what the killed command left is cleared, and that is all."""
    killed(lab, 4)
    done, said = go(lab)

    assert ([], [lab.root], True) == (bench.asked, bench.cleared, done.finished_at is not None)
    assert f"run {RUN_ID}: all 4 trials are kept; it is finished now" in said
    document = json.loads((lab.root / "results" / "runs" / RUN_ID / "run.json").read_text())
    assert done.finished_at == document["finished_at"]


def test_a_run_that_only_its_folder_knows_to_be_over_is_over(lab: Lab, bench: Bench) -> None:
    """The kill came right before the database was told: resuming it is fine, and does nothing."""
    was = killed(lab, 4)
    write_run(lab.root / "results", replace(was, finished_at="then"))
    done, said = go(lab)

    assert ([], "then") == (bench.asked, done.finished_at)
    assert said[-1].startswith(f"run {RUN_ID}: it had come to its end")
    with pytest.raises(BadInput, match="no run is unfinished"):
        go(lab)


def test_the_newest_that_waits_is_taken_unless_one_is_named(lab: Lab, bench: Bench) -> None:
    """Finished, aborted and imported ones do not wait; an aborted one may be named."""
    killed(lab, 3, "20260101T000000Z-quick-000001")
    killed(lab, 3, "20260102T000000Z-quick-000002")
    killed(lab, 3, "20260103T000000Z-quick-000003", imported_at="then")
    killed(lab, 3, "20260104T000000Z-quick-000004")
    assert "20260104T000000Z-quick-000004" == abort_run(lab.root, None, "the next night came", lambda _: None)
    assert "20260102T000000Z-quick-000002" == go(lab)[0].run_id
    assert "20260101T000000Z-quick-000001" == go(lab)[0].run_id
    with pytest.raises(BadInput, match=r"no run is unfinished; expected one that was killed\. Try: lab show --list"):
        go(lab)
    aborted, _ = go(lab, "20260104")

    assert ("20260104T000000Z-quick-000004", None) == (aborted.run_id, aborted.aborted)
    assert aborted.finished_at is not None
    with pytest.raises(BadInput, match=r"20260104T000000Z-quick-000004: finished at .*there is nothing to resume"):
        go(lab, "20260104")


@pytest.mark.parametrize("by", ["image", "kernel", "scenario", "not kept"])
def test_what_changed_is_named_and_refused_unless_the_person_insists(lab: Lab, bench: Bench, by: str) -> None:
    """Exit code 2, nothing carried out; with --attempt it goes on, and run and trials say what was not the same."""
    plain = replace(lab.scenarios["plain"], measure_s=2.0)
    said = {
        "image": "image c-epoll was 01, is 07",
        "kernel": "kernel was 6.1.0, is 6.9.9",
        "scenario": "scenario plain: measure_s was 1.0, is 2.0",
        "not kept": "what lab.yaml said was not kept when the run began, and cannot be compared",
    }[by]
    killed(lab, 2, declared={} if by == "not kept" else declared(lab, make_plan(lab, "quick", nofile_granted=None)))
    if by == "image":
        bench.host["images"] = {"c-epoll": "07", "swarm": "02"}
    elif by == "kernel":
        bench.host["kernel"] = "6.9.9"
    now = replace(lab, scenarios={"plain": plain}) if by == "scenario" else lab
    with pytest.raises(BadInput) as caught:
        go(now)

    assert said in str(caught.value)
    assert f"lab run --resume {RUN_ID} --attempt" in str(caught.value)
    assert (2, [], False) == (caught.value.exit_code, bench.done, "control" in bench.asked)
    assert 2 == len(kept_run(lab).trials)
    done, lines = go(now, attempt=True)
    assert f"not as when the run began: {said}" in lines
    assert ((), (said,)) == tuple(session.changes for session in done.sessions)
    assert [False, False, True, True] == [any(said in note for note in t.notes) for t in done.trials]


def test_a_run_of_things_that_are_gone_cannot_go_on(lab: Lab, bench: Bench) -> None:
    """Not even with --attempt: there is nothing to start. A person's locustfile is not kept."""
    killed(lab, 1)
    gone = replace(lab, scenarios={"other": lab.scenarios["plain"]})
    for attempt in (False, True):
        with pytest.raises(BadInput, match=r"needs scenario plain, which .*lab\.yaml does not declare"):
            go(gone, attempt=attempt)
    own = killed(lab, 1, "20270101T000000Z-locustfile-0000ff", suite="locustfile")
    with pytest.raises(BadInput, match=r"a person's locustfile, which is not kept .*lab run --locustfile FILE"):
        go(gone, own.run_id)
    assert [] == bench.asked


def test_without_results_there_is_nothing_to_resume(lab: Lab, bench: Bench) -> None:
    """One line, exit code 2."""
    with pytest.raises(BadInput, match="no run is unfinished"):
        go(lab)
    with pytest.raises(BadInput, match=r"no run is kept yet\. Try: lab run SUITE"):
        go(lab, "2026")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (RunEntry("r", "s", "a", "b", 4, 4, 0), "b"),
        (RunEntry("r", "s", "a", "b", 4, 4, 0, None, "c"), "b, imported c"),
        (RunEntry("r", "s", "a", None, 4, 3, 0), "unfinished: 3 of 4 trials kept; go on with: lab run --resume r"),
        (
            RunEntry("r", "s", "a", None, 4, 3, 0, "disk"),
            "aborted (disk): 3 of 4 trials kept; go on with: lab run --resume r",
        ),
        (RunEntry("r", "s", "a", None, 4, 3, 0, owner=dict(new_session("r").owner)), "running: 3 of 4 trials kept"),
        (
            RunEntry("r", "s", "a", None, 4, 3, 0, owner=dict(_session_of_another_boot().owner)),
            "unfinished: 3 of 4 trials kept; go on with: lab run --resume r",
        ),
        (
            RunEntry("r", "s", "a", None, 4, 3, 0, owner={"garbled": 1}),
            "unfinished: 3 of 4 trials kept; go on with: lab run --resume r",
        ),
    ],
)
def test_the_list_says_how_each_run_stands(entry: RunEntry, expected: str) -> None:
    """Finished, running in a live process, or waiting, with the command that goes on with it."""
    assert expected == state_in_words(entry)


def test_an_empty_plan_is_finished_at_once(lab: Lab, bench: Bench) -> None:
    """Killed before anything was planned to be done: nothing to do."""
    killed(lab, 0, plan=Plan("quick", 1, (), ()))

    assert () == go(lab)[0].trials
