"""The documents' own command lines, and what a reader would type them in: a clone of this repository."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
THE_REPOSITORY = "<this repository>"  # where a reader puts its address
_LINE_S = 1200.0  # of which building an image may take minutes
_OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "ARGS")


def typed(document: Path, heading: str) -> list[str]:
    """Return the lines to type of the sections whose heading begins so: those that are indented as code."""
    sections = document.read_text(encoding="utf-8").split("\n## ")[1:]
    lines = [line for section in sections if section.startswith(heading) for line in section.splitlines()]
    return [line.strip() for line in lines if line.startswith("    ") and line.strip()]


def type_in(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a shell would that stands in a folder; make learns nothing from one that runs these tests."""
    line = line.replace(THE_REPOSITORY, shlex.quote(str(ROOT)))
    around = {name: value for name, value in os.environ.items() if name not in _OF_MAKE}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=around, capture_output=True, text=True, timeout=_LINE_S, check=False
    )


def set_up(clone: Path, command: str = f'exec "{sys.executable}" -m orchestrator.cli "$@"') -> None:
    """Let make find its environment made: the one these tests run in, with the clone's own code.

    What make does where there is none is the README's Start, and takes a download. command: instead of the lab's own.
    """
    there = clone / ".venv" / "bin"
    there.mkdir(parents=True)
    (there / "python").symlink_to(sys.executable)
    (there / "lab").write_text(f"#!/bin/sh\n{command}\n")
    (there / "lab").chmod(0o755)
    (clone / ".venv" / ".run").touch()
