"""The verbs of scripted runs: run, show."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.group import Context, complain, lab
from orchestrator.cli.nightly import show_night
from orchestrator.closing import close_resumed
from orchestrator.errors import BadInput
from orchestrator.model import Run
from orchestrator.own import SUITE as OWN
from orchestrator.own import laid_out, with_own, with_pairing
from orchestrator.report.asjson import show_document
from orchestrator.report.sidebyside import side_by_side
from orchestrator.report.text import timing_line
from orchestrator.results.mend import has_results, open_results
from orchestrator.resume import resume_run, state_in_words
from orchestrator.run import results_folder, run_suite
from orchestrator.units import parse_duration_s

RUN_EPILOG = (
    "Examples: lab run quick, lab run quick --trials 6, lab run plain@c-epoll, lab run plain@c-epoll,c-threads, "
    "lab run --resume, lab run --locustfile mine.py --variant go-nethttp --users 50 --time 30s"
)

OWN_HELP = "Load with the users of your own locustfile; one that reaches for another host ends with 4 (void)."


@lab.command(epilog=RUN_EPILOG)
@click.argument("suite", required=False, metavar="[SUITE | SCENARIO@VARIANT,... | --resume RUN]")
@click.option("--resume", is_flag=True, help="Go on with a run that was killed: the newest, or the one named.")
@click.option("--trials", type=click.IntRange(1, 1000), help="Repetitions of each pairing, instead of the suite's.")
@click.option("--seed", type=int, help="Seed of the order, instead of the suite's.")
@click.option("--attempt", is_flag=True, help="Run what cannot work, failed verification, or changed since.")
@click.option("--locustfile", type=click.Path(path_type=Path), help=OWN_HELP)
@click.option("--variant", multiple=True, help="With --locustfile: whom to load (c-epoll); several are allowed.")
@click.option("--users", type=click.IntRange(1, 100_000), help="With --locustfile: how many users (10).")
@click.option("--time", "time_text", help="With --locustfile: how long, such as 30s (30s).")
@click.pass_obj
def run(
    ctx: Context,
    suite: str | None,
    resume: bool,
    trials: int | None,
    seed: int | None,
    attempt: bool,
    locustfile: Path | None,
    variant: tuple[str, ...],
    users: int | None,
    time_text: str | None,
) -> None:
    """Run a suite (quick, unless named) in fresh containers and print the side-by-side tables.

    --resume keeps a killed run's plan and its finished trials and does the interrupted one again. It refuses where
    images, profile, scenarios, variants or the machine changed since, unless --attempt is given. A killed night is
    judged, reported and told of as lab nightly would have, and ends with that one's exit code.
    """
    read = ctx.lab()
    if resume:
        if trials is not None or seed is not None or locustfile or variant or users is not None or time_text:
            raise BadInput("--resume goes on with a run as it was planned; no other option but --attempt goes with it")
        done = resume_run(read, suite, ctx.progress, ctx.say, attempt=attempt)
    elif locustfile is not None:
        if suite is not None:
            raise BadInput(f"--locustfile and the suite {suite} exclude each other; leave one out")
        made = with_own(read, locustfile, variant, users or 10, _seconds(time_text or "30s"))
        with laid_out(read, locustfile) as copy:
            done = run_suite(
                made, OWN, ctx.progress, ctx.say,
                trials=trials, seed=seed, attempt=attempt, locustfile=copy, declared=read,
            )  # fmt: skip
    else:
        if variant or users is not None or time_text is not None:
            raise BadInput("--variant, --users and --time belong to --locustfile; or write SCENARIO@VARIANT")
        if suite is not None and "@" in suite:
            read, suite = with_pairing(read, suite)
        suite = "quick" if suite is None else suite
        done = run_suite(read, suite, ctx.progress, ctx.say, trials=trials, seed=seed, attempt=attempt)
    _print_run(ctx, done.outcome.run)
    ctx.out.print(f"set-up took {done.setup_s:.1f} s; {timing_line(done.outcome.run)}", soft_wrap=True, highlight=False)
    night = close_resumed(read, done.outcome.run, ctx.say) if resume else None
    if night is not None:
        ctx.out.print()
        show_night(ctx, night)
    elif done.outcome.refused:
        raise SystemExit(complain(f"failed verification: {', '.join(done.outcome.refused)}", 1))
    elif done.outcome.undecided:
        raise SystemExit(complain(f"undecided: too few valid trials: {', '.join(done.outcome.undecided)}", 4))


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration_s(text)
    except ValueError as error:
        raise BadInput(f"--time: {error}") from None
    if not 0.0 < seconds <= 3600.0:
        raise BadInput(f"--time: expected more than 0 and at most an hour, saw {text}; write 30s")
    return seconds


@lab.command(epilog="Examples: lab show, lab show --json, lab show 20261123T082036Z-quick-ab12cd, lab show --list")
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")
@click.option("--list", "as_list", is_flag=True, help="List the runs there are.")
@click.pass_obj
def show(ctx: Context, run_id: str | None, as_json: bool, as_list: bool) -> None:
    """Show a run's results: the newest, or the one named (a unique beginning will do)."""
    results = results_folder(ctx.root)
    if not has_results(results):
        raise BadInput(f"{results / 'lab.db'}: there are no results yet. Next: lab run quick")
    with open_results(results, ctx.say) as store:
        command = "lab" if ctx.file == Path("lab.yaml") else f"lab --file {ctx.file}"
        states = {entry.run_id: state_in_words(entry, command) for entry in store.list_runs()}
        if as_list:
            for entry in store.list_runs():
                click.echo(f"{entry.run_id}  {entry.suite}  {states[entry.run_id]}")
            return
        found = store.read_run(run_id)
    if as_json:
        ctx.print_json(show_document(found))
        return
    _print_run(ctx, found)
    ctx.out.print(timing_line(found), soft_wrap=True, highlight=False)
    if found.finished_at is None:
        ctx.out.print(states[found.run_id], soft_wrap=True, markup=False, highlight=False)


def _print_run(ctx: Context, run: Run) -> None:
    for table in side_by_side(run):
        ctx.out.print(table)
        ctx.out.print()
    for left in run.plan.left_out:
        text = f"left out: {left.variant} on {left.scenario}: {left.reason}"
        ctx.out.print(text, soft_wrap=True, markup=False, highlight=False, style="dim")
    for session in run.sessions[1:]:
        text = f"resumed {session.began_at}{''.join(f'; not as when it began: {what}' for what in session.changes)}"
        ctx.out.print(text, soft_wrap=True, markup=False, highlight=False, style="dim")
