"""The group that every verb of `lab` joins, and what each verb is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from orchestrator.config.load import load_lab
from orchestrator.errors import BadInput, StoreDamaged
from orchestrator.model import Lab
from orchestrator.report.progress import Progress
from orchestrator.report.text import open_console
from orchestrator.results.whole import try_whole, write_whole

EPILOG = (
    "Exit codes: 0 fine, 1 regression or failed verification, 2 bad input, 3 environment, 4 void or undecided, "
    "130 interrupted."
)


class Context:
    """What every verb is given: the lab file's path, and the two streams."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.root = file.resolve().parent
        self.out = open_console(sys.stdout)
        self.err = open_console(sys.stderr)
        self.progress = Progress(self.err)

    def lab(self) -> Lab:
        return load_lab(self.file)

    def say(self, text: str) -> None:
        self.progress.say(text)

    def print_json(self, document: object) -> None:
        click.echo(json.dumps(document, indent=2))


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--file", "file", type=click.Path(path_type=Path), default=Path("lab.yaml"), help="The lab file to read.")
@click.version_option(package_name="netpoll-lab", prog_name="lab")
@click.pass_context
def lab(ctx: click.Context, file: Path) -> None:
    """Bring up server variants in tuned containers, load them with Locust swarms, compare them side by side."""
    ctx.obj = Context(file)


class OutFile(click.Path):
    """A file that a person wants written; the name of a folder is refused, and so is none, as "$UNSET" gives."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("expected the name of a file, saw an empty one", param, ctx)
        return super().convert(value, param, ctx)


def check_out(path: Path, what: str) -> None:
    """Make sure, before what takes long, that `write_out` may write into a folder that is there.

    Raises BadInput where it is not there, StoreDamaged where nothing can be written.
    """
    folder = path.absolute().parent
    try:
        if not folder.is_dir():
            raise BadInput(f"{path}: expected to write the {what}, but there is no folder {folder}. Make it first")
        try_whole(path)
    except OSError as error:
        raise StoreDamaged(
            f"{path}: expected to write the {what}, but {error.strerror or error}; nothing was begun. "
            "Mend the folder's permissions, or name another file"
        ) from error


def write_out(path: Path, content: bytes, what: str) -> None:
    """Write what a person asked for into a file, whole or not at all. Raises StoreDamaged."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise StoreDamaged(
            f"{path}: expected to write the {what}, but {error.strerror or error}; an earlier one there is as it was. "
            "Free some space or mend the folder's permissions, or name another file"
        ) from error


def complain(text: str, code: int) -> int:
    """Say one line on stderr and return the exit code it goes with."""
    click.echo(f"lab: {text}", err=True)
    return code
