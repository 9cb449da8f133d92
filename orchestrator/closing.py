"""Close a night whose trials are all kept: judge it, write its report, tell of it, once.

Whoever does so holds the nightly's lock. The report comes first, then what it says (nightly.json), then who is to be
told is told, and then nightly.json says that the night is over. A kill in between leaves a night that waits
(results/nights.py); the next `lab nightly` or `lab run --resume` closes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.carry import now
from orchestrator.containers.engine import Say
from orchestrator.errors import BadInput
from orchestrator.hosts.notify import notify
from orchestrator.lock import only_one
from orchestrator.model import Keep, Lab, Nightly, Notify, Run
from orchestrator.report.nightdocument import night_document
from orchestrator.report.page.content import read_run
from orchestrator.report.page.html import relative_folder, render_html
from orchestrator.report.page.nightly import night_section
from orchestrator.results.baseline import read_baselines
from orchestrator.results.folder import run_folder
from orchestrator.results.mend import open_results
from orchestrator.results.nights import REPORT, is_closed, is_night, keep_night, keep_report
from orchestrator.results.store import Store
from orchestrator.run import results_folder
from orchestrator.timelines import read_timelines
from orchestrator.up import state_folder
from orchestrator.verdicts.compare import worth_a_word
from orchestrator.verdicts.night import Night, judge_night
from orchestrator.verdicts.outcome import Outcome, judge
from orchestrator.verifying.kept import FAILED

# Four windows of the change-point search: a season and more, and read within seconds.
MOST_NIGHTS = 200


@dataclass(frozen=True, slots=True)
class Done:
    """A night that is over."""

    night: Night
    report: Path
    reached: bool  # all who were to be told were


def settings_for(lab: Lab, suite: str) -> Nightly:
    """Return what lab.yaml says of a nightly of this suite."""
    if lab.nightly is None:
        return Nightly(suite, "02:30", "", (), Keep(60, None), Notify())
    return replace(lab.nightly, suite=suite)


def report_night(lab: Lab, settings: Nightly, outcome: Outcome, say: Say) -> tuple[Night, Path]:
    """Judge a finished night, and write its page and what it says; return the verdict and where the page is."""
    results, run = results_folder(lab.root), outcome.run
    night = _judge(lab, settings, outcome, say)
    read = read_run(run, thresholds=worth_a_word(lab.thresholds), timelines=read_timelines(results, run))
    part = replace(read, night=night_section(night))
    folder = relative_folder(run_folder(results, run.run_id) / REPORT, results / "runs")
    page = keep_report(results, run.run_id, render_html(f"nightly {run.suite}", [part], folder))
    keep_night(results, run.run_id, night_document(night), None)
    return night, page


def close_night(lab: Lab, settings: Nightly, night: Night, page: Path, say: Say, *, begun: str = "") -> Done:
    """Tell whoever is to be told of a reported night, and mark it as over.

    begun: when a night that is judged late began. A notification that does not get through is not repeated.
    """
    late = f" (begun {begun}, judged late)" if begun else ""
    told: dict[str, object] = {
        "text": f"netpoll-lab nightly {settings.suite}{late}: {night.word}. {' '.join(night.sentences)} Report: {page}",
        "suite": settings.suite,
        "run": night.run_id,
        "verdict": night.word,
        "exit_code": night.exit_code,
        "report": str(page),
    }
    reached = tell(lab, settings, told, say)
    keep_night(results_folder(lab.root), night.run_id, night_document(night), now())
    return Done(night, page, reached)


def close_late(lab: Lab, run: Run, say: Say) -> Done:
    """Close a night that was killed when all of its trials were kept."""
    settings = settings_for(lab, run.suite)
    night, page = report_night(lab, settings, judge(run), say)
    done = close_night(lab, settings, night, page, say, begun=run.started_at)
    say(f"run {run.run_id} was killed before it was judged; judged now: {night.word}. Report: {page}")
    return done


def close_resumed(lab: Lab, run: Run, say: Say) -> Done | None:
    """Close a night that `lab run --resume` brought to its end; None: it was none, or another command closed it.

    Raises EnvironmentMissing while a nightly is at work.
    """
    if not is_night(run):
        return None
    with only_one(state_folder(lab.root) / "nightly", f"run --resume {run.run_id}"):
        return None if is_closed(results_folder(lab.root), run.run_id) else close_late(lab, run, say)


def tell(lab: Lab, settings: Nightly, told: dict[str, object], say: Say) -> bool:
    """Tell whoever is to be told, if this is to be told at all; return whether all were reached."""
    if settings.notify.when == "not-fine" and told["verdict"] == "fine":
        return True
    return notify(settings.notify, lab.root, told, say)


def _judge(lab: Lab, settings: Nightly, outcome: Outcome, say: Say) -> Night:
    results = results_folder(lab.root)
    accepted = read_baselines(results).get(settings.suite)
    baseline, trouble = None, ""
    with open_results(results, say) as store:
        earlier = _earlier(store, settings.suite, outcome.run.run_id)
        if accepted is not None:
            try:
                baseline = store.read_run(accepted.run_id)
            except BadInput:
                trouble = f"{accepted.run_id} is not among the results any more; accept another"
    left = [out.variant for out in outcome.run.plan.left_out if out.reason.startswith(FAILED)]
    return judge_night(
        outcome.run,
        earlier,
        baseline,
        worth_a_word(lab.thresholds),
        settings.stable,
        refused=sorted({*outcome.refused, *left}),
        undecided=outcome.undecided,
        trouble=trouble,
    )


def _earlier(store: Store, suite: str, tonight: str) -> list[Run]:
    """Return the nights before, the oldest first, without the histograms that no history needs."""
    entries = store.list_runs()
    place = next(place for place, entry in enumerate(entries) if entry.run_id == tonight)
    older = [
        entry
        for entry in entries[place + 1 :]
        if entry.suite == suite and entry.finished_at and entry.imported_at is None
    ]
    runs = []
    for entry in reversed(older[:MOST_NIGHTS]):
        run = store.read_run(entry.run_id)
        if is_night(run):
            runs.append(replace(run, trials=tuple(replace(trial, histogram_us={}) for trial in run.trials)))
    return runs
