"""Tell which nights are over: nightly.json in a run's folder says that one was judged, reported and told of.

A finished night that nothing says so of was killed on the way, and waits for whoever comes next. Of a night whose
folder is gone (pruned, deleted) nothing can be said any more: it does not wait.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import StoreDamaged
from orchestrator.model import CONTROL, Run
from orchestrator.results.folder import keep, read_progress, run_folder
from orchestrator.results.store import RunEntry, Store

DOCUMENT, REPORT = "nightly.json", "nightly.html"
ABORTED = "aborted"  # the verdict of a night that was given up
_CLOSED = "closed_at"  # null: told to nobody yet; earlier labs did not write it


def is_night(run: Run) -> bool:
    """Whether a run was a nightly: its plan has an A/A control, which no other has."""
    return any(spec.variant.endswith(CONTROL) for spec in run.plan.trials)


def waiting(store: Store, results: Path) -> tuple[RunEntry, ...]:
    """Return the nights that finished and are not over, the newest first; imported ones are another lab's."""
    return tuple(
        entry
        for entry in store.list_runs()
        if entry.finished_at is not None and entry.imported_at is None and _waits(results, entry.run_id)
    )


def _waits(results: Path, run_id: str) -> bool:
    if is_closed(results, run_id):
        return False
    try:
        known = read_progress(results, run_id)
    except StoreDamaged:
        return False
    return known is not None and any(variant.endswith(CONTROL) for variant, _ in known.planned)


def is_closed(results: Path, run_id: str) -> bool:
    """Whether a night was judged, reported and told of. One that was given up and went on after all was not yet."""
    try:
        document = json.loads((run_folder(results, run_id) / DOCUMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("verdict") != ABORTED and document.get(_CLOSED, "") is not None


def keep_night(results: Path, run_id: str, document: Mapping[str, object], closed_at: str | None) -> Path:
    """Write what a night says. closed_at: when it was over, UTC, ISO 8601; None: not yet. Raises StoreDamaged."""
    text = json.dumps({**document, _CLOSED: closed_at}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    return keep(run_folder(results, run_id) / DOCUMENT, text.encode())


def keep_report(results: Path, run_id: str, page: str) -> Path:
    """Write a night's page and return its path. Raises StoreDamaged."""
    return keep(run_folder(results, run_id) / REPORT, page.encode())
