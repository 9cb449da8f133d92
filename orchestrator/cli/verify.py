"""The verb of the contract: verify."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.group import Context, OutFile, check_out, complain, lab, write_out
from orchestrator.report.junit import junit_xml
from orchestrator.report.verifytable import (
    checks_table,
    conformance_document,
    conformance_table,
    declared_lines,
    failure_lines,
    second_attempt_lines,
    second_attempt_sentence,
)
from orchestrator.verifying.suite import all_checks, chosen, verify_variants

VERIFY_EPILOG = (
    "Examples: lab verify c-epoll, lab verify --all, lab verify --all --junit verify.xml, "
    "lab verify c-epoll --only pipelined-ten, lab verify --list, lab verify --sanitize c-threads"
)


@lab.command(epilog=VERIFY_EPILOG)
@click.argument("variants", nargs=-1, metavar="[VARIANT...]")
@click.option("--all", "every", is_flag=True, help="Every variant of the lab.")
@click.option("--only", multiple=True, metavar="CHECK", help="This check alone; several are allowed. Nothing is kept.")
@click.option("--sanitize", is_flag=True, help="Build with sanitizers (C) or the race detector (Go); any report fails.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.option("--junit", type=OutFile(), help="Also write it to a file as JUnit XML.")
@click.option("--list", "as_list", is_flag=True, help="List the checks there are.")
@click.pass_obj
def verify(
    ctx: Context,
    variants: tuple[str, ...],
    every: bool,
    only: tuple[str, ...],
    sanitize: bool,
    as_json: bool,
    junit: Path | None,
    as_list: bool,
) -> None:
    """Check the contract (servers/CONTRACT.md) of variants, in pods as trials have them; runs leave out who fails."""
    if as_list:
        _list(ctx, as_json)
        return
    if junit is not None:
        check_out(junit, "JUnit file")
    read = ctx.lab()
    wanted = chosen(read, variants, every, sanitize)
    done = verify_variants(read, wanted, ctx.progress, ctx.say, only=only, sanitize=sanitize)
    if as_json:
        ctx.print_json(conformance_document(done.found, done.suite))
    else:
        ctx.out.print(conformance_table(done.found))
        lines = [*failure_lines(done.found), *second_attempt_lines(done.found), *declared_lines(done.found)]
        for line in lines:
            ctx.out.print(line, soft_wrap=True, markup=False, highlight=False)
    if junit is not None:
        write_out(junit, junit_xml(done.found), "JUnit file")
    if doubtful := second_attempt_sentence(done.found):
        ctx.say(doubtful)
    failed = [one.variant for one in done.found if one.state == "failed"]
    if failed:
        left_out = "; runs leave it out" if len(failed) == 1 else "; runs leave them out"
        raise SystemExit(complain(f"{', '.join(failed)}: contract not kept{left_out if done.is_kept else ''}", 1))


def _list(ctx: Context, as_json: bool) -> None:
    rows = all_checks()
    if as_json:
        ctx.print_json([dict(zip(("act", "id", "title", "contract"), row, strict=True)) for row in rows])
    else:
        ctx.out.print(checks_table(rows))
