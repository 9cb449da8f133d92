"""Turn runs and trials into the files of a run's folder, results/runs/<run id>/, and read them back.

run.json holds plan, host facts and what was declared, trial-003-c-epoll-plain.json one trial with its whole histogram;
its time series lie beside it (series.py). Each file appears complete or not at all. The database is the store of
record; these are for reading, for copying, and for making the database anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath

from orchestrator.errors import StoreDamaged
from orchestrator.model import Run, TrialResult, TrialSpec
from orchestrator.results.codec import Undecodable, encode, load_run, load_trial
from orchestrator.results.whole import write_whole

RUN_FILE = "run.json"
IMPORTED = ".imported"  # marks a run that was carried out elsewhere: when it came, UTC, ISO 8601
_NOT_IN_FILE = ("trials", "aborted", "imported_at")  # lie beside it, or are no part of the run as it was carried out


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run's folder holds."""

    run: Run  # with the trials whose files could be read
    unreadable: tuple[str, ...]  # a sentence for each file that could not


def new_run_id(suite: str, now: datetime, random_hex: str) -> str:
    """Return an id that sorts by start and never repeats, such as 20261123T082036Z-quick-ab12cd.

    now: an aware time. random_hex: six hexadecimal digits; two runs may start within one second.
    """
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{plain_name(suite)}-{random_hex}"


def run_folder(results: Path, run_id: str) -> Path:
    """Return the run's folder under `results`, which need not exist."""
    return results / "runs" / plain_name(run_id)


def trial_file(results: Path, run_id: str, spec: TrialSpec) -> Path:
    """Return where one trial's file lies or would lie."""
    return run_folder(results, run_id) / f"trial-{trial_name(spec)}.json"


def trial_name(spec: TrialSpec) -> str:
    """Return what a trial's files are called: 003-c-epoll-plain."""
    return f"{spec.index:03d}-{plain_name(spec.variant)}-{plain_name(spec.scenario)}"


def write_run(results: Path, run: Run) -> Path:
    """Write run.json, replacing an earlier one, and return its path. Raises StoreDamaged."""
    document = {key: value for key, value in _fields(run).items() if key not in _NOT_IN_FILE}
    return _write(run_folder(results, run.run_id) / RUN_FILE, document)


def write_trial(results: Path, run_id: str, result: TrialResult) -> Path:
    """Write one trial with everything known of it, and return its path. Raises StoreDamaged."""
    return _write(trial_file(results, run_id, result.spec), result)


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


def run_folders(results: Path) -> Iterator[Path]:
    """Yield the folders under `results` that hold a run.json, by name: the oldest first."""
    runs = results / "runs"
    if runs.is_dir():
        yield from (folder for folder in sorted(runs.iterdir()) if is_run_folder(folder))


def is_run_folder(folder: Path) -> bool:
    """Whether a folder holds a run; hidden ones do not: something is being made there."""
    return not folder.name.startswith(".") and not folder.is_symlink() and (folder / RUN_FILE).is_file()


def is_partial(path: PurePath) -> bool:
    """Whether a file is what a killed command left of one that it was writing."""
    return re.fullmatch(r"\..*\.[0-9]+\.tmp", path.name) is not None


def read_run_folder(folder: Path) -> Kept:
    """Return what a folder holds of its run: the trials of its plan, whatever else lies there.

    Raises Undecodable for a run.json that is none, or is another folder's; OSError when it cannot be read.
    """
    run = load_run(read_text(folder / RUN_FILE))
    if plain_name(run.run_id) != run.run_id or run.run_id != folder.name:
        raise Undecodable(f"it says that it is the run {run.run_id[:80]!r}")
    indexes = [spec.index for spec in run.plan.trials]
    if len(set(indexes)) < len(indexes) or not all(type(index) is int and 0 <= index < 10**6 for index in indexes):
        raise Undecodable("its plan counts its trials wrongly")
    found, unreadable = [], []
    for spec in run.plan.trials:
        path = trial_file(folder.parent.parent, run.run_id, spec)
        try:
            found.append(read_trial(path, spec))
        except FileNotFoundError:
            continue
        except (Undecodable, OSError) as error:
            unreadable.append(f"{path}: cannot be read ({error})")
    found.sort(key=lambda result: result.spec.index)  # as the database gives them
    mark = folder / IMPORTED
    imported_at = read_text(mark).strip() if mark.is_file() else None
    return Kept(replace(run, trials=tuple(found), imported_at=imported_at), tuple(unreadable))


def read_trial(path: Path, spec: TrialSpec) -> TrialResult:
    """Return the trial in a file. Raises Undecodable where it is not this one, FileNotFoundError, OSError."""
    result = load_trial(read_text(path))
    if _identity(result.spec) != _identity(spec):
        raise Undecodable(f"it holds trial {result.spec.index}, {result.spec.variant} on {result.spec.scenario}")
    return result


def read_text(path: Path) -> str:
    """Return a file's text. Raises Undecodable for bytes that are none, OSError."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Undecodable(f"not UTF-8: {error.reason} at byte {error.start}") from error


def plain_name(text: str) -> str:
    """Return text that cannot leave its folder or hide in it, whatever lab.yaml calls things."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text).lstrip(".") or "_"


def _identity(spec: TrialSpec) -> tuple[object, ...]:
    return spec.index, spec.block, spec.variant, spec.scenario, spec.reverted


def _fields(run: Run) -> dict[str, object]:
    return {name: getattr(run, name) for name in run.__dataclass_fields__}


def _write(path: Path, document: object) -> Path:
    text = json.dumps(encode(document), allow_nan=False, ensure_ascii=False, indent=1) + "\n"
    return keep(path, text.encode())


def keep(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all, replacing an earlier one, and return its path. Raises StoreDamaged."""
    try:
        write_whole(path, content)
    except OSError as exc:
        raise StoreDamaged(
            f"{path}: expected to write a result file, but {exc.strerror or exc}. "
            f"Free space or mend the folder's permissions, then run again; a run goes on with: lab run --resume"
        ) from exc
    return path
