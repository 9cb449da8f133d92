"""How a command ends: every failure is one line and a documented exit code."""

from __future__ import annotations

import errno
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.errors import DockerException

from orchestrator import cli, errors
from orchestrator.config.load import load_lab
from orchestrator.report.text import PageRow, VariantRow
from orchestrator.run import Scripted
from orchestrator.verdicts.outcome import judge
from tests.unit.lab_command import SOUND, Command, Done, files_here, lab, make_run, raising

__all__ = ["lab"]  # pytest finds the fixture by this name


def test_a_full_disk_is_one_line_wherever_it_is_met(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the lab's own records do not fit any more; no crash is claimed, and no log is tried."""
    full = OSError(errno.ENOSPC, "No space left on device", "/x/.lab/lock")
    monkeypatch.setattr(cli.standing, "bring_up", raising(full))

    said = "lab: the disk is full (/x/.lab/lock); what was finished is kept. Free some space, then run again\n"
    assert Done(3, "", said) == lab("--file", SOUND, "up")
    assert ["s"] == files_here()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_file_that_is_not_ours_to_touch_is_one_line_wherever_it_is_met(
    lab: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """In somebody else's clone, or on a disk that is mounted to be read: no defect of the lab."""
    why = os.strerror(number)
    monkeypatch.setattr(cli.standing, "bring_up", raising(OSError(number, why, "/x/.lab")))

    said = f"lab: /x/.lab: expected to read and write what is the lab's, but {why}. Mend the permissions there, "
    assert Done(3, "", f"{said}or run as who they are for\n") == lab("--file", SOUND, "up")
    assert ["s"] == files_here()


@pytest.mark.parametrize("arguments", [["report", "--out", ""], ["export", "--out", ""], ["report", "--out", "."]])
def test_an_output_is_a_file_with_a_name(lab: Command, arguments: list[str]) -> None:
    """A variable that is not set, or a folder: 2, before anything is read."""
    done = lab(*arguments)

    assert (2, "") == (done.code, done.out)
    assert ("saw an empty one" if arguments[-1] == "" else "is a directory") in done.err


@pytest.mark.parametrize(
    ("finished", "code", "said"),
    [
        ({"c-epoll": None, "seed-c": None}, 0, ""),
        ({"c-epoll": "refused: GET /plain: 404", "seed-c": None}, 1, "lab: failed verification: c-epoll\n"),
        (
            {"c-epoll": None, "seed-c": "no worker"},
            4,
            "lab: undecided: too few valid trials: seed-c on wait (0 of 1, 1 needed)\n",
        ),
    ],
)
def test_a_run_ends_with_the_code_of_its_worst_variant(
    lab: Command, monkeypatch: pytest.MonkeyPatch, finished: dict[str, str | None], code: int, said: str
) -> None:
    """The tables are printed all the same, and what took the time."""
    monkeypatch.setattr(cli.run, "run_suite", lambda *_, **__: Scripted(judge(make_run(finished)), 1.25))
    done = lab("--file", SOUND, "run")

    assert (code, said) == (done.code, done.err)
    assert re.search(r"^set-up took 1\.2 s; ", done.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("state", "code"),
    [("verified", 0), ("unsupported: io_uring_setup: EPERM", 0), ("GET /plain: expected 200, seen 404", 1)],
)
def test_a_lab_with_an_unverified_variant_is_up_and_says_so(
    lab: Command, monkeypatch: pytest.MonkeyPatch, state: str, code: int
) -> None:
    """Exit code 1, below the table that says why."""
    variant = load_lab(Path(SOUND)).variants["c-epoll"]
    page = PageRow("Prometheus: every metric", "http://127.0.0.1:9090", "ready")
    standing = SimpleNamespace(pages=[page], variants=[VariantRow(variant, "127.1.0.1:8080", state)])
    monkeypatch.setattr(cli.standing, "bring_up", lambda *_: standing)
    done = lab("--file", SOUND, "up", "--no-load")

    complaint = ["lab: c-epoll: not verified, see the table above"] if code else []
    assert (code, complaint) == (done.code, [line for line in done.err.splitlines() if line.startswith("lab: ")])
    assert ("http://127.0.0.1:9090" in done.out, state in done.out) == (True, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotReady("master: no answer. Try: docker logs m"), 3),
        (errors.Refused("c-epoll: GET /plain: 404"), 1),
        (errors.Undecided("quick: no valid trial"), 4),
    ],
)
def test_a_failure_of_the_lab_is_its_own_line_and_code(
    lab: Command, monkeypatch: pytest.MonkeyPatch, error: errors.LabError, code: int
) -> None:
    """As the error tree says; no log of a crash is written."""
    monkeypatch.setattr(cli.standing, "bring_up", raising(error))

    assert Done(code, "", f"lab: {error}\n") == lab("--file", SOUND, "up")
    assert ["s"] == files_here()


def test_an_engine_that_fails_in_the_middle_is_an_environment(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line of the engine's words, and that it is gone."""
    monkeypatch.setattr(cli.standing, "bring_up", raising(DockerException("connection reset\nand more")))
    monkeypatch.setattr(cli.ending, "find_engine", lambda: None)

    said = "lab: the Docker engine failed in the middle: connection reset. No engine answers now; lab up starts one\n"
    assert Done(3, "", said) == lab("--file", SOUND, "up")


def test_an_unexpected_exception_is_one_line_and_a_log(
    lab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback goes to a file whose place is told."""
    monkeypatch.setattr(cli.standing, "bring_up", raising(ZeroDivisionError("division by zero")))
    log = tmp_path / ".lab" / "crash.log"

    said = f"lab: a defect of the lab: ZeroDivisionError: division by zero. Details: {log}\n"
    assert Done(3, "", said) == lab("--file", SOUND, "up")
    assert ("Traceback (most recent call last):", "ZeroDivisionError: division by zero") == (
        log.read_text().splitlines()[0],
        log.read_text().splitlines()[-1],
    )


def test_an_interrupted_command_says_what_is_kept(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130 and one line; no log of a crash is written."""
    monkeypatch.setattr(cli.standing, "bring_up", raising(KeyboardInterrupt()))
    done = lab("--file", SOUND, "up")

    assert (130, "", "lab: interrupted; finished trials are kept") == (done.code, done.out, done.err.strip())
    assert ["s"] == files_here()


def test_a_terminated_command_ends_like_an_interrupted_one(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM unwinds, so that what was started is taken down."""
    unwound: list[str] = []

    def wait_for_the_end(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            unwound.append("yes")

    monkeypatch.setattr(cli.standing, "bring_up", wait_for_the_end)
    done = lab("--file", SOUND, "up")

    assert (130, "lab: interrupted; finished trials are kept", ["yes"]) == (done.code, done.err.strip(), unwound)
