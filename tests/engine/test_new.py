"""A variant made by `lab new` builds, keeps the contract and runs beside its model, untouched; by make, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.documents import ROOT, set_up, type_in, typed
from tests.engine.conftest import LabFile, share_wheels, write_lab

DOCUMENT = ROOT / "docs" / "adding-a-variant.md"
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


@pytest.fixture
def reader(client: docker.DockerClient, tmp_path: Path) -> Iterator[LabFile]:
    """Somebody who reads docs/adding-a-variant.md: the clone of its first line, with ports of the tests' own."""
    done = type_in(tmp_path, typed(DOCUMENT, "1.")[0])
    assert 0 == done.returncode, done.stderr
    clone = tmp_path / "netpoll-lab"
    set_up(clone)
    made = write_lab(clone, variants=["all"])
    share_wheels(made)
    try:
        yield made
    finally:
        made.run("down")
        assert [] == made.containers(client)


def test_the_document_is_true_line_by_line(reader: LabFile) -> None:
    """Made, verified, and compared twice by what stands there, typed as it stands: not one answer wrong."""
    _, *lines = [line for step in "123" for line in typed(DOCUMENT, f"{step}.")]
    runs = {}
    for line in lines:
        done = type_in(reader.path.parent, line)
        assert 0 == done.returncode, f"{line}\n{done.stdout}\n{done.stderr}"
        if line.startswith("make lab run "):
            runs[line.removeprefix("make lab run ")] = reader.show()["trials"]

    assert ["plain@c-epoll,my-server", "hold-2k@c-epoll,my-server"] == list(runs)
    for trials in runs.values():
        assert {"c-epoll", "my-server"} == {trial["variant"] for trial in trials}
        assert {(None, 0)} == {(trial["void"], len(trial["metrics"]["errors"])) for trial in trials}
    assert {2000} == {trial["metrics"]["connections_held"] for trial in runs["hold-2k@c-epoll,my-server"]}
