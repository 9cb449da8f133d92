"""The verb of variants to be: new."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.group import Context, lab
from orchestrator.scaffold import scaffold

NEW_EPILOG = "Examples: lab new my-server --like c-epoll, lab new my-server --like go-nethttp --path .."


@lab.command(epilog=NEW_EPILOG)
@click.argument("name")
@click.option("--like", required=True, metavar="VARIANT", help="The variant to begin from: its source is copied.")
@click.option("--path", type=click.Path(path_type=Path), help="The folder to put it into, instead of servers/.")
@click.pass_obj
def new(ctx: Context, name: str, like: str, path: Path | None) -> None:
    """Make a variant of your own from one that there is; it builds, keeps the contract and runs as it stands."""
    made = scaffold(ctx.lab(), name, like, path)
    click.echo(f"{made.folder}: a copy of {like} that calls itself {name} (in {', '.join(made.changed)})")
    if made.entry:
        click.echo(f"{ctx.file}: added under variants: {made.entry}")
    click.echo("Next, now or after every change to it:")
    command = "lab" if ctx.file == Path("lab.yaml") else f"lab --file {ctx.file}"
    for verb, what in (
        (f"verify {name}", "does it keep the contract? Exact bytes, malformed input, crowds, draining"),
        (f"run plain@{like},{name}", "small answers: both, side by side"),
        (f"run hold-2k@{like},{name}", "2,000 connections that wait: what does one cost?"),
    ):
        click.echo(f"  {command} {verb:{max(34, len(name) + len(like) + 14)}} # {what}")
