"""docs/adding-a-variant.md, typed through make: what reaches the lab is what it understands. No engine is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.config.load import load_lab
from orchestrator.own import with_pairing
from orchestrator.verifying.suite import chosen
from tests.documents import ROOT, set_up, type_in, typed

DOCUMENT = ROOT / "docs" / "adding-a-variant.md"
# The lab's own `new`; of what needs an engine the words alone, which the test then has parsed.
ONLY_NEW = f"""[ "$1" = new ] && exec "{sys.executable}" -m orchestrator.cli "$@"
echo "$@" >> asked"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the document's first line makes."""
    done = type_in(tmp_path, typed(DOCUMENT, "1.")[0])
    if done.returncode:
        pytest.skip(f"{ROOT} cannot be cloned: {done.stderr.strip()}")
    set_up(tmp_path / "netpoll-lab", ONLY_NEW)
    return tmp_path / "netpoll-lab"


def test_the_lines_of_the_three_steps_reach_the_lab_as_they_stand(clone: Path) -> None:
    """From the clone to the comparison: each goes through make, and the new variant is who they speak of."""
    _, *lines = [line for step in "123" for line in typed(DOCUMENT, f"{step}.")]
    for line in lines:
        done = type_in(clone, line)
        assert 0 == done.returncode, f"{line}\n{done.stdout}{done.stderr}"
    asked = [line.split() for line in (clone / "asked").read_text().splitlines()]
    read = load_lab(clone / "lab.yaml")

    assert 5 == 1 + len(lines)
    assert [["verify", "my-server"], ["run", "plain@c-epoll,my-server"], ["run", "hold-2k@c-epoll,my-server"]] == asked
    assert ["my-server"] == [one.name for one in chosen(read, tuple(asked[0][1:]), False, False)]
    for verb, *words in asked:
        assert cli.lab.commands[verb].make_context(verb, words).params
    for _, pairing in asked[1:]:
        made, suite = with_pairing(read, pairing)
        assert ("c-epoll", "my-server") == made.suites[suite].variants


def test_a_folder_elsewhere_is_made_as_it_stands(clone: Path) -> None:
    """The section's one line: beside the clone, and in lab.yaml as the section shows it."""
    (line,) = [line for line in typed(DOCUMENT, "A folder somewhere else") if line.startswith("make")]
    done = type_in(clone, line)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert (clone.parent / "my-server" / "variant.toml").is_file()
    assert "  - path: ../my-server\n" in (clone / "lab.yaml").read_text()
    assert "- path: ../my-server  " in DOCUMENT.read_text()
