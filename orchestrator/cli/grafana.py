"""`lab grafana`: the dashboards in somebody's Grafana, put there or taken out by hand."""

from __future__ import annotations

import click

from orchestrator.cli.group import Context, lab
from orchestrator.grafana import put, take_out


@lab.command(epilog="Examples: lab grafana, lab grafana --remove")
@click.option("--remove", "wants_removal", is_flag=True, help="Take out what the lab put there, and nothing else.")
@click.pass_obj
def grafana(ctx: Context, wants_removal: bool) -> None:
    """Put data source, folder and dashboards into the Grafana that lab.yaml names; a second time changes nothing."""
    read = ctx.lab()
    lines = take_out(read) if wants_removal else put(read)
    for line in lines or ["nothing of the lab's is there" if wants_removal else "everything is there already"]:
        click.echo(f"{read.grafana.url}: {line}")
