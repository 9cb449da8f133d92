"""The command line's manners: one line, the documented exit code, and nothing touched before the input is right."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from docker.errors import DockerException

from orchestrator import cli

ROOT = Path(__file__).resolve().parents[2]
BROKEN = sorted(p for p in (Path(__file__).parent / "broken").glob("*.yaml") if p.name != "sound.yaml")


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of one command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["lab", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def silent_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that DOCKER_HOST names, to see whether anybody asks an engine for anything."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "engine"))
        listener.listen()
        listener.setblocking(False)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'engine'}")
        yield listener


def test_there_are_at_least_twenty_broken_lab_files() -> None:
    """The next test is worth what this one says."""
    assert len(BROKEN) >= 20


@pytest.mark.parametrize("verb", ["check", "plan", "up", "run"])
@pytest.mark.parametrize("file", BROKEN, ids=lambda p: p.stem)
def test_a_broken_lab_file_is_one_line_and_touches_nothing(
    file: Path, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, silent_engine: socket.socket
) -> None:
    """Exit 2, one line that begins with the file, no engine asked."""
    code, out, err = run(["--file", str(file), verb], monkeypatch, capsys)

    assert (2, "") == (code, out)
    assert 1 == len(err.strip().splitlines())
    assert err.startswith(f"lab: {file}")
    with pytest.raises(BlockingIOError):
        silent_engine.accept()


@pytest.mark.parametrize("name", sorted(cli.lab.commands))
def test_every_verb_has_help_with_an_example(name: str) -> None:
    """A sentence on what it does, and a line that can be typed."""
    command: click.Command = cli.lab.commands[name]

    assert command.help
    assert f"lab {name}" in (command.epilog or "")


def test_plan_names_what_it_leaves_out_and_why(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, silent_engine: socket.socket
) -> None:
    """The two seeds cannot serve /plain at once, by a clock or not; no engine is asked."""
    code, out, _ = run(["--file", str(ROOT / "lab.yaml"), "plan", "quick", "--json"], monkeypatch, capsys)
    plan = json.loads(out)

    assert 0 == code
    assert 28 == len(plan["trials"])
    assert {(seed, scenario) for seed in ("seed-go", "seed-c") for scenario in ("plain", "open-quick")} == {
        (o["variant"], o["scenario"]) for o in plan["left_out"]
    }
    with pytest.raises(BlockingIOError):
        silent_engine.accept()


def test_an_unknown_suite_names_the_known_ones(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Exit 2 and the suites of the lab file."""
    code, _, err = run(["--file", str(ROOT / "lab.yaml"), "plan", "quik"], monkeypatch, capsys)

    assert 2 == code
    assert "quick" in err


def test_an_empty_name_is_no_suite(monkeypatch: pytest.MonkeyPatch, capsys: Any, silent_engine: socket.socket) -> None:
    """A variable that was not set must not run for minutes what nobody asked for."""
    code, _, err = run(["--file", str(ROOT / "lab.yaml"), "run", ""], monkeypatch, capsys)

    assert 2 == code
    assert "no suite ''; known: " in err
    with pytest.raises(BlockingIOError):
        silent_engine.accept()


def test_show_without_results_names_the_next_step(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    """Exit 2: there is nothing to show yet."""
    code, _, err = run(["--file", str(tmp_path / "lab.yaml"), "show"], monkeypatch, capsys)

    assert 2 == code
    assert err.strip().endswith("Next: lab run quick")


def test_a_defect_of_the_lab_is_one_line_and_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    """The traceback goes to .lab/crash.log."""

    def fail(_path: Path) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.group, "load_lab", fail)
    code, _, err = run(["check"], monkeypatch, capsys)

    assert 3 == code
    assert 1 == len(err.strip().splitlines())
    assert "planted" in (tmp_path / ".lab" / "crash.log").read_text()


@pytest.mark.parametrize("named", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"])
@pytest.mark.parametrize("said", ["409 Client Error: it is paused\nmore", ""])
def test_an_engine_that_fails_in_the_middle_is_one_line(
    named: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Exit 3 also where DOCKER_HOST names it and it is gone by the time that somebody asks why."""

    def fail(_path: Path) -> None:
        raise DockerException(said)

    monkeypatch.setenv("DOCKER_HOST", named)
    monkeypatch.setattr(cli.group, "load_lab", fail)
    code, _, err = run(["check"], monkeypatch, capsys)

    assert 3 == code
    assert 1 == len(err.strip().splitlines())
    assert f"the Docker engine failed in the middle: {said.partition(chr(10))[0] or 'DockerException'}. " in err
    assert f"DOCKER_HOST={named}: no Docker engine answers there" in err


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """One line, no traceback."""

    def interrupt(_path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.group, "load_lab", interrupt)
    code, _, err = run(["check"], monkeypatch, capsys)

    assert 130 == code
    assert "interrupted" in err
