"""The verbs of the standing lab: build, up, down, gc, status."""

from __future__ import annotations

import time

import click

from orchestrator.cli.group import Context, complain, lab
from orchestrator.down import collect, take_down
from orchestrator.errors import BadInput
from orchestrator.light import first_light
from orchestrator.report.text import first_light_table, lab_table, pages_table
from orchestrator.standing import bring_up, build, look


@lab.command(name="build", epilog="Examples: lab build, lab build c-epoll py-asyncio, lab build --all")
@click.argument("variants", nargs=-1, metavar="[VARIANT]...")
@click.option("--all", "wants_all", is_flag=True, help="Every variant there is; it takes minutes.")
@click.pass_obj
def build_images(ctx: Context, variants: tuple[str, ...], wants_all: bool) -> None:
    """Build the images that are missing or whose sources changed: the arena's, unless variants are named."""
    read = ctx.lab()
    if wants_all and variants:
        raise BadInput(f"--all and {variants[0]} exclude each other; leave one out")
    ground = build(read, ctx.progress, ctx.say, tuple(read.variants) if wants_all else variants)
    for name, reference in sorted(ground.images.items()):
        click.echo(f"{name:22} {reference}")


@lab.command(epilog="Examples: lab up, lab up --no-load, lab up --variant c-epoll")
@click.option("--no-load", is_flag=True, help="Skip first light, the two seconds of load on each variant.")
@click.option("--variant", "more", multiple=True, help="Add this one to the arena until lab down; several are allowed.")
@click.pass_obj
def up(ctx: Context, no_load: bool, more: tuple[str, ...]) -> None:
    """Bring up the lab, verify the arena's variants, print where everything is, end with first light."""
    began_s = time.monotonic()
    read = ctx.lab()
    standing = bring_up(read, ctx.progress, ctx.say, more)
    ctx.out.print(lab_table(standing.pages, standing.variants))
    ctx.say(f"the lab was up after {time.monotonic() - began_s:.1f} s")
    if not no_load:
        light = first_light(standing.lab, standing, ctx.progress)
        ctx.out.print()
        ctx.out.print(first_light_table(light.rows))
        ctx.out.print(light.remark, soft_wrap=True, highlight=False)
    good = ("verified", "unsupported: ")  # what this machine refuses is no failure of the variant
    failed = [row.variant.name for row in standing.variants if not row.state.startswith(good)]
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
