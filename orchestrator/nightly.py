"""Run a suite as every night: with its A/A control, judged against the accepted baseline and the nights before.

One nightly at a time; one that was killed is finished by the next, or marked aborted. Whatever happens, whoever is to
be told of the night is told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.carry import finish, now, open_settled
from orchestrator.closing import Done, close_late, close_night, report_night, settings_for, tell
from orchestrator.containers.engine import Say
from orchestrator.containers.labels import lab_id
from orchestrator.down import clear_left
from orchestrator.errors import BadInput, EnvironmentMissing, LabError
from orchestrator.hosts.schedule import Job
from orchestrator.lock import only_one
from orchestrator.model import Lab, Nightly, Run
from orchestrator.planning.control import with_control
from orchestrator.report.progress import Progress
from orchestrator.results.baseline import Accepted, accept, read_baselines
from orchestrator.results.folder import run_folder
from orchestrator.results.mend import has_results, open_results
from orchestrator.results.nights import ABORTED, DOCUMENT, is_night, keep_night, waiting
from orchestrator.results.prune import choose, measure, remove
from orchestrator.results.store import RunEntry, Store
from orchestrator.resume import abort_run, resume_run, unfinished
from orchestrator.run import results_folder, run_suite
from orchestrator.units import format_bytes
from orchestrator.up import state_folder
from orchestrator.verdicts.night import Night
from orchestrator.verdicts.outcome import Outcome, judge

# A machine restarted in the night finishes what it began; after a working day its first half is another machine's.
FINISH_WITHIN_S = 6 * 3600.0
# cron gives jobs /usr/bin:/bin alone; engines and their tools also live here (Debian's docker.io: /usr/sbin/dockerd).
_MORE_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/sbin")


def settings_of(lab: Lab, suite: str | None) -> Nightly:
    """Return what lab.yaml says of the nightly. suite: another one to run. Raises BadInput for what is not declared."""
    name = suite or (lab.nightly.suite if lab.nightly else None)
    if name is None:
        raise BadInput(f"{lab.path}: no section nightly; write 'nightly: {{suite: NAME}}', or name a suite")
    if name not in lab.suites:
        raise BadInput(f"{lab.path}: no suite '{name}'; known: {', '.join(lab.suites)}")
    return settings_for(lab, name)


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
                tell(lab, settings, _of_failure(settings, sys.exc_info()[1]), say)
        return close_night(lab, settings, night, report, say)


def _night(lab: Lab, settings: Nightly, progress: Progress, say: Say) -> tuple[Night, Path]:
    outcome = _take_up(lab, settings, progress, say)
    if outcome is None:
        both = with_control(lab, settings.suite, settings.control)
        outcome = run_suite(both, settings.suite, progress, say).outcome
    night, report = report_night(lab, settings, outcome, say)
    _prune(lab, settings, say)
    return night, report


def _take_up(lab: Lab, settings: Nightly, progress: Progress, say: Say) -> Outcome | None:
    """Look after the nights that were killed: finish the one of a short while ago and return its outcome.

    Of older ones those whose trials are all kept are closed, the others marked aborted. None: tonight is still to come.
    Raises EnvironmentMissing while another command is at work.
    """
    results = results_folder(lab.root)
    if not has_results(results):
        return None
    with only_one(state_folder(lab.root), f"nightly {settings.suite}"), open_settled(results, say) as store:
        killed = [run for run in _runs(store, unfinished(store), settings.suite) if is_night(run)]
        for run in killed:
            if len(run.trials) == len(run.plan.trials):
                finish(store, results, run)
        killed = [run for run in killed if len(run.trials) < len(run.plan.trials)]
        late = _runs(store, waiting(store, results), settings.suite)
        if late:
            clear_left(lab.root, say)
    newest = max((*killed, *late), key=lambda run: datetime.fromisoformat(run.started_at), default=None)
    tonight = newest if newest is not None and _age_s(newest) < FINISH_WITHIN_S else None
    for run in killed:
        if run is not tonight:
            _give_up(lab, run, f"killed after {len(run.trials)} of {len(run.plan.trials)} trials, too long ago", say)
    for run in reversed(late):
        if run is not tonight:
            _close(lab, run, say)
    if tonight is None or tonight.finished_at is not None:
        return None if tonight is None else judge(tonight)
    try:
        return resume_run(lab, tonight.run_id, progress, say).outcome
    except BadInput as error:  # something changed since: half of its figures would be another experiment's
        _give_up(lab, tonight, f"killed, and not to be resumed: {error}", say)
        return None


def _runs(store: Store, entries: Sequence[RunEntry], suite: str) -> list[Run]:
    return [store.read_run(entry.run_id) for entry in entries if entry.suite == suite]


def _close(lab: Lab, run: Run, say: Say) -> None:
    """Close an earlier night; tonight does not fail because that one cannot be judged."""
    try:
        close_late(lab, run, say)
    except LabError as error:
        say(f"run {run.run_id} was killed before it was judged, and cannot be judged: {error}")


def _give_up(lab: Lab, run: Run, reason: str, say: Say) -> None:
    abort_run(lab.root, run.run_id, reason, say)
    document = {"run_id": run.run_id, "verdict": ABORTED, "reason": reason}
    keep_night(results_folder(lab.root), run.run_id, document, now())
    say(f"run {run.run_id} is marked aborted: {reason}")


def _age_s(run: Run) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(run.started_at)).total_seconds()


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
