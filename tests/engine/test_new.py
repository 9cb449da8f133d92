"""A variant made by `lab new` builds, keeps the contract and runs beside its model, untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import LabFile

MODELS = {"mine-in-c": "c-epoll", "mine-in-go": "go-nethttp", "mine-in-python": "py-asyncio"}


@pytest.fixture(scope="module")
def lab(make_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> LabFile:
    """A lab with a copy of one variant of each language, made outside of its folder."""
    made: LabFile = make_lab()
    outside: Path = tmp_path_factory.mktemp("outside")
    for name, like in MODELS.items():
        said = made.run("new", name, "--like", like, "--path", str(outside)).stdout
        assert f"lab --file {made.path} run plain@{like},{name}" in " ".join(said.split())
    return made


def test_the_copies_run_beside_their_models(lab: LabFile) -> None:
    """Built from folders elsewhere, loaded, and not one answer wrong."""
    both = ",".join([*MODELS, *MODELS.values()])
    done = lab.run("run", f"first-light@{both}", timeout_s=900)
    trials = {trial["variant"]: trial for trial in lab.show()["trials"]}

    assert {*MODELS, *MODELS.values()} == set(trials)
    assert {(None, 0)} == {(trial["void"], len(trial["metrics"]["errors"])) for trial in trials.values()}, done.stdout
    assert all(trial["metrics"]["throughput_per_s"] > 100 for trial in trials.values())


def test_the_copies_say_their_own_names(lab: LabFile) -> None:
    """In the Server header, which is what a careless copy forgets."""
    lab.run("verify", *MODELS, "--only", "server-name", "--only", "plain", "--only", "stats", timeout_s=900)


def test_a_copy_keeps_the_whole_contract(lab: LabFile) -> None:
    """As its model does, untouched."""
    lab.run("verify", "mine-in-c", timeout_s=900)
