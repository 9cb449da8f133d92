"""Turn runs into the documents that `lab show --json` prints and `lab report --format json` writes.

Numbers are as measured, unrounded and in base units. Every metric key is always there; one that could not be measured
is null and its reason stands beside it under "missing".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from orchestrator.model import Run, TrialResult
from orchestrator.report.comparetable import compare_document, tiers_document
from orchestrator.report.page.beside import Beside
from orchestrator.report.page.verdict import read_verdict
from orchestrator.verdicts.memory import fit_run
from orchestrator.verdicts.prediction import compare
from orchestrator.verdicts.summary import METRIC_NAMES, NOT_RECORDED, trial_notes
from orchestrator.verdicts.timing import time_run


def show_document(run: Run) -> dict[str, object]:
    """Return the run as JSON-shaped values.

    "trial" counts the repetitions of one variant x scenario from 1. Fewer trials than "planned_trials" means that the
    run is going on or ended early; `lab show --list` tells which. A null without a recorded reason says "not
    recorded": a defect of the lab.
    """
    return {
        "run_id": run.run_id,
        "suite": run.suite,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "aborted": run.aborted,
        "imported_at": run.imported_at,
        "resumed": [{"at": s.began_at, "changes": list(s.changes)} for s in run.sessions[1:]],
        "host": _plain(run.host),
        "planned_trials": len(run.plan.trials),
        "trials": [_trial(result) for result in run.trials],
        "left_out": [
            {"variant": out.variant, "scenario": out.scenario, "reason": out.reason} for out in run.plan.left_out
        ],
        "timing": asdict(time_run(run)),
        "memory": [asdict(fit) for fit in fit_run(run)],
    }


def report_documents(
    runs: Sequence[Run], beside: Beside | None, thresholds: Callable[[str, str], float]
) -> list[dict[str, object]]:
    """Return each run as `show_document` has it, with what the page says of it.

    "verdict": the page's sentences and tiers. "beside": of a later run its verdicts against the first; null for the
    first, and where the two have no pairing in common. beside, thresholds: as the page has them.
    """
    told: dict[str, object] = {}
    if beside is not None:
        for sentence, (run_id, judged) in zip(beside.sentences, beside.judged, strict=True):
            told[run_id] = {"run_id": runs[0].run_id, "sentence": sentence, "verdicts": compare_document(judged)}
    return [
        show_document(run) | {"verdict": _verdict(run, thresholds), "beside": told.get(run.run_id) if place else None}
        for place, run in enumerate(runs)
    ]


def _verdict(run: Run, thresholds: Callable[[str, str], float]) -> dict[str, object]:
    found = read_verdict(run, thresholds)
    return {"sentences": list(found.sentences), "tiers": tiers_document(found.tiers)}


def _trial(result: TrialResult) -> dict[str, object]:
    metrics = {name: _plain(getattr(result.metrics, name)) for name in METRIC_NAMES}
    return {
        "variant": result.spec.variant,
        "scenario": result.spec.scenario,
        "kind": result.spec.kind,
        "trial": result.spec.block + 1,
        "users": result.spec.users,
        "language": result.spec.language,
        "technique": result.spec.technique,
        "server_processes": result.spec.server_processes,
        "own_processes": result.spec.own_processes,
        "workers": result.spec.workers,
        "reverted": result.spec.reverted,
        "bounds": [asdict(bound) for bound in result.spec.bounds],
        "predictions": [
            asdict(one) | {"has_failed": one.has_failed} for one in compare(result.spec.predicted, result.metrics)
        ],
        "void": result.void,
        "metrics": metrics,
        "missing": {name: result.missing.get(name) or NOT_RECORDED for name, value in metrics.items() if value is None},
        "steps": [asdict(step) for step in result.steps],
        "bound_by": result.bound_by,
        "counters": _plain(result.counters),
        "probe": None if result.probe is None else _plain(asdict(result.probe)),
        "notes": list(trial_notes(result)),
        "timing": {"loaded_s": result.loaded_s, "overhead_s": result.overhead_s},
    }


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
