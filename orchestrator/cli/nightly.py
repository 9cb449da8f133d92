"""`lab nightly` and `lab baseline`: the run of every night, who starts it, and what it is compared with."""

from __future__ import annotations

import click

from orchestrator.cli.group import Context, complain, lab
from orchestrator.closing import Done
from orchestrator.errors import BadInput
from orchestrator.hosts.schedule import (
    Way,
    choose_way,
    cron_lines,
    install_cron,
    install_units,
    remove_cron,
    remove_units,
    units,
    units_folder,
)
from orchestrator.model import Lab, Nightly
from orchestrator.nightly import accept_baseline, job_of, run_nightly, settings_of
from orchestrator.report.comparetable import compare_table
from orchestrator.report.nightdocument import changes_table
from orchestrator.results.baseline import read_baselines
from orchestrator.run import results_folder

NIGHTLY_EPILOG = (
    "Examples: lab nightly, lab nightly quick, lab nightly --install, lab nightly --install --cron --yes, "
    "lab nightly --uninstall"
)
WORDS = {1: "a regression", 4: "undecided"}


@lab.command(epilog=NIGHTLY_EPILOG)
@click.argument("suite", required=False, metavar="[SUITE]")
@click.option("--install", "is_install", is_flag=True, help="Show what would run it every night; with --yes, write it.")
@click.option("--uninstall", "is_uninstall", is_flag=True, help="Take away what --install wrote.")
@click.option("--systemd", "way", flag_value="systemd", help="With --install: a systemd timer.")
@click.option("--cron", "way", flag_value="cron", help="With --install: two lines in your crontab.")
@click.option("--yes", is_flag=True, help="With --install: write what is shown.")
@click.pass_obj
def nightly(ctx: Context, suite: str | None, is_install: bool, is_uninstall: bool, way: Way | None, yes: bool) -> None:
    """Run a suite (lab.yaml's nightly) with an A/A control; judge it by baseline and history; exit 1 when worse."""
    if is_install and is_uninstall:
        raise BadInput("--install and --uninstall exclude each other; leave one out")
    if (yes or way) and not is_install:
        raise BadInput(f"--{'yes' if yes else way} belongs to --install")
    read = ctx.lab()
    settings = settings_of(read, suite)
    if is_install:
        _install(ctx, read, settings, way, yes)
    elif is_uninstall:
        _uninstall(read, settings)
    else:
        show_night(ctx, run_nightly(read, settings, ctx.progress, ctx.say))


def show_night(ctx: Context, done: Done) -> None:
    """Print what a night says and end with its exit code."""
    night = done.night
    if night.compared is not None:
        ctx.out.print(compare_table(night.compared.judged, ascii_only=ctx.out.encoding.lower() != "utf-8"))
        ctx.out.print()
    if night.changes:
        ctx.out.print(changes_table(night))
        ctx.out.print()
    for sentence in (*night.sentences, *night.remarks):
        ctx.out.print(sentence, soft_wrap=True, markup=False, highlight=False)
    click.echo(str(done.report))
    if night.exit_code:
        raise SystemExit(complain(f"{WORDS[night.exit_code]}: {night.sentences[0]}", night.exit_code))


def _install(ctx: Context, read: Lab, settings: Nightly, asked: Way | None, yes: bool) -> None:
    job, way = job_of(read, settings), choose_way(asked)
    if way == "systemd":
        made = units(job, units_folder())
        for unit in made:
            click.echo(f"# {unit.path}\n{unit.text}")
    else:
        click.echo(f"# in the crontab of this user (crontab -l)\n{cron_lines(job)}")
    if not yes:
        again = f"lab nightly {settings.suite} --install --{way} --yes"
        ctx.say(f"nothing was written. To write this: {again}")
        return
    is_new = install_units(made) if way == "systemd" else install_cron(job)
    ctx.say("written" if is_new else "it was there already; nothing was changed")
    if way == "systemd" and units_folder().parts[1] != "etc":
        ctx.say("for nights when you are not logged in: loginctl enable-linger")


def _uninstall(read: Lab, settings: Nightly) -> None:
    job = job_of(read, settings)
    gone = [str(path) for path in remove_units(units(job, units_folder()))]
    if remove_cron(job):
        gone.append("two lines of the crontab")
    click.echo(
        f"removed: {', '.join(gone)}" if gone else "nothing to remove: --install wrote nothing that is still there"
    )


@lab.command(
    epilog="Examples: lab baseline show, lab baseline accept last, lab baseline accept 20261123T023000Z-nightly-ab"
)
@click.argument("verb", type=click.Choice(["accept", "show"]))
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--json", "as_json", is_flag=True, help="With show: print as JSON.")
@click.pass_obj
def baseline(ctx: Context, verb: str, run_id: str | None, as_json: bool) -> None:
    """Compare a suite's nights with a run from now on (accept RUN), or show what each suite is compared with (show)."""
    if verb == "show":
        if run_id is not None:
            raise BadInput(f"lab baseline show takes no run, saw {run_id}; to accept it: lab baseline accept {run_id}")
        _show_baselines(ctx, as_json)
        return
    if run_id is None:
        raise BadInput("lab baseline accept: expected a run; lab show --list names them, 'last' is the newest")
    if as_json:
        raise BadInput("--json belongs to lab baseline show")
    suite, made, earlier = accept_baseline(ctx.lab(), run_id, ctx.say)
    instead = f" instead of {earlier.run_id}" if earlier and earlier.run_id != made.run_id else ""
    click.echo(f"the nights of {suite} are compared with {made.run_id} from now on{instead}")


def _show_baselines(ctx: Context, as_json: bool) -> None:
    found = read_baselines(results_folder(ctx.root))
    if as_json:
        ctx.print_json({suite: {"run_id": one.run_id, "accepted_at": one.accepted_at} for suite, one in found.items()})
        return
    for suite, one in sorted(found.items()):
        click.echo(f"{suite:22} {one.run_id}  accepted {one.accepted_at}")
    if not found:
        click.echo("no run is accepted yet. Next: lab baseline accept RUN")
