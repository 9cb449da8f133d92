"""The verbs that carry a run to another machine: export, import."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.group import Context, OutFile, lab
from orchestrator.errors import BadInput
from orchestrator.report import figures
from orchestrator.results.mend import has_results
from orchestrator.run import results_folder
from orchestrator.transfer import export_run, import_run


@lab.command(name="export", epilog="Examples: lab export, lab export 20261123T082036Z-quick-ab12cd --out night.tar.gz")
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--out", type=OutFile(), help="Where to (RUN.tar.gz in the working folder).")
@click.pass_obj
def export(ctx: Context, run_id: str | None, out: Path | None) -> None:
    """Write a run as one file, with a digest of every file in it: the newest, or the one named.

    The same run gives the same bytes. Exit code 2: no such run, it is still going on, or the file is there with other
    content; 3: it cannot be written.
    """
    results = results_folder(ctx.root)
    if not has_results(results):
        raise BadInput(f"{results / 'lab.db'}: there are no results yet. Next: lab run quick")
    done = export_run(ctx.root, run_id, out, ctx.say)
    run = done.run
    how = "" if run.finished_at else f", unfinished: {len(run.trials)} of {len(run.plan.trials)} trials"
    what = f"{done.files} files, {figures.size(done.bytes)}, SHA-256 {done.sha256}"
    click.echo(f"{done.path}: run {run.run_id}{how}, {what}")


@lab.command(name="import", epilog="Example: lab import 20261123T082036Z-quick-ab12cd.tar.gz")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.pass_obj
def import_(ctx: Context, files: tuple[Path, ...]) -> None:
    """Take runs in from files that lab export wrote, once every digest in them is right.

    A run that is here already with the same content stays as it is (exit code 0). Exit code 2: the file is damaged or
    no export, or the run is here with other content; 3: it cannot be kept. Then nothing of it is taken in.
    """
    for file in files:
        done = import_run(ctx.root, file, ctx.say)
        run = done.run
        what = f"{len(run.trials)} of {len(run.plan.trials)} trials taken in" if done.is_new else "is here already"
        click.echo(f"{file}: run {run.run_id}: {what}. See it: lab show {run.run_id}")
