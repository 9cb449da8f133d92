"""`lab` in this process, in an empty folder and on an engine that only notes whether anybody called."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.config.load import load_lab
from orchestrator.model import Metrics, Plan, Run, TrialResult
from orchestrator.planning.plan import make_plan

ROOT = Path(__file__).resolve().parents[2]
BROKEN = Path(__file__).parent / "broken"
SOUND = str(BROKEN / "sound.yaml")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: object
    out: str
    err: str


class Command:
    """Runs `lab` in this process, on an engine that only notes whether anybody called."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, called: socket.socket):
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self._called = called

    def __call__(self, *arguments: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["lab", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = self._capsys.readouterr()
        return Done(ended.value.code, said.out, said.err)

    @property
    def engine_was_called(self) -> bool:
        """Whether anybody connected to DOCKER_HOST; a connection waits in the backlog until it is taken."""
        try:
            self._called.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def lab(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """The command in an empty folder, with 160 columns and no engine behind DOCKER_HOST."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.setblocking(False)
        yield Command(capsys, monkeypatch, listener)
    signal.signal(signal.SIGTERM, before)


def raising(error: BaseException) -> object:
    """Return a story function that fails."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    return fail


def words(text: str) -> str:
    """Return a text with every run of blanks as one."""
    return " ".join(text.split())


def make_run(finished: dict[str, str | None]) -> Run:
    """Return a run of one trial for each variant of sound.yaml's plan. finished: variant -> void reason or None."""
    plan = make_plan(load_lab(Path(SOUND)), "quick", nofile_granted=None)
    first = {spec.variant: spec for spec in reversed(plan.trials)}
    specs = tuple(first[name] for name in finished)
    trials = tuple(
        TrialResult(spec, finished[spec.variant], Metrics(), {}, {}, (), (), "2026-11-23T08:20:36Z", 8.0, 4.0)
        for spec in specs
    )
    return Run("20261123T082036Z-quick-ab12cd", "quick", "a", "b", {}, Plan("quick", 1, specs, ()), trials)


def files_here() -> list[str]:
    """Return the names in the working folder."""
    return sorted(path.name for path in Path.cwd().iterdir())
