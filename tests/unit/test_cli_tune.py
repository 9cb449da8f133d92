"""`lab tune` on the command line: what contradicts itself is refused in a line, before anything is read or touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator import cli
from orchestrator.errors import BadInput


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--status", "--restore"], "--status and --restore exclude each other"),
        (["--restore", "--calibrate"], "--restore and --calibrate exclude each other"),
        (["c100k", "--restore"], "leave out the profile and its options"),
        (["--status", "--yes"], "leave out the profile and its options"),
        (["--calibrate", "--lower"], "leave out the profile and its options"),
        (["c100k", "--force"], "--force belongs to --restore"),
        (["c100k", "--variant", "c-epoll"], "--variant belongs to --calibrate"),
        (["--restore", "--json"], "--restore prints no JSON"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    """Exit 2 by the error's kind; no lab file is needed, and no folder is made."""
    done = CliRunner().invoke(cli.lab, ["--file", str(tmp_path / "lab.yaml"), "tune", *arguments])

    assert isinstance(done.exception, BadInput)
    assert said in str(done.exception)
    assert [] == list(tmp_path.iterdir())


def test_nothing_set_is_nothing_to_put_back(tmp_path: Path) -> None:
    """Both verbs that go by the journal say so where there is none, without a lab file."""
    at = ["--file", str(tmp_path / "lab.yaml"), "tune"]
    status = CliRunner().invoke(cli.lab, [*at, "--status"])
    restored = CliRunner().invoke(cli.lab, [*at, "--restore"])

    assert (0, 0) == (status.exit_code, restored.exit_code)
    assert "lab tune has set nothing, or everything is put back. Next: lab tune PROFILE\n" == status.output
    assert "nothing to put back: the journal holds no setting of lab tune's\n" == restored.output
