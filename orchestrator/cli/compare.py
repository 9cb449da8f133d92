"""`lab compare`: verdicts on two runs, or on the variants of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from orchestrator.cli.group import Context, complain, lab
from orchestrator.errors import BadInput
from orchestrator.model import CONTROL, Run, Thresholds
from orchestrator.report.comparetable import compare_document, compare_table, tiers_document, tiers_table
from orchestrator.results.mend import has_results, open_results
from orchestrator.run import results_folder
from orchestrator.verdicts.compare import Judged, Side, judge_pairs, pairs_between, pairs_within, worth_a_word
from orchestrator.verdicts.noise import floor_of
from orchestrator.verdicts.tiers import Tiers, only, tier_run

EPILOG = (
    "Examples: lab compare BASELINE CANDIDATE, lab compare --variants c-threads c-epoll, "
    "lab compare RUN --variants c-epoll c-uring --threshold 5"
)


@lab.command(epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[RUN] [RUN] | [RUN] --variants A B")
@click.option("--variants", is_flag=True, help="The last names are variants of one run: the first of them is compared.")
@click.option("--threshold", type=click.FloatRange(0.0, 1000.0), help="Percent worth a word, instead of lab.yaml's.")
@click.option("--json", "as_json", is_flag=True, help="Print verdicts and tiers as JSON.")
@click.pass_obj
def compare(ctx: Context, names: tuple[str, ...], variants: bool, threshold: float | None, as_json: bool) -> None:
    """Say of each figure whether the candidate is better, worse or not to be told apart; exit 1 when one is worse.

    Two runs: each pairing of the newer against the same of the older. --variants: within one run, block by block; of
    three and more also the tiers, groups that cannot be told apart. Exit code 2: a run or a variant is held against
    itself; 4: nothing can be said of some pairing.
    """
    results = results_folder(ctx.root)
    if not has_results(results):
        raise BadInput(f"{results / 'lab.db'}: there are no results yet. Next: lab run quick --trials 6")
    worth = _thresholds(ctx, threshold)
    with open_results(results, ctx.say) as store:
        if variants:
            run, baseline, candidates = _within(store.read_run, names)
            pairs = pairs_within(run, baseline, candidates)
            what = f"{run.run_id} has no scenario in which {baseline} and {', '.join(candidates)} both ran"
        else:
            if len(names) != 2:
                raise BadInput(
                    f"expected two runs, saw {len(names)}; lab show --list names them, or use --variants A B"
                )
            old, new = store.read_run(names[0]), store.read_run(names[1])
            if old.run_id == new.run_id:
                raise BadInput(f"{names[0]} and {names[1]} are the same run; name two, or use --variants A B")
            pairs = pairs_between(old, new)
            what = f"{old.run_id} and {new.run_id} have no scenario and variant in common"
    if not pairs:
        raise BadInput(f"{what}. Try: lab show --list")
    noise = floor_of([run] if variants else [old, new])  # what an A/A control in them showed of itself
    judged = judge_pairs(pairs, worth, noise, between_runs=not variants)
    ascii_only = ctx.out.encoding.lower() != "utf-8"
    grouped: tuple[Tiers, ...] = ()
    if variants and len(candidates) > 1:
        grouped = tier_run(only(run, (baseline, *candidates)), worth, noise)
    if as_json:
        ctx.print_json({"verdicts": compare_document(judged), "tiers": tiers_document(grouped)})
    else:
        ctx.out.print(compare_table(judged, ascii_only=ascii_only))
        if grouped:
            ctx.out.print()
            ctx.out.print(tiers_table(grouped, ascii_only=ascii_only))
    _end(pairs, judged)


def _thresholds(ctx: Context, percent: float | None) -> Callable[[str, str], float]:
    """Return what is worth a word: what the command line says of all figures, or the lab file's thresholds."""
    if percent is not None:
        return lambda *_: percent / 100.0
    return worth_a_word(ctx.lab().thresholds if ctx.file.exists() else Thresholds())


def _within(read_run: Callable[[str | None], Run], names: tuple[str, ...]) -> tuple[Run, str, tuple[str, ...]]:
    if len(names) < 2:
        raise BadInput(f"--variants: expected two names or more, saw {len(names)}; write --variants c-threads c-epoll")
    newest = read_run(None)
    known = {spec.variant for spec in newest.plan.trials}
    if names[0] in known:
        run, first = newest, 0
    else:
        run, first = read_run(names[0]), 1
        known = {spec.variant for spec in run.plan.trials}
    chosen = names[first:]
    for name in chosen:
        if name not in known:
            raise BadInput(f"{run.run_id}: no variant '{name}' in this run; it has {', '.join(sorted(known))}")
    if len(chosen) < 2:
        raise BadInput(f"--variants: expected two of {', '.join(sorted(known))}, saw {', '.join(chosen) or 'none'}")
    if twice := next((name for name in chosen if chosen.count(name) > 1), None):
        raise BadInput(
            f"--variants: expected each variant once, saw {twice} twice; {run.run_id} has {', '.join(sorted(known))}. "
            f"What noise alone would show is told by lab nightly's A/A control, {twice.removesuffix(CONTROL)}{CONTROL}"
        )
    return run, chosen[0], chosen[1:]


def _end(pairs: Sequence[tuple[str, Side, Side]], judged: Sequence[Judged]) -> None:
    worse = [f"{one.candidate} on {one.scenario}: {one.figure.title}" for one in judged if one.is_regression]
    if worse:
        raise SystemExit(complain(f"worse: {', '.join(worse)}", 1))
    unknown = []
    for scenario, first, second in pairs:
        names = (scenario, first.name, second.name)
        found = [one for one in judged if (one.scenario, one.baseline, one.candidate) == names]
        if not found and judged and first.is_unsupported and second.is_unsupported:
            continue  # this machine refuses it; something else could be compared
        if all(one.word == "undecided" for one in found):
            unknown.append(f"{second.name} on {scenario}: {found[0].reason if found else 'neither side has a figure'}")
    if unknown:
        raise SystemExit(complain(f"undecided: {'; '.join(unknown)}", 4))
