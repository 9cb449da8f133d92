"""The command line: help, and what is refused before anything is touched."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from orchestrator import cli, errors
from tests.unit.lab_command import BROKEN, ROOT, SOUND, Command, Done, files_here, lab, words

__all__ = ["lab"]  # pytest finds the fixture by this name

BROKEN_FILES = sorted(path.stem for path in BROKEN.glob("*.yaml") if path.stem != "sound")
VERBS = sorted(cli.lab.commands)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("verb", ["check", "plan", "up"])
@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_broken_lab_file_ends_every_verb_before_anything_starts(lab: Command, name: str, verb: str) -> None:
    """Exit code 2, one line that names the file, no word on stdout, no call to the engine, nothing written."""
    file = BROKEN / f"{name}.yaml"
    done = lab("--file", str(file), verb)

    assert (2, "", 1, False) == (done.code, done.out, len(done.err.splitlines()), "Traceback" in done.err)
    assert f"lab: {file}:" == done.err[: len(f"lab: {file}:")]
    assert ("\n", True) == (done.err[-1], done.err[:-1].isprintable())
    assert (False, ["s"], False) == (lab.engine_was_called, files_here(), (BROKEN / ".lab").exists())


def test_a_broken_lab_file_ends_a_real_process_alike() -> None:
    """From the shell it is no other."""
    file = BROKEN / "tab.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "--file", str(file), "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (2, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))
    assert f"lab: {file}:6: expected YAML" == done.stderr[: len(f"lab: {file}:6: expected YAML")]


@pytest.mark.parametrize("verb", ["build", "run", "status"])
def test_a_missing_lab_file_is_bad_input(lab: Command, verb: str) -> None:
    """Also for the verbs that would have begun with the engine."""
    done = lab("--file", "nowhere.yaml", verb)

    assert Done(2, "", "lab: nowhere.yaml: expected a lab file, found nothing there; check the path\n") == done
    assert not lab.engine_was_called


def test_a_sound_lab_file_is_in_order(lab: Command) -> None:
    """One line on stdout with what is declared; nothing is touched."""
    done = lab("--file", SOUND, "check")

    said = f"{SOUND}: 2 variants, 2 scenarios, 1 suites, 1 profiles: all in order\n"
    assert Done(0, said, "") == done
    assert (False, ["s"]) == (lab.engine_was_called, files_here())


def examples_of(verb: str) -> list[list[str]]:
    """Return the words of each example in a verb's help."""
    epilog = cli.lab.commands[verb].epilog or ""
    label, _, examples = epilog.partition(": ")
    assert label in ("Example", "Examples")
    return [shlex.split(example) for example in examples.split(", ")]


def test_the_verbs_are_these() -> None:
    """A new one is named here, on purpose."""
    expected = [
        "baseline",
        "build",
        "check",
        "compare",
        "down",
        "export",
        "gc",
        "grafana",
        "import",
        "new",
        "nightly",
        "plan",
        "report",
        "run",
        "show",
        "status",
        "tune",
        "up",
        "verify",
        "watch",
    ]

    assert expected == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_ends_with_examples_that_parse(lab: Command, verb: str) -> None:
    """Help needs neither lab file nor engine; every example is a line of this very verb."""
    done = lab(verb, "--help")

    assert (0, "", f"Usage: lab {verb}") == (done.code, done.err, done.out[: len(f"Usage: lab {verb}")])
    epilog = words(cli.lab.commands[verb].epilog or "no examples")
    assert epilog == words(done.out)[-len(epilog) :]
    for example in examples_of(verb):
        assert ["lab", verb] == example[:2]
        cli.lab.commands[verb].make_context(verb, example[2:])  # raises where it does not parse
    assert not lab.engine_was_called


def test_help_lists_every_verb_and_what_the_exit_codes_mean(lab: Command) -> None:
    """Every code of the error tree is among them."""
    done = lab("--help")
    listed = re.findall(r"^  (\w+)  +\S", done.out.partition("Commands:")[2], re.MULTILINE)
    codes = "0 fine, 1 regression or failed verification, 2 bad input, 3 environment, 4 void or undecided,"
    codes += " 130 interrupted."

    assert (0, VERBS) == (done.code, listed)
    assert f"Exit codes: {codes}" == words(done.out)[-len(f"Exit codes: {codes}") :]
    tree: list[type[errors.LabError]] = [errors.LabError, *errors.LabError.__subclasses__()]
    assert {1, 2, 3, 4} == {error.exit_code for error in tree}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nope"], "Error: No such option '--nope'."),
        (["plna"], "Error: No such command 'plna'."),
        (["run", "--trials", "0"], "Error: Invalid value for '--trials': 0 is not in the range 1<=x<=1000."),
        (["plan", "quick", "smoke"], "Error: Got unexpected extra argument (smoke)"),
    ],
)
def test_a_mistyped_command_is_bad_input(lab: Command, arguments: list[str], said: str) -> None:
    """Usage and what is wrong, on stderr."""
    done = lab(*arguments)

    assert (2, "", said) == (done.code, done.out, done.err.splitlines()[-1][: len(said)])


def test_the_engine_of_these_tests_notes_a_call(lab: Command, tmp_path: Path) -> None:
    """Otherwise that nobody called would prove nothing."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(tmp_path / "s"))

        assert (True, False) == (lab.engine_was_called, lab.engine_was_called)


def test_commands_are_clicks_own() -> None:
    """The group holds commands only, so that the tests above saw every verb."""
    assert [] == [name for name, command in cli.lab.commands.items() if isinstance(command, click.Group)]
