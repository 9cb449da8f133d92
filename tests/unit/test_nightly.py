"""`lab nightly` as one command: its verdict, exit code and report, who is told, what is pruned."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import BadInput, EnvironmentMissing
from orchestrator.lock import only_one
from orchestrator.model import LeftOut, Run
from orchestrator.results.store import open_store
from tests.unit.nightly_lab import LEVELS, cleared, folder, lab, nights, root, told
from tests.unit.nights import steady

__all__ = ["cleared", "nights", "root"]  # pytest finds the fixtures by these names


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
