"""Show past runs to Prometheus: the store -> the exporter, which serves them as lab_run_info and lab_run_stat.

Told anew whenever the control plane is brought up and whenever a run ends, because the exporter keeps nothing. A run's
figures are worked out once and kept beside the store's lock; trials are only ever added, so their number says whether
what is kept still holds.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import LabError
from orchestrator.observe.exporter_client import Exporter
from orchestrator.results.store import RunEntry, Store, open_store
from orchestrator.verdicts.stats import VERSION, describe_run

# Prometheus samples each figure every 15 s: ten thousand cost it some 10 MB of disk a day and 40 MB of memory. They are
# eighty nights of four variants under two scenarios, or a dozen of the whole catalogue.
MOST_FIGURES = 10_000
_KEPT = "past.json"


def show_past(results: Path, state: Path, exporter: Exporter) -> str:
    """Show the newest runs, as many as MOST_FIGURES allow; return "", or in one line why it could not be done.

    results: where lab.db is. state: the lab's own records. Charts of the past are no reason to end a run.
    """
    if not (results / "lab.db").exists():
        return ""
    try:
        with open_store(results / "lab.db") as store:
            runs = read_past(store, state / _KEPT)
        exporter.show_runs(runs)
    except LabError as why:
        return f"past runs are not charted: {why}"
    return ""


def read_past(store: Store, kept: Path, most_figures: int = MOST_FIGURES) -> list[dict[str, Any]]:
    """Return the newest runs with a finished trial as the exporter is told of them, newest first.

    kept: a file of what was worked out before; one that is absent or garbled is made anew.
    """
    known = _read(kept)
    found: dict[str, dict[str, Any]] = {}
    figures = 0
    for entry in store.list_runs():
        if not entry.finished:
            continue
        before = known.get(entry.run_id)
        if before is None or before.get("of") != _of(entry):
            before = {"of": _of(entry), "run": describe_run(store.read_run(entry.run_id))}
        figures += len(before["run"]["stats"])
        if figures > most_figures:
            break
        found[entry.run_id] = before
    if found != known:
        _write(kept, found)
    return [each["run"] for each in found.values()]


def _of(entry: RunEntry) -> list[object]:
    """Return what changes when a run does."""
    return [entry.finished, entry.finished_at]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    runs = told.get("runs") if isinstance(told, dict) and told.get("version") == VERSION else None
    if not isinstance(runs, dict):
        return {}
    return {
        run_id: each
        for run_id, each in runs.items()
        if isinstance(each, dict) and isinstance(each.get("run"), dict) and isinstance(each["run"].get("stats"), list)
    }


def _write(path: Path, runs: Mapping[str, Mapping[str, Any]]) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # it spares work, no more
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps({"version": VERSION, "runs": runs}))
        fresh.replace(path)  # whole or not at all, should the command be killed here
