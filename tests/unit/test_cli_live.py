"""`lab watch` and `lab report --serve` as typed: what goes together, what is said where there is nothing to show."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator import cli
from orchestrator.errors import BadInput, NotReady
from orchestrator.report.watching import Now
from tests.unit.lab_files import LAB, write_lab
from tests.unit.test_watching import NOW


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.lab, ["--file", str(root / "lab.yaml"), *arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report", "--serve", "--format", "csv"], "leave --format and --out away"),
        (["report", "--serve", "--out", "page.html"], "leave --format and --out away"),
        (["report", "--serve", "one", "two"], "name one run at most"),
        (["report", "--port", "8090"], "--port belongs to --serve"),
        (["report", "--serve"], "there are no results yet"),
    ],
)
def test_what_does_not_go_together_is_bad_input(tmp_path: Path, arguments: list[str], said: str) -> None:
    """One line with what to write instead, before anything listens."""
    write_lab(tmp_path, "c-epoll")
    done = run(tmp_path, *arguments)

    assert isinstance(done.exception, BadInput)
    assert said in str(done.exception)


@pytest.mark.parametrize("arguments", [["watch"], ["watch", "--once"], ["watch", "--json"]])
def test_watching_nothing_is_an_error(tmp_path: Path, arguments: list[str]) -> None:
    """Whichever way it is shown: who was asked, and how to get something to watch."""
    with socket.socket() as web, socket.socket() as prometheus:  # bound, and nobody listens
        for one in (web, prometheus):
            one.bind(("127.0.0.1", 0))
        ports = f"web_port: {web.getsockname()[1]}, prometheus_port: {prometheus.getsockname()[1]}"
        write_lab(tmp_path, "c-epoll", text=f"{LAB}observability: {{{ports}}}\n")
        done = run(tmp_path, *arguments)

    assert "" == done.stdout
    assert isinstance(done.exception, NotReady), done.exception


def test_each_look_is_one_line_of_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For jq and the like; it ends when the lab does, and says so on stderr."""
    write_lab(tmp_path, "c-epoll")
    monkeypatch.setattr("orchestrator.cli.watch.watch_lab", lambda _: iter([NOW, NOW]))
    done = run(tmp_path, "watch", "--json")

    assert ["r1", "r1"] == [json.loads(line)["run_id"] for line in done.stdout.splitlines()]
    assert 0 == done.exit_code


def test_a_pipe_gets_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No control characters where nobody looks at a terminal."""
    write_lab(tmp_path, "c-epoll")

    def look(_: object) -> Now:
        return NOW

    monkeypatch.setattr("orchestrator.cli.watch.look", look)
    done = run(tmp_path, "watch", "--once")

    assert 3 == len(done.stdout.splitlines())
    assert "\x1b" not in done.stdout
