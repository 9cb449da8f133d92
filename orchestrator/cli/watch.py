"""`lab watch`: the lab at work, in the terminal."""

from __future__ import annotations

import json

import click
from rich.live import Live

from orchestrator.cli.group import Context, lab
from orchestrator.report.watching import Now, watch_document, watch_lines, watch_screen
from orchestrator.watch import look
from orchestrator.watch import watch as watch_lab

EPILOG = "Examples: lab watch, lab watch --once, lab watch --once --json"


@lab.command(epilog=EPILOG)
@click.option("--once", is_flag=True, help="Look once and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each look, on one line.")
@click.pass_obj
def watch(ctx: Context, once: bool, as_json: bool) -> None:
    """Show the standing lab or the run under way once a second, until Ctrl-C: every variant under load side by side."""
    read = ctx.lab()
    if once:
        _print(ctx, look(read), as_json)
    elif as_json or not ctx.out.is_terminal:
        for now in watch_lab(read):
            _print(ctx, now, as_json)
        ctx.say("the lab was taken down")
    else:
        ascii_only = ctx.out.encoding.lower() != "utf-8"
        with Live(console=ctx.out, auto_refresh=False, vertical_overflow="crop") as display:
            for now in watch_lab(read):
                display.update(watch_screen(now, ctx.out.width, ascii_only), refresh=True)
        ctx.say("the lab was taken down")


def _print(ctx: Context, now: Now, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(watch_document(now)))
    elif ctx.out.is_terminal:
        ctx.out.print(watch_screen(now, ctx.out.width, ctx.out.encoding.lower() != "utf-8"))
    else:
        for line in watch_lines(now):
            click.echo(line)
