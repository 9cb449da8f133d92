"""The `lab` command: parses, calls the story, prints, decides nothing.

Results go to stdout, progress and errors to stderr. Exit codes: 0 fine, 1 failed verification, 2 bad input,
3 environment, 4 void or undecided, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
import requests
from docker.errors import DockerException

from orchestrator.calibrate import calibrate
from orchestrator.config.load import load_lab
from orchestrator.containers.engine import find_engine
from orchestrator.down import collect, take_down
from orchestrator.errors import BadInput, LabError
from orchestrator.foresee import foresee
from orchestrator.light import first_light
from orchestrator.model import Lab, Run
from orchestrator.own import SUITE as OWN
from orchestrator.own import laid_out, with_own, with_pairing
from orchestrator.report.asjson import show_document
from orchestrator.report.calibrationtable import calibration_table
from orchestrator.report.plandocument import plan_document
from orchestrator.report.plantable import extrapolation_table, plan_table
from orchestrator.report.progress import Progress
from orchestrator.report.sidebyside import side_by_side
from orchestrator.report.text import (
    first_light_table,
    lab_table,
    open_console,
    pages_table,
    timing_line,
)
from orchestrator.report.tunetable import changes_document, changes_table, ending_line, held_table
from orchestrator.results.store import open_store
from orchestrator.run import results_folder, run_suite
from orchestrator.standing import bring_up, build, look
from orchestrator.tune import apply, look_ahead, look_back, profile_to_tune, put_back
from orchestrator.units import parse_duration_s

EPILOG = "Exit codes: 0 fine, 1 failed verification, 2 bad input, 3 environment, 4 void or undecided, 130 interrupted."


class Context:
    """What every verb is given: the lab file's path, and the two streams."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.root = file.resolve().parent
        self.out = open_console(sys.stdout)
        self.err = open_console(sys.stderr)
        self.progress = Progress(self.err)

    def lab(self) -> Lab:
        return load_lab(self.file)

    def say(self, text: str) -> None:
        self.progress.say(text)

    def print_json(self, document: object) -> None:
        click.echo(json.dumps(document, indent=2))


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--file", "file", type=click.Path(path_type=Path), default=Path("lab.yaml"), help="The lab file to read.")
@click.version_option(package_name="netpoll-lab", prog_name="lab")
@click.pass_context
def lab(ctx: click.Context, file: Path) -> None:
    """Bring up server variants in tuned containers, load them with Locust swarms, compare them side by side."""
    ctx.obj = Context(file)


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
    """Show the trials a suite would run, what limits each, and what it leaves out; touch nothing."""
    read = ctx.lab()
    foreseen = foresee(read, suite, hosts)
    if as_json:
        ctx.print_json(plan_document(foreseen.plan, foreseen.assumed, foreseen.extrapolations))
        return
    ctx.out.print(plan_table(foreseen.plan, read, foreseen.assumed))
    if foreseen.extrapolations:
        ctx.out.print()
        ctx.out.print(extrapolation_table(foreseen.extrapolations))


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
        raise SystemExit(_complain(f"{', '.join(failed)}: not verified, see the table above", 1))


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


TUNE_EPILOG = (
    "Examples: lab tune c100k, lab tune c100k --yes, lab tune --status, lab tune --restore, "
    "lab tune --restore --force, lab tune --calibrate, lab tune --calibrate --variant c-epoll"
)


@lab.command(epilog=TUNE_EPILOG)
@click.argument("profile", required=False)
@click.option("--yes", is_flag=True, help="Make the changes shown; without it nothing is changed.")
@click.option("--lower", is_flag=True, help="Also lower what is higher already than the profile asks for.")
@click.option("--skip-absent", is_flag=True, help="Go on without settings that this kernel does not have.")
@click.option("--status", "asks_status", is_flag=True, help="Show what lab tune set and has not put back.")
@click.option("--restore", "is_restore", is_flag=True, help="Put back what was there before, newest first.")
@click.option("--force", is_flag=True, help="With --restore: also what somebody else changed since.")
@click.option("--calibrate", "is_calibration", is_flag=True, help="Measure what a connection costs here, for lab plan.")
@click.option("--variant", "variants", multiple=True, help="With --calibrate: this one only; several are allowed.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON what would be changed, or with --status what was.")
@click.pass_obj
def tune(
    ctx: Context,
    profile: str | None,
    yes: bool,
    lower: bool,
    skip_absent: bool,
    asks_status: bool,
    is_restore: bool,
    force: bool,
    is_calibration: bool,
    variants: tuple[str, ...],
    as_json: bool,
) -> None:
    """Raise the host's own limits to a profile's (shown first, journalled); put them back; or calibrate the planner."""
    asked = {"status": asks_status, "restore": is_restore, "calibrate": is_calibration}
    ways = [name for name, is_asked in asked.items() if is_asked]
    if len(ways) > 1:
        raise BadInput(f"--{ways[0]} and --{ways[1]} exclude each other; leave one out")
    if ways and (profile is not None or yes or lower or skip_absent):
        raise BadInput(f"--{ways[0]} changes no setting to a profile's; leave out the profile and its options")
    if force and not is_restore:
        raise BadInput("--force belongs to --restore")
    if variants and not is_calibration:
        raise BadInput("--variant belongs to --calibrate")
    if as_json and (is_restore or is_calibration):
        raise BadInput(f"--{ways[0]} prints no JSON; use --json with --status or a profile")
    if is_calibration:
        _calibrate(ctx, variants)
    elif is_restore:
        _restore(ctx, force)
    elif asks_status:
        _tune_status(ctx, as_json)
    else:
        _tune(ctx, profile, yes, lower, skip_absent, as_json)


def _tune(ctx: Context, name: str | None, yes: bool, lower: bool, skip_absent: bool, as_json: bool) -> None:
    read = ctx.lab()
    profile = profile_to_tune(read, name)
    changes = look_ahead(profile, lower=lower)
    if as_json:
        ctx.print_json(changes_document(profile.name, changes, applied=yes))
    elif changes:
        ctx.out.print(changes_table(profile.name, changes))
    count = sum(change.action == "set" for change in changes)
    if not changes:
        ctx.say(f"profile {profile.name} asks nothing of the host; nothing was changed")
    elif not yes:
        ctx.say(f"nothing was changed. To change {count}: lab tune {profile.name} --yes")
    else:
        for remark in apply(read, profile, changes, skip_absent=skip_absent):
            ctx.say(remark)
        ctx.say(f"{count} changed. To put them back: lab tune --restore" if count else "nothing had to be changed")


def _calibrate(ctx: Context, variants: tuple[str, ...]) -> None:
    done = calibrate(ctx.lab(), variants, ctx.progress, ctx.say)
    ctx.out.print(calibration_table(done.servers, done.generators, done.failed))
    ctx.say(f"kept in {done.path}; lab plan uses it")
    if done.failed:
        raise SystemExit(_complain(f"not calibrated: {', '.join(done.failed)}; see above", 4))


def _restore(ctx: Context, force: bool) -> None:
    endings = put_back(ctx.root, force=force)
    for ending in endings:
        click.echo(ending_line(ending.entry.name, ending.entry.old, ending.entry.new, ending.seen, ending.fate))
    if not endings:
        click.echo("nothing to put back: the journal holds no setting of lab tune's")
    left = [ending.entry.name for ending in endings if ending.fate == "changed since"]
    if left:
        text = f"{', '.join(left)}: changed by somebody else since, and left. To put back all the same"
        raise SystemExit(_complain(f"{text}: lab tune --restore --force", 3))


def _tune_status(ctx: Context, as_json: bool) -> None:
    held = look_back(ctx.root)
    if as_json:
        ctx.print_json([{**asdict(h.entry), "now": h.now, "state": h.state} for h in held])
    elif held:
        rows = [(h.entry.name, h.entry.old, h.entry.new, h.now or "-", h.state, h.entry.profile) for h in held]
        ctx.out.print(held_table(rows))
    else:
        click.echo("lab tune has set nothing, or everything is put back. Next: lab tune PROFILE")


RUN_EPILOG = (
    "Examples: lab run quick, lab run quick --trials 6, lab run plain@c-epoll, "
    "lab run --locustfile mine.py --variant go-nethttp --users 50 --time 30s"
)

OWN_HELP = "Load with the users of your own locustfile; one that reaches for another host ends with 4 (void)."


@lab.command(epilog=RUN_EPILOG)
@click.argument("suite", required=False, metavar="[SUITE | SCENARIO@VARIANT]")
@click.option("--trials", type=click.IntRange(1, 1000), help="Repetitions of each pairing, instead of the suite's.")
@click.option("--seed", type=int, help="Seed of the order, instead of the suite's.")
@click.option("--attempt", is_flag=True, help="Run although the plan says that something cannot work.")
@click.option("--locustfile", type=click.Path(path_type=Path), help=OWN_HELP)
@click.option("--variant", multiple=True, help="With --locustfile: whom to load (c-epoll); several are allowed.")
@click.option("--users", type=click.IntRange(1, 100_000), help="With --locustfile: how many users (10).")
@click.option("--time", "time_text", help="With --locustfile: how long, such as 30s (30s).")
@click.pass_obj
def run(
    ctx: Context,
    suite: str | None,
    trials: int | None,
    seed: int | None,
    attempt: bool,
    locustfile: Path | None,
    variant: tuple[str, ...],
    users: int | None,
    time_text: str | None,
) -> None:
    """Run a suite (quick, unless named) in fresh containers and print the side-by-side tables."""
    read = ctx.lab()
    if locustfile is not None:
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
        done = run_suite(read, suite or "quick", ctx.progress, ctx.say, trials=trials, seed=seed, attempt=attempt)
    _print_run(ctx, done.outcome.run)
    ctx.out.print(f"set-up took {done.setup_s:.1f} s; {timing_line(done.outcome.run)}", soft_wrap=True, highlight=False)
    if done.outcome.refused:
        raise SystemExit(_complain(f"failed verification: {', '.join(done.outcome.refused)}", 1))
    if done.outcome.undecided:
        raise SystemExit(_complain(f"no valid trial: {', '.join(done.outcome.undecided)}", 4))


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
    path = results_folder(ctx.root) / "lab.db"
    if not path.exists():
        raise BadInput(f"{path}: there are no results yet. Next: lab run quick")
    with open_store(path) as store:
        if as_list:
            for entry in store.list_runs():
                click.echo(f"{entry.run_id}  {entry.suite}  {entry.finished_at or 'not finished'}")
            return
        found = store.read_run(run_id)
    if as_json:
        ctx.print_json(show_document(found))
        return
    _print_run(ctx, found)
    ctx.out.print(timing_line(found), soft_wrap=True, highlight=False)


def _print_run(ctx: Context, run: Run) -> None:
    for table in side_by_side(run):
        ctx.out.print(table)
        ctx.out.print()


def _complain(text: str, code: int) -> int:
    click.echo(f"lab: {text}", err=True)
    return code


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line and end with a documented exit code; no traceback reaches the terminal."""
    signal.signal(signal.SIGTERM, _interrupt)
    # The lab's own pages are on loopback, whatever proxy the outside world needs.
    os.environ["no_proxy"] = ",".join(filter(None, [os.environ.get("no_proxy"), "127.0.0.1"]))
    try:
        lab.main(standalone_mode=False, prog_name="lab")
    except click.exceptions.Abort:
        raise SystemExit(_complain("interrupted; finished trials are kept", 130)) from None
    except KeyboardInterrupt:
        raise SystemExit(_complain("interrupted; finished trials are kept", 130)) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(2) from None
    except LabError as error:
        raise SystemExit(_complain(str(error), error.exit_code)) from None
    except (DockerException, requests.RequestException) as error:
        brief = str(error).splitlines()[0][:300]
        hint = "Try: docker info, then lab up" if find_engine() else "No engine answers now; lab up starts one"
        text = f"the Docker engine failed in the middle: {brief}. {hint}"
        raise SystemExit(_complain(text, 3)) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except Exception as error:  # noqa: BLE001 - the last line of defence; the traceback goes to a file
        log = Path.cwd() / ".lab" / "crash.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text(traceback.format_exc())
        text = f"a defect of the lab: {type(error).__name__}: {error}. Details: {log}"
        raise SystemExit(_complain(text, 3)) from None
    raise SystemExit(0)


if __name__ == "__main__":
    main()
