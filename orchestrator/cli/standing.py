"""The verbs of the standing lab: build, up, down, gc, status."""

from __future__ import annotations

import time

import click

from orchestrator.cli.group import Context, complain, lab
from orchestrator.down import collect, take_down
from orchestrator.light import first_light
from orchestrator.report.text import first_light_table, lab_table, pages_table
from orchestrator.standing import bring_up, build, look


@lab.command(name="build", epilog="Example: lab build")
@click.pass_obj
def build_images(ctx: Context) -> None:
    """Build every image that is missing or whose sources changed."""
    read = ctx.lab()
    ground = build(read, ctx.progress, ctx.say)
    for name, reference in sorted(ground.images.items()):
        click.echo(f"{name:22} {reference}")


@lab.command(epilog="Examples: lab up, lab up --no-load")
@click.option("--no-load", is_flag=True, help="Skip first light, the two seconds of load on each variant.")
@click.pass_obj
def up(ctx: Context, no_load: bool) -> None:
    """Bring up the lab, verify every variant, print where everything is, end with first light."""
    began_s = time.monotonic()
    read = ctx.lab()
    standing = bring_up(read, ctx.progress, ctx.say)
    ctx.out.print(lab_table(standing.pages, standing.variants))
    ctx.say(f"the lab was up after {time.monotonic() - began_s:.1f} s")
    if not no_load:
        light = first_light(read, standing, ctx.progress)
        ctx.out.print()
        ctx.out.print(first_light_table(light.rows))
        ctx.out.print(light.remark, soft_wrap=True, highlight=False)
    failed = [row.variant.name for row in standing.variants if row.state != "verified"]
    if failed:
        raise SystemExit(complain(f"{', '.join(failed)}: not verified, see the table above", 1))


@lab.command(epilog="Examples: lab down, lab down --engine")
@click.option("--engine", is_flag=True, help="Also stop the Docker engine, if this lab started it.")
@click.pass_obj
def down(ctx: Context, engine: bool) -> None:
    """Remove every container, network and volume of this lab, and nothing else."""
    for line in take_down(ctx.root, engine):
        click.echo(line)


@lab.command(epilog="Examples: lab gc, lab gc --images")
@click.option("--images", is_flag=True, help="Also remove the images the lab built.")
@click.pass_obj
def gc(ctx: Context, images: bool) -> None:
    """Remove what a killed orchestrator left; a live run and a standing lab are left alone."""
    for line in collect(ctx.root, images):
        click.echo(line)


@lab.command(epilog="Example: lab status")
@click.option("--json", "as_json", is_flag=True, help="Print the state as JSON.")
@click.pass_obj
def status(ctx: Context, as_json: bool) -> None:
    """Show what of the lab is running and where it answers."""
    seen = look(ctx.lab())
    if as_json:
        ctx.print_json(seen.document())
        return
    if not seen.containers:
        click.echo("nothing of this lab is running. Next: lab up")
        return
    ctx.out.print(pages_table(seen.pages))
    for name, state in seen.containers.items():
        click.echo(f"  {name:44} {state}")
