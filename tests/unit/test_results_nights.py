"""Which nights wait to be judged, and which are over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.model import Run
from orchestrator.results.folder import run_folder, write_run
from orchestrator.results.nights import DOCUMENT, is_closed, is_night, keep_night, waiting
from orchestrator.results.store import open_store
from tests.unit.kept_runs import run as ordinary
from tests.unit.nights import steady

NIGHT = steady(1, {"fast": 1000.0, "rock": 500.0})


def waits(results: Path, run: Run, document: object | None, *, folder: bool = True) -> bool:
    """Keep a run with this nightly.json, None for none, and tell whether it waits."""
    with open_store(results / "lab.db") as store:
        store.adopt(run)
        if folder:
            write_run(results, run)
        if document is not None:
            text = document if isinstance(document, str) else json.dumps(document)
            (run_folder(results, run.run_id) / DOCUMENT).write_text(text)
        return [run.run_id] == [entry.run_id for entry in waiting(store, results)]


@pytest.mark.parametrize(
    "document",
    [
        None,
        {"verdict": "fine", "closed_at": None},
        {"verdict": "aborted", "reason": "killed", "closed_at": "then"},  # and went on all the same
        '{"verdict": "fi',
    ],
)
def test_a_finished_night_that_nobody_was_told_of_waits(tmp_path: Path, document: object | None) -> None:
    """Without a document, with one that is not closed, with one of a night that was given up and is finished."""
    assert waits(tmp_path, NIGHT, document)


@pytest.mark.parametrize(
    ("run", "document"),
    [
        (NIGHT, {"verdict": "fine", "closed_at": "then"}),
        (NIGHT, {"verdict": "regression"}),  # an earlier lab's
        (ordinary(), None),
        (replace(NIGHT, finished_at=None), None),
        (replace(NIGHT, imported_at="then"), None),
    ],
)
def test_what_is_over_or_no_night_of_this_lab_does_not_wait(
    tmp_path: Path, run: Run, document: Mapping[str, object] | None
) -> None:
    """Told of, another kind of run, one that is not finished, another lab's."""
    assert not waits(tmp_path, run, document)


def test_of_a_night_whose_folder_is_gone_nothing_is_made_again(tmp_path: Path) -> None:
    """Pruned, or deleted by hand."""
    assert not waits(tmp_path, NIGHT, None, folder=False)


def test_what_a_night_says_is_kept_with_when_it_was_over(tmp_path: Path) -> None:
    """First without, then with."""
    seen = []
    for closed_at in (None, "then"):
        path = keep_night(tmp_path, NIGHT.run_id, {"verdict": "fine"}, closed_at)
        seen.append((json.loads(path.read_text()), is_closed(tmp_path, NIGHT.run_id)))

    assert [({"verdict": "fine", "closed_at": None}, False), ({"verdict": "fine", "closed_at": "then"}, True)] == seen
    assert (True, False) == (is_night(NIGHT), is_night(ordinary()))
