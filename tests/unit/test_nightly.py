"""`lab nightly` and `lab baseline` as one command, with runs that are made up: the engine's part is tests/engine's."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from orchestrator import cli, closing, resume
from orchestrator import nightly as module
from orchestrator.errors import BadInput, EnvironmentMissing, StoreDamaged
from orchestrator.lock import only_one
from orchestrator.model import Lab, LeftOut, Run
from orchestrator.results.baseline import Accepted, accept, read_baselines
from orchestrator.results.folder import write_run
from orchestrator.results.nights import is_closed
from orchestrator.results.store import open_store
from orchestrator.run import Scripted
from orchestrator.verdicts.outcome import Outcome
from tests.unit.crontabs import write_crontab
from tests.unit.kept_runs import ended, in_child
from tests.unit.nights import steady

ROOT = Path(__file__).resolve().parents[2]
LEVELS = {"fast": 1000.0, "rock": 500.0, "stone": 300.0}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A lab whose nightly runs three variants, two of them stable, and whose command writes down what it is told."""
    for name in LEVELS:
        folder = tmp_path / "servers" / name
        folder.mkdir(parents=True)
        (folder / "variant.toml").write_text(
            f'name = "{name}"\nsummary = "s"\nlanguage = "c"\ntechnique = "t"\nspeaks = "http"\nruntime = "c"\n'
        )
    document = {
        "profiles": {"default": {"nofile": 4096, "best_effort": True}},
        "scenarios": {"plain": {"kind": "closed", "connections": 5, "measure": "1s"}},
        "suites": {
            "nightly": {"scenarios": ["plain"], "variants": list(LEVELS), "trials": 10},
            "quick": {"scenarios": ["plain"], "variants": list(LEVELS), "trials": 10},
        },
        "nightly": {
            "suite": "nightly", "control": "fast", "stable": ["rock", "stone"], "keep": {"nights": 3},
            "notify": {"command": [sys.executable, "-c", _TELL]},
        },
    }  # fmt: skip
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(document))
    return tmp_path


_TELL = (
    "import json, os; told = {k[12:]: v for k, v in os.environ.items() if k.startswith('LAB_NIGHTLY_')}; "
    "print(json.dumps(told), file=open('told', 'a'))"
)


@pytest.fixture(autouse=True)
def cleared(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where what killed commands left was cleared: no engine is asked here."""
    found: list[Path] = []
    for place in (module, resume):
        monkeypatch.setattr(place, "clear_left", lambda root, _say: found.append(root))
    return found


@pytest.fixture
def nights(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Run | BaseException]]:
    """What the coming runs will bring, one after another; they are kept as real ones are."""
    coming: list[Run | BaseException] = []

    def run_suite(lab: Lab, suite: str, *_: object) -> Scripted:
        assert "fast~control" in lab.suites[suite].variants
        run = coming.pop(0)
        if isinstance(run, BaseException):
            raise run
        keep(root, run)
        return Scripted(Outcome(run, (), ()), 0.0)

    monkeypatch.setattr(module, "run_suite", run_suite)
    yield coming
    assert [] == coming


def keep(root: Path, run: Run) -> None:
    with open_store(root / "results" / "lab.db") as store:
        store.begin_run(run.run_id, run.suite, run.started_at, run.host, run.plan)
        for trial in run.trials:
            store.add_trial(run.run_id, trial)
        if run.finished_at is not None:
            store.finish_run(run.run_id, run.finished_at)


def lab(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.lab, ["--file", str(root / "lab.yaml"), *arguments])


def told(root: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (root / "told").read_text().splitlines()]


def folder(root: Path, run: Run) -> Path:
    return root / "results" / "runs" / run.run_id


def test_a_first_night_is_kept_reported_and_told_of(root: Path, nights: list[Run | BaseException]) -> None:
    """Exit 0; report and document lie in the run's folder, the last line of stdout names the report."""
    tonight = steady(1, LEVELS)
    nights.append(tonight)
    done = lab(root, "nightly")
    document = json.loads((folder(root, tonight) / "nightly.json").read_text())
    (said,) = told(root)

    assert (0, str(folder(root, tonight) / "nightly.html")) == (done.exit_code, done.stdout.splitlines()[-1])
    assert ("fine", 0, None, 1) == tuple(document[k] for k in ("verdict", "exit_code", "baseline", "nights"))
    assert ("fine", "0", done.stdout.splitlines()[-1], tonight.run_id, "nightly") == tuple(
        said[key] for key in ("VERDICT", "EXIT_CODE", "REPORT", "RUN", "SUITE")
    )
    assert "No baseline is accepted yet" in (folder(root, tonight) / "nightly.html").read_text()


def test_a_regression_ends_with_1_and_is_told(root: Path, nights: list[Run | BaseException]) -> None:
    """Accept the first night, then lose a tenth."""
    first, second = steady(1, LEVELS), steady(2, {**LEVELS, "fast": 900.0})
    nights += [first, second]
    lab(root, "nightly")
    accepted = lab(root, "baseline", "accept", "last")
    done = lab(root, "nightly")

    assert f"the nights of nightly are compared with {first.run_id} from now on\n" == accepted.stdout
    assert 1 == done.exit_code
    assert "lab: a regression: Worse than the baseline: fast on plain" in done.stderr
    assert ["fine", "regression"] == [one["VERDICT"] for one in told(root)]
    assert "fast" in done.stdout
    page = (folder(root, second) / "nightly.html").read_text()
    assert f"Tonight against the baseline {first.run_id}" in page


def test_few_blocks_end_with_4(root: Path, nights: list[Run | BaseException]) -> None:
    """Undecided is not fine."""
    nights += [steady(1, LEVELS, blocks=3), steady(2, LEVELS, blocks=3)]
    lab(root, "nightly")
    lab(root, "baseline", "accept", "last")
    done = lab(root, "nightly")

    assert 4 == done.exit_code
    assert "lab: undecided: Nothing can be said of fast on plain" in done.stderr


def test_a_night_that_fails_is_told_of_too(root: Path, nights: list[Run | BaseException]) -> None:
    """Nobody hears of a nightly that dies in silence; the failure itself goes on to whoever prints it."""
    nights += [EnvironmentMissing("no Docker engine answers"), KeyboardInterrupt()]
    done, stopped = lab(root, "nightly"), lab(root, "nightly")

    assert isinstance(done.exception, EnvironmentMissing)
    assert stopped.exit_code != 0
    assert [("failed", "3"), ("failed", "130")] == [(one["VERDICT"], one["EXIT_CODE"]) for one in told(root)]
    assert "netpoll-lab nightly nightly: failed. no Docker engine answers" == told(root)[0]["TEXT"]


def test_only_what_is_not_fine_is_told_where_that_is_asked_for(root: Path, nights: list[Run | BaseException]) -> None:
    """when: not-fine."""
    document = yaml.safe_load((root / "lab.yaml").read_text())
    document["nightly"]["notify"]["when"] = "not-fine"
    (root / "lab.yaml").write_text(yaml.safe_dump(document))
    nights += [steady(1, LEVELS), EnvironmentMissing("no engine")]
    for _ in range(2):
        lab(root, "nightly")

    assert ["failed"] == [one["VERDICT"] for one in told(root)]


def hold(state: Path, held: Any, let_go: Any) -> None:
    with only_one(state / "nightly", "nightly of nightly since 02:30"):
        held.set()
        let_go.wait(30)


def test_two_nightlies_never_run_at_once(root: Path, nights: list[Run | BaseException]) -> None:
    """The second says who is at work, with its pid, and ends with 3; nobody is told of it."""
    context = multiprocessing.get_context("fork")
    held, let_go = context.Event(), context.Event()
    first = context.Process(target=hold, args=(root / ".lab", held, let_go))
    first.start()
    try:
        assert held.wait(30)
        done = lab(root, "nightly")
    finally:
        let_go.set()
        first.join(30)

    assert isinstance(done.exception, EnvironmentMissing)
    assert f"lab nightly of nightly since 02:30, pid {first.pid}" in str(done.exception)
    assert (3, False) == (done.exception.exit_code, (root / "told").exists())


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


# --- nights that were killed with all of their trials kept ------------------------------------------------------------


def whole(root: Path, run: Run) -> Run:
    """Keep a night as one that was killed after its last trial, before it was judged."""
    keep(root, run)
    write_run(root / "results", run)
    return run


def runs_told_of(root: Path) -> list[str]:
    return [one["RUN"] for one in told(root)]


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


def test_old_nights_lose_their_folders_and_keep_their_trials(root: Path, nights: list[Run | BaseException]) -> None:
    """Three nights stay, the accepted one among them; a person's own run is never touched."""
    runs = [steady(number, LEVELS) for number in range(1, 6)]
    own = folder(root, runs[0]).parent / "20250101T000000Z-nightly-000000"
    own.mkdir(parents=True)
    nights += runs
    for number in range(5):
        done = lab(root, "nightly")
        if number == 0:
            lab(root, "baseline", "accept", "last")
    with open_store(root / "results" / "lab.db") as store:
        kept = [len(store.read_run(run.run_id).trials) for run in runs]

    assert [True, False, False, True, True] == [folder(root, run).is_dir() for run in runs]
    assert ([40] * 5, True) == (kept, own.is_dir())
    assert "pruned the folders of 1 old nights" in done.output
    assert "In 5 nights of history nothing changed." in done.output


def test_another_suite_may_be_run_as_a_nightly(root: Path, nights: list[Run | BaseException]) -> None:
    """Its history and its baseline are its own; an unknown one is named."""
    run = steady(1, LEVELS)
    nights.append(replace(run, suite="quick", plan=replace(run.plan, suite="quick")))
    done, unknown = lab(root, "nightly", "quick"), lab(root, "nightly", "quik")

    assert 0 == done.exit_code
    assert "quick" == told(root)[0]["SUITE"]
    assert "no suite 'quik'; known: nightly, quick" in str(unknown.exception)


def test_a_lab_without_the_section_asks_for_a_suite(root: Path) -> None:
    """One line that says what to write."""
    document = yaml.safe_load((root / "lab.yaml").read_text())
    del document["nightly"]
    (root / "lab.yaml").write_text(yaml.safe_dump(document))
    done = lab(root, "nightly")

    assert isinstance(done.exception, BadInput)
    assert "no section nightly; write 'nightly: {suite: NAME}', or name a suite" in str(done.exception)


def test_cron_gets_a_path_with_the_engines_folders() -> None:
    """Added behind what there is, each once."""
    assert "/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin" == module._whole_path("/usr/bin:/bin")
    assert "/sbin:/usr/sbin:/usr/local/sbin:/usr/local/bin" == module._whole_path("/sbin:/usr/sbin")


# --- the baseline -----------------------------------------------------------------------------------------------------


def test_a_baseline_is_shown_and_replaced(root: Path) -> None:
    """The earlier one is named."""
    first, second = steady(1, LEVELS), steady(2, LEVELS)
    empty = lab(root, "baseline", "show")
    for run in (first, second):
        keep(root, run)
    lab(root, "baseline", "accept", first.run_id)
    again = lab(root, "baseline", "accept", second.run_id[:9])
    shown, as_json = lab(root, "baseline", "show"), lab(root, "baseline", "show", "--json")

    assert "no run is accepted yet. Next: lab baseline accept RUN\n" == empty.stdout
    assert again.stdout.endswith(f"{second.run_id} from now on instead of {first.run_id}\n")
    assert ["nightly", second.run_id, "accepted"] == shown.stdout.split()[:3]
    assert second.run_id == json.loads(as_json.stdout)["nightly"]["run_id"]
    assert second.run_id == read_baselines(root / "results")["nightly"].run_id


def test_what_cannot_be_a_baseline_is_refused(root: Path) -> None:
    """No results, an unknown run, one that did not end, one of which nothing is valid."""
    none = lab(root, "baseline", "accept", "last")
    cut, void = steady(1, LEVELS, finished=False), steady(2, LEVELS)
    void = replace(void, trials=tuple(replace(trial, void="no") for trial in void.trials))
    for run in (cut, void):
        keep(root, run)
    said = [str(lab(root, "baseline", "accept", run).exception) for run in ("nope", cut.run_id, void.run_id)]

    assert "there are no results yet" in str(none.exception)
    assert "no run begins so" in said[0]
    assert "did not come to its end" in said[1]
    assert "has no valid trial" in said[2]
    assert {} == read_baselines(root / "results")


def test_a_baseline_that_is_gone_leaves_the_night_undecided(root: Path, nights: list[Run | BaseException]) -> None:
    """The file names a run that no database has."""
    (root / "results").mkdir()
    (root / "results" / "baseline.json").write_text('{"nightly": {"run_id": "gone", "accepted_at": "2026"}}')
    nights.append(steady(1, LEVELS))
    done = lab(root, "nightly")

    assert 4 == done.exit_code
    assert "gone is not among the results any more; accept another" in done.stderr


# --- the schedule -----------------------------------------------------------------------------------------------------


@pytest.fixture
def crontab(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    table, folder = write_crontab(root)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(root / "config"))
    monkeypatch.setattr("orchestrator.hosts.schedule.os.geteuid", lambda: 1000)
    return table


def test_the_crontab_is_shown_first_and_written_on_request(root: Path, crontab: Path) -> None:
    """Without --yes nothing is written; a second time nothing changes; --uninstall leaves nothing."""
    crontab.write_text("1 2 3 4 5 mine\n")
    shown = lab(root, "nightly", "--install", "--cron")
    before = crontab.read_text()
    written = lab(root, "nightly", "--install", "--cron", "--yes")
    table = crontab.read_text()
    again = lab(root, "nightly", "--install", "--cron", "--yes")
    unchanged = crontab.read_text()
    gone, nothing = lab(root, "nightly", "--uninstall"), lab(root, "nightly", "--uninstall")

    assert "1 2 3 4 5 mine\n" == before == crontab.read_text()
    line = f"30 2 * * * cd {root} && {sys.executable} -m orchestrator.cli --file {root}/lab.yaml nightly nightly > "
    assert line in shown.stdout
    assert "nothing was written. To write this: lab nightly nightly --install --cron --yes" in shown.stderr
    assert (True, table) == (line in table, unchanged)
    assert ("written", "it was there already; nothing was changed") == (
        written.stderr.strip(),
        again.stderr.strip(),
    )
    assert "removed: two lines of the crontab\n" == gone.stdout
    assert nothing.stdout.startswith("nothing to remove")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--install", "--uninstall"], "--install and --uninstall exclude each other"),
        (["--yes"], "--yes belongs to --install"),
        (["--cron"], "--cron belongs to --install"),
        (["--systemd", "--uninstall"], "--systemd belongs to --install"),
    ],
)
def test_options_that_contradict_each_other_are_refused(root: Path, arguments: list[str], said: str) -> None:
    """Before anything is touched."""
    done = lab(root, "nightly", *arguments)

    assert isinstance(done.exception, BadInput)
    assert said in str(done.exception)


def test_a_variant_that_was_left_out_for_failing_verification_is_a_failed_night(
    root: Path, nights: list[Run | BaseException]
) -> None:
    """It did not run, so nothing of it is worse; the night is not fine."""
    tonight = steady(1, {name: LEVELS[name] for name in ("fast", "rock")})
    left = LeftOut("stone", "plain", "failed verification: 1 check failed: nul. Try: lab verify stone")
    nights.append(replace(tonight, plan=replace(tonight.plan, left_out=(left,))))
    done = lab(root, "nightly")

    assert 1 == done.exit_code
    assert "lab: a regression: Stone failed verification" in done.stderr
