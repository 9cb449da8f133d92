"""`lab report`: a run, or several side by side, as a page to open, send or paste."""

from __future__ import annotations

import json
from pathlib import Path

import click

from orchestrator.cli.group import Context, OutFile, lab, write_out
from orchestrator.errors import BadInput
from orchestrator.grafana import dashboard_link
from orchestrator.model import Run, Thresholds
from orchestrator.report.asjson import report_documents
from orchestrator.report.page.beside import read_beside
from orchestrator.report.page.content import read_run
from orchestrator.report.page.html import relative_folder, render_html
from orchestrator.report.page.plain import render_csv, render_junit, render_markdown
from orchestrator.results.folder import run_folder
from orchestrator.results.mend import has_results, open_results
from orchestrator.run import results_folder
from orchestrator.serve import Server, Site
from orchestrator.timelines import read_timelines
from orchestrator.up import state_folder
from orchestrator.verdicts.compare import worth_a_word

_PORT = 8090  # beside Locust's 8089
FORMATS = {"html": "html", "markdown": "md", "json": "json", "csv": "csv", "junit": "xml"}


EPILOG = (
    "Examples: lab report, lab report --format markdown --out -, lab report RUN1 RUN2 --out both.html, "
    "lab report --serve"
)


@lab.command(epilog=EPILOG)
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@click.option("--format", "kind", type=click.Choice(list(FORMATS)), help="What to write (html).")
@click.option("--out", type=OutFile(), help="Where to (the run's folder); - is stdout.")
@click.option("--serve", is_flag=True, help="Show kept runs on the live page, on 127.0.0.1, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), help="With --serve: where (8090); 0 takes any that is free.")
@click.pass_obj
def report(
    ctx: Context, run_ids: tuple[str, ...], kind: str | None, out: Path | None, serve: bool, port: int | None
) -> None:
    """Write a report of the newest run, or of those named, the later beside the first; or show them, --serve."""
    if serve and (kind or out or len(run_ids) > 1):
        raise BadInput("--serve shows every kept run on one page: leave --format and --out away, name one run at most")
    if port is not None and not serve:
        raise BadInput("--port belongs to --serve; write: lab report --serve --port N")
    results = results_folder(ctx.root)
    if not has_results(results):
        raise BadInput(f"{results / 'lab.db'}: there are no results yet. Next: lab run quick")
    with open_results(results, ctx.say) as store:
        runs = [store.read_run(run_id) for run_id in run_ids] or [store.read_run(None)]
    if serve:
        _show(ctx, Site(results, runs[0].run_id if run_ids else ""), _PORT if port is None else port)
        return
    kind = kind or "html"
    path = out or run_folder(results, runs[0].run_id) / f"report.{FORMATS[kind]}"
    text = _render(ctx, runs, kind, path, results / "runs")
    if str(path) == "-":
        click.echo(text, nl=not text.endswith("\n"))
        return
    write_out(path, text.encode(), "report")
    click.echo(str(path))


def _show(ctx: Context, site: Site, port: int) -> None:
    with Server(site, port) as server:
        click.echo(server.address)
        ctx.say("open it in a browser; Ctrl-C ends it")
        server.serve_forever()


def _render(ctx: Context, runs: list[Run], kind: str, path: Path, folder: Path) -> str:
    title = runs[0].suite if len(runs) == 1 else f"{len(runs)} runs side by side"
    if kind == "csv":
        return render_csv(runs)
    worth = worth_a_word(ctx.lab().thresholds if ctx.file.exists() else Thresholds())
    beside = read_beside(runs, worth)
    if kind == "json":
        documents = report_documents(runs, beside, worth)
        return json.dumps(documents[0] if len(documents) == 1 else documents, indent=2) + "\n"
    if kind == "junit":
        return render_junit(runs, beside)
    kept = folder.parent
    parts = [
        read_run(
            run, dashboard_link(state_folder(ctx.root), run), thresholds=worth, timelines=read_timelines(kept, run)
        )
        for run in runs
    ]  # fmt: skip
    if kind == "markdown":
        return render_markdown(title, parts, beside)
    return render_html(title, parts, relative_folder(path, folder), beside)
