"""Run a suite as every night: with its A/A control, judged against the accepted baseline and the nights before.

One nightly at a time; one that was killed is finished by the next, or marked aborted. Whatever happens, whoever is to
be told of the night is told.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.carry import open_settled
from orchestrator.containers.engine import Say
from orchestrator.containers.labels import lab_id
from orchestrator.errors import BadInput, EnvironmentMissing, LabError
from orchestrator.hosts.notify import notify
from orchestrator.hosts.schedule import Job
from orchestrator.model import CONTROL, Keep, Lab, Nightly, Notify, Run
from orchestrator.planning.control import with_control
from orchestrator.report.nightdocument import night_document
from orchestrator.report.page.content import read_run
from orchestrator.report.page.html import relative_folder, render_html
from orchestrator.report.page.nightly import night_section
from orchestrator.report.progress import Progress
from orchestrator.results.baseline import Accepted, accept, read_baselines
from orchestrator.results.folder import run_folder
from orchestrator.results.mend import has_results, open_results
from orchestrator.results.prune import choose, measure, remove
from orchestrator.results.store import Store
from orchestrator.resume import abort_run, resume_run, unfinished
from orchestrator.run import Outcome, only_one, results_folder, run_suite
from orchestrator.timelines import read_timelines
from orchestrator.units import format_bytes
from orchestrator.up import state_folder
from orchestrator.verdicts.compare import worth_a_word
from orchestrator.verdicts.night import Night, judge_night
from orchestrator.verifying.kept import FAILED

DOCUMENT, REPORT = "nightly.json", "nightly.html"  # in the run's folder; the first marks a night's run

# Four windows of the change-point search: a season and more, and read within seconds.
MOST_NIGHTS = 200
# A machine restarted in the night finishes what it began; after a working day its first half is another machine's.
FINISH_WITHIN_S = 6 * 3600.0
# cron gives jobs /usr/bin:/bin alone; engines and their tools also live here (Debian's docker.io: /usr/sbin/dockerd).
_MORE_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True)
class Done:
    """A night that came to its end."""

    night: Night
    report: Path
    reached: bool  # all who were to be told were


def settings_of(lab: Lab, suite: str | None) -> Nightly:
    """Return what lab.yaml says of the nightly. suite: another one to run. Raises BadInput for what is not declared."""
    declared = lab.nightly
    name = suite or (declared.suite if declared else None)
    if name is None:
        raise BadInput(f"{lab.path}: no section nightly; write 'nightly: {{suite: NAME}}', or name a suite")
    if name not in lab.suites:
        raise BadInput(f"{lab.path}: no suite '{name}'; known: {', '.join(lab.suites)}")
    if declared is None:
        return Nightly(name, "02:30", "", (), Keep(60, None), Notify())
    return replace(declared, suite=name)


def run_nightly(lab: Lab, settings: Nightly, progress: Progress, say: Say) -> Done:
    """Run the suite and judge it; the report is in the run's folder when this returns.

    Raises EnvironmentMissing while another nightly is at work; then nobody is told of this one.
    """
    os.environ["PATH"] = _whole_path(os.environ.get("PATH", os.defpath))
    began = datetime.now(UTC).isoformat(timespec="seconds")
    state = state_folder(lab.root)
    with only_one(state / "nightly", f"nightly of {settings.suite} since {began}"):
        is_over = False
        try:
            night, report = _night(lab, settings, progress, say)
            is_over = True
        finally:
            if not is_over:
                _tell(lab, settings, _of_failure(settings, sys.exc_info()[1]), say)
        return Done(night, report, _tell(lab, settings, _of_night(settings, night, report), say))


def _night(lab: Lab, settings: Nightly, progress: Progress, say: Say) -> tuple[Night, Path]:
    outcome = _take_up(lab, settings, progress, say)
    if outcome is None:
        both = with_control(lab, settings.suite, settings.control)
        outcome = run_suite(both, settings.suite, progress, say).outcome
    night = _judge(lab, settings, outcome, say)
    report = _write(lab, outcome.run, night)
    _prune(lab, settings, say)
    return night, report


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
    entries = [
        entry
        for entry in store.list_runs()
        if entry.suite == suite and entry.finished_at and entry.imported_at is None and entry.run_id != tonight
    ]
    runs = []
    for entry in reversed(entries[:MOST_NIGHTS]):
        run = store.read_run(entry.run_id)
        if is_nights(run):
            runs.append(replace(run, trials=tuple(replace(trial, histogram_us={}) for trial in run.trials)))
    return runs


def is_nights(run: Run) -> bool:
    """Whether a run was a nightly: its plan has an A/A control, which no other has."""
    return any(spec.variant.endswith(CONTROL) for spec in run.plan.trials)


def _take_up(lab: Lab, settings: Nightly, progress: Progress, say: Say) -> Outcome | None:
    """Finish the nightly that was killed a short while ago and return its outcome; mark older ones aborted.

    None: there is none to finish. Raises EnvironmentMissing while another command is at work.
    """
    results = results_folder(lab.root)
    if not has_results(results):
        return None
    with only_one(state_folder(lab.root), f"nightly {settings.suite}"), open_settled(results, say) as store:
        found = [store.read_run(entry.run_id) for entry in unfinished(store) if entry.suite == settings.suite]
    killed = [run for run in found if is_nights(run)]  # the newest first
    young = killed[0] if killed and _age_s(killed[0]) < FINISH_WITHIN_S else None
    for run in killed:
        if run is not young:
            _give_up(lab, run, f"killed after {len(run.trials)} of {len(run.plan.trials)} trials, too long ago", say)
    if young is None:
        return None
    try:
        return resume_run(lab, young.run_id, progress, say).outcome
    except BadInput as error:  # something changed since: half of its figures would be another experiment's
        _give_up(lab, young, f"killed, and not to be resumed: {error}", say)
        return None


def _give_up(lab: Lab, run: Run, reason: str, say: Say) -> None:
    abort_run(lab.root, run.run_id, reason, say)
    _keep(
        run_folder(results_folder(lab.root), run.run_id) / DOCUMENT,
        {"run_id": run.run_id, "verdict": "aborted", "reason": reason},
    )
    say(f"run {run.run_id} is marked aborted: {reason}")


def _age_s(run: Run) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(run.started_at)).total_seconds()


def _write(lab: Lab, run: Run, night: Night) -> Path:
    results = results_folder(lab.root)
    folder = run_folder(results, run.run_id)
    page = folder / REPORT
    read = read_run(run, thresholds=worth_a_word(lab.thresholds), timelines=read_timelines(results, run))
    part = replace(read, night=night_section(night))
    _keep(folder / DOCUMENT, night_document(night))
    _keep_text(page, render_html(f"nightly {run.suite}", [part], relative_folder(page, results / "runs")))
    return page


def _prune(lab: Lab, settings: Nightly, say: Say) -> None:
    results = results_folder(lab.root)
    with open_results(results, say) as store:
        nights = [
            entry.run_id
            for entry in reversed(store.list_runs())
            if entry.suite == settings.suite and (run_folder(results, entry.run_id) / DOCUMENT).is_file()
        ]
    always = {accepted.run_id for accepted in read_baselines(results).values()}
    going = choose(measure(results, nights), settings.keep, always)
    freed = remove(results, going)
    if going:
        say(f"pruned the folders of {len(going)} old nights: {format_bytes(freed)}; their trials stay in the database")


# --- who is told ----------------------------------------------------------------------------------------------------


def _tell(lab: Lab, settings: Nightly, told: dict[str, object], say: Say) -> bool:
    if settings.notify.when == "not-fine" and told["verdict"] == "fine":
        return True
    return notify(settings.notify, lab.root, told, say)


def _of_night(settings: Nightly, night: Night, report: Path) -> dict[str, object]:
    return {
        "text": f"netpoll-lab nightly {settings.suite}: {night.word}. {' '.join(night.sentences)} Report: {report}",
        "suite": settings.suite,
        "run": night.run_id,
        "verdict": night.word,
        "exit_code": night.exit_code,
        "report": str(report),
    }


def _of_failure(settings: Nightly, error: BaseException | None) -> dict[str, object]:
    code = error.exit_code if isinstance(error, LabError) else 130 if isinstance(error, KeyboardInterrupt) else 3
    what = "it was interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
    return {
        "text": f"netpoll-lab nightly {settings.suite}: failed. {what}",
        "suite": settings.suite,
        "run": "",
        "verdict": "failed",
        "exit_code": code,
        "report": "",
    }


# --- the baseline, and the schedule ---------------------------------------------------------------------------------


def accept_baseline(lab: Lab, wanted: str, say: Say) -> tuple[str, Accepted, Accepted | None]:
    """Accept a run as its suite's baseline; return the suite, what was accepted, and what was before.

    Raises BadInput for a run that is not there, came to no end, or has no valid trial.
    """
    results = results_folder(lab.root)
    if not has_results(results):
        raise BadInput(f"{results / 'lab.db'}: there are no results yet. Next: lab nightly")
    with open_results(results, say) as store:
        run = store.read_run(wanted)
    if run.finished_at is None:
        raise BadInput(f"run {run.run_id} did not come to its end; accept one that did (lab show --list)")
    if not any(trial.void is None for trial in run.trials):
        raise BadInput(f"run {run.run_id} has no valid trial, so nothing can be compared with it")
    earlier = read_baselines(results).get(run.suite)
    made = Accepted(run.run_id, datetime.now(UTC).isoformat(timespec="seconds"))
    accept(results, run.suite, made)
    return run.suite, made, earlier


def job_of(lab: Lab, settings: Nightly) -> Job:
    """Return what a scheduler is to run, with this very interpreter: a night's PATH knows no virtual environment."""
    command = (sys.executable, "-m", "orchestrator.cli", "--file", str(lab.path), "nightly", settings.suite)
    for text in (str(lab.root), *command):
        if not text.isprintable():
            raise EnvironmentMissing(f"{text!r}: no scheduler can be told such a path; move the lab to a plain one")
    log = state_folder(lab.root) / "nightly" / "last.log"
    return Job(lab_id(lab.root), lab.root, command, settings.at, log)


def _whole_path(path: str) -> str:
    known = path.split(os.pathsep)
    return os.pathsep.join([*known, *(folder for folder in _MORE_PATH if folder not in known)])


def _keep(path: Path, document: object) -> None:
    _keep_text(path, json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def _keep_text(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        text = f"{path}: cannot be written: {error.strerror}. Free space, then: lab report"
        raise EnvironmentMissing(text) from error
