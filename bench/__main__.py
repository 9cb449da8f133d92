"""`python -m bench`, as `make bench` calls it: parses, runs the experiments one by one, prints, writes the files.

Results go to stdout, progress to stderr. Exit codes: 0 every goal that was measured holds, 1 one does not, 2 bad input,
3 environment, 130 interrupted.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NoReturn

import click

from bench import active, calibration, exporter, hold, million, rivals, rungs, throughput, truth, variants
from bench.comparisons import SAME, SLOWER
from bench.lines import EXPERIMENTS
from bench.outcome import Outcome, failed, write
from bench.show import lines_table, ratio_table
from bench.stand import RESULTS, ROOT, Stand, own_lab, standing
from orchestrator.cli.ending import end
from orchestrator.cli.group import check_out
from orchestrator.errors import BadInput
from orchestrator.report.progress import Progress
from orchestrator.report.text import open_console

# experiment -> what runs it, and its rounds: medians need an odd number; five where a round takes seconds
RUNNERS: dict[str, tuple[Callable[[Stand, int], Outcome], int]] = {
    "throughput": (throughput.measure, 5),
    "variants": (variants.measure, 5),
    "exporter": (exporter.measure, 9),
    "rivals": (rivals.measure, 3),
    "rungs": (rungs.measure, 5),
    "hold": (hold.measure, 3),
    "active": (active.measure, 3),
    "truth": (truth.measure, 3),
    "million": (million.measure, 1),
    "calibration-alarms": (calibration.measure_alarms, SAME.rounds),
    "calibration-slower": (calibration.measure_slower, SLOWER.rounds),
}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--only", multiple=True, type=click.Choice(EXPERIMENTS), help="Run this one; may be given several times.")
@click.option("--without-million", is_flag=True, help="Leave the million out; its lines do not hold then.")
@click.option("--rounds", type=click.IntRange(1, 999), help="Rounds of each experiment, instead of its own number.")
@click.option(
    "--rehearse", is_flag=True, help="Run it all small, one round, into results/rehearsal/; no figure counts."
)
def bench(only: Sequence[str], without_million: bool, rounds: int | None, rehearse: bool) -> None:
    """Measure the speed that the lab promises, and write results/bench.json."""
    chosen = [name for name in EXPERIMENTS if (name in only or not only)]
    left_out = {"million"} if without_million else set()
    if not set(chosen) - left_out:
        raise BadInput("--only million and --without-million leave nothing to run; give one of them")
    out = open_console(sys.stdout)
    progress = Progress(open_console(sys.stderr))
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    outcomes: dict[str, Outcome] = {name: Outcome() for name in left_out}
    results = RESULTS / "rehearsal" if rehearse else RESULTS
    results.mkdir(parents=True, exist_ok=True)
    check_out(results / "bench.json", "figures")
    with standing(own_lab(rehearsal=rehearse), "bench", results, progress, progress.say) as stand:
        for name in chosen:
            if name in left_out:
                continue
            run, usual = RUNNERS[name]
            outcomes[name] = run(stand, rounds or (1 if rehearse else usual))
            # After each one: what was measured is kept, whatever becomes of the next.
            own_images = {"rivals": rivals.present_images(stand)}
            entries = write(stand.results, outcomes, command, stand.ground.facts, _now(), own_images)
    for name, outcome in outcomes.items():
        if outcome.ratios:
            out.print(ratio_table(outcome.ratios, ascii_only=out.encoding.lower() != "utf-8"))
        for remark in outcome.remarks:
            out.print(f"{name}: {remark}", soft_wrap=True, highlight=False, markup=False)
    out.print(lines_table(entries, frozenset(chosen) - left_out))
    if rehearse:
        out.print("a rehearsal: every connection was few and every wait short, so no goal is judged")
        return
    missed = failed(entries, [name for name in chosen if name not in left_out])
    for line in missed:
        _complain(f"{line.name}: expected {line.goal_text}, {_seen(entries[line.name], outcomes, line.name)}", 1)
    raise SystemExit(1 if missed else 0)


def _seen(entry: dict[str, object], outcomes: dict[str, Outcome], line: str) -> str:
    spoilt = next((o.measured[line].spoilt for o in outcomes.values() if line in o.measured), "")
    value = "not measured" if entry["value"] is None else f"seen {entry['value']:,.4g}"
    return f"{value} ({spoilt})" if spoilt else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def main() -> NoReturn:
    """Run the command line and end with a documented exit code."""
    end(bench, "bench", "experiments", ROOT)


def _complain(text: str, code: int) -> int:
    click.echo(f"bench: {text}", err=True)
    return code


if __name__ == "__main__":
    main()
