"""Turn a run into its verdict: what page, Markdown and JSON say of it alike, computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.model import CONTROL, Run, Thresholds
from orchestrator.report.page.sentences import run_sentences
from orchestrator.verdicts.ceiling import with_ceilings
from orchestrator.verdicts.compare import worth_a_word
from orchestrator.verdicts.memory import MemoryFit, fit_run
from orchestrator.verdicts.noise import floor_of
from orchestrator.verdicts.summary import Summary, summarise_run
from orchestrator.verdicts.tiers import Tiers, only, tier_run


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run shows, and what that rests on."""

    sentences: tuple[str, ...]  # what was found, how sure that is
    tiers: tuple[Tiers, ...]
    fits: tuple[MemoryFit, ...]
    by_scenario: Mapping[str, Sequence[Summary]]  # every row, an A/A control's too


def read_verdict(run: Run, thresholds: Callable[[str, str], float] | None = None) -> Verdict:
    """Return a run's verdict. An A/A control is nobody's rival: it is in the rows alone.

    thresholds(scenario, figure's name): what is worth a word; None: the verdicts' own default.
    """
    run = with_ceilings(run)
    by_scenario: dict[str, list[Summary]] = {}
    for row in summarise_run(run):
        by_scenario.setdefault(row.scenario, []).append(row)
    rivals = only(run, {spec.variant for spec in run.plan.trials if not spec.variant.endswith(CONTROL)})
    fits = fit_run(rivals)
    tiers = tier_run(rivals, thresholds or worth_a_word(Thresholds()), floor_of([run]))
    return Verdict(run_sentences(_without_second_names(by_scenario), tiers, fits), tiers, fits, by_scenario)


def _without_second_names(by_scenario: Mapping[str, Sequence[Summary]]) -> dict[str, list[Summary]]:
    kept = {
        scenario: [row for row in rows if not row.variant.endswith(CONTROL)] for scenario, rows in by_scenario.items()
    }
    return {scenario: rows for scenario, rows in kept.items() if rows}
