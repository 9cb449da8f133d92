"""A lab whose nightly brings made-up runs, and which writes down what it tells: the engine's part is tests/engine's."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from orchestrator import cli, resume
from orchestrator import nightly as module
from orchestrator.model import Lab, Run
from orchestrator.results.store import open_store
from orchestrator.run import Scripted
from orchestrator.verdicts.outcome import Outcome

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


def runs_told_of(root: Path) -> list[str]:
    return [one["RUN"] for one in told(root)]
