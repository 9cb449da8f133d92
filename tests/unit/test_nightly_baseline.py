"""`lab baseline`: which run the nights are compared with, and what cannot be one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from orchestrator.model import Run
from orchestrator.results.baseline import read_baselines
from tests.unit.nightly_lab import LEVELS, cleared, keep, lab, nights, root
from tests.unit.nights import steady

__all__ = ["cleared", "nights", "root"]  # pytest finds the fixtures by these names


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
