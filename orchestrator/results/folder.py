"""Turn runs and trials into the files of a run's folder: results/runs/<run id>/.

run.json holds plan and host facts, trial-003-c-epoll-plain.json one trial with its whole histogram; its time series lie
beside it (series.py). Each file appears complete or not at all. The database is the store of record; these are for
reading, copying and other tools.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import StoreDamaged
from orchestrator.model import Plan, TrialResult, TrialSpec
from orchestrator.results.codec import encode


def new_run_id(suite: str, now: datetime, random_hex: str) -> str:
    """Return an id that sorts by start and never repeats, such as 20261123T082036Z-quick-ab12cd.

    now: an aware time. random_hex: six hexadecimal digits; two runs may start within one second.
    """
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{_plain_name(suite)}-{random_hex}"


def run_folder(results: Path, run_id: str) -> Path:
    """Return the run's folder under `results`, which need not exist."""
    return results / "runs" / _plain_name(run_id)


def write_run(
    results: Path,
    run_id: str,
    *,
    suite: str,
    started_at: str,
    finished_at: str | None,
    host: Mapping[str, object],
    plan: Plan,
) -> Path:
    """Write run.json, replacing an earlier one, and return its path. Raises StoreDamaged."""
    document = {
        "run_id": run_id,
        "suite": suite,
        "started_at": started_at,
        "finished_at": finished_at,
        "host": host,
        "plan": plan,
    }
    return _write(run_folder(results, run_id) / "run.json", document)


def write_trial(results: Path, run_id: str, result: TrialResult) -> Path:
    """Write one trial with everything known of it, and return its path. Raises StoreDamaged."""
    return _write(run_folder(results, run_id) / f"trial-{trial_name(result.spec)}.json", result)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, as its folder tells."""

    suite: str
    planned: tuple[tuple[str, str], ...]  # (variant, scenario) in the order of the plan
    finished: int
    is_over: bool


def read_progress(results: Path, run_id: str) -> Progress | None:
    """Return how far a run is; None where there is no such run. Raises StoreDamaged."""
    folder = run_folder(results, run_id)
    path = folder / "run.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        planned = tuple((str(spec["variant"]), str(spec["scenario"])) for spec in told["plan"]["trials"])
        finished = sum(1 for _ in folder.glob("trial-*.json"))
        return Progress(str(told["suite"]), planned, finished, told["finished_at"] is not None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise StoreDamaged(
            f"{path}: expected a run's plan as the lab wrote it, but {type(exc).__name__}: {exc}. "
            f"The database has it too: lab show {run_id}"
        ) from exc


def trial_name(spec: TrialSpec) -> str:
    """Return what a trial's files are called: 003-c-epoll-plain."""
    return f"{spec.index:03d}-{_plain_name(spec.variant)}-{_plain_name(spec.scenario)}"


def _plain_name(text: str) -> str:
    """Return text that cannot leave its folder or hide in it, whatever lab.yaml calls things."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text).lstrip(".") or "_"


def _write(path: Path, document: object) -> Path:
    text = json.dumps(encode(document), allow_nan=False, ensure_ascii=False, indent=1) + "\n"
    return keep(path, text.encode())


def keep(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all, replacing an earlier one, and return its path. Raises StoreDamaged."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as exc:
        raise StoreDamaged(
            f"{path}: expected to write a result file, but {exc.strerror or exc}. "
            f"Free space or mend the folder's permissions, then run again"
        ) from exc
    return path


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut (rename(2) alone does not promise it)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
