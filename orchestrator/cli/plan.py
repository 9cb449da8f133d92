"""The verbs that touch nothing: check, plan."""

from __future__ import annotations

import click

from orchestrator.cli.group import Context, lab
from orchestrator.foresee import foresee
from orchestrator.report.plandocument import plan_document
from orchestrator.report.plantable import extrapolation_table, plan_table


@lab.command(epilog="Example: lab check")
@click.pass_obj
def check(ctx: Context) -> None:
    """Check lab.yaml and the variants' manifests; touch nothing."""
    read = ctx.lab()
    ctx.out.print(
        f"{read.path}: {len(read.variants)} variants, {len(read.scenarios)} scenarios, {len(read.suites)} suites, "
        f"{len(read.profiles)} profiles: all in order",
        soft_wrap=True,
        highlight=False,
    )


@lab.command(epilog="Examples: lab plan quick, lab plan c100k --hosts 10")
@click.argument("suite", default="quick")
@click.option("--hosts", type=click.IntRange(1, 100_000), help="Also extrapolate to so many machines like this one.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.pass_obj
def plan(ctx: Context, suite: str, hosts: int | None, as_json: bool) -> None:
    """Show the trials a suite would run, what limits each, and what it leaves out; touch nothing.

    The nightly's own suite is shown as lab nightly runs it, with its A/A control.
    """
    foreseen = foresee(ctx.lab(), suite, hosts)
    if as_json:
        ctx.print_json(plan_document(foreseen.plan, foreseen.assumed, foreseen.extrapolations))
        return
    ctx.out.print(plan_table(foreseen.plan, foreseen.lab, foreseen.assumed))
    if foreseen.extrapolations:
        ctx.out.print()
        ctx.out.print(extrapolation_table(foreseen.extrapolations))
