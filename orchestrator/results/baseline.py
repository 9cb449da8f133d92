"""Keep which run each suite is compared with: results/baseline.json, written by `lab baseline accept` alone.

A file beside the database and no table in it: what a person decided must survive a database that is made anew from the
run folders, can be read and put under version control, and needs no migration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.errors import BadInput, StoreDamaged
from orchestrator.results.whole import write_whole

FILE = "baseline.json"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The run that a person accepted as what to be compared with."""

    run_id: str
    accepted_at: str  # UTC, ISO 8601


def read_baselines(results: Path) -> Mapping[str, Accepted]:
    """Return suite -> the accepted run; none where nothing was accepted. Raises BadInput for a damaged file."""
    path = results / FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {str(suite): Accepted(**_texts(entry)) for suite, entry in document.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path}: expected what lab baseline accept wrote, saw: {error}. Mend it, or remove it and accept again"
        ) from error


def accept(results: Path, suite: str, accepted: Accepted) -> Path:
    """Keep a run as its suite's baseline, instead of an earlier one, and return the file. Raises StoreDamaged."""
    path = results / FILE
    document = {name: asdict(entry) for name, entry in {**read_baselines(results), suite: accepted}.items()}
    try:
        write_whole(path, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise StoreDamaged(
            f"{path}: cannot keep the baseline: {error.strerror or error}; what was accepted stays. Free space or mend "
            "the folder's permissions"
        ) from error
    return path


def _texts(entry: Mapping[str, object]) -> dict[str, str]:
    return {str(key): str(value) for key, value in entry.items()}
