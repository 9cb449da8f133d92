"""`lab tune`: the host's own limits, and the planner's calibration."""

from __future__ import annotations

from dataclasses import asdict

import click

from orchestrator.calibrate import calibrate
from orchestrator.cli.group import Context, complain, lab
from orchestrator.errors import BadInput
from orchestrator.report.calibrationtable import calibration_table
from orchestrator.report.tunetable import changes_document, changes_table, ending_line, held_table
from orchestrator.tune import apply, look_ahead, look_back, profile_to_tune, put_back

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
        raise SystemExit(complain(f"not calibrated: {', '.join(done.failed)}; see above", 4))


def _restore(ctx: Context, force: bool) -> None:
    endings = put_back(ctx.root, force=force)
    for ending in endings:
        click.echo(ending_line(ending.entry.name, ending.entry.old, ending.entry.new, ending.seen, ending.fate))
    if not endings:
        click.echo("nothing to put back: the journal holds no setting of lab tune's")
    left = [ending.entry.name for ending in endings if ending.fate == "changed since"]
    if left:
        text = f"{', '.join(left)}: changed by somebody else since, and left. To put back all the same"
        raise SystemExit(complain(f"{text}: lab tune --restore --force", 3))


def _tune_status(ctx: Context, as_json: bool) -> None:
    held = look_back(ctx.root)
    if as_json:
        ctx.print_json([{**asdict(h.entry), "now": h.now, "state": h.state} for h in held])
    elif held:
        rows = [(h.entry.name, h.entry.old, h.entry.new, h.now or "-", h.state, h.entry.profile) for h in held]
        ctx.out.print(held_table(rows))
    else:
        click.echo("lab tune has set nothing, or everything is put back. Next: lab tune PROFILE")
