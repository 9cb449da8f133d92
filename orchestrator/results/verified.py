"""Keep what the contract suite found of each image in .lab/verified.json, and read it for runs.

A record counts for exactly the image, the suite and the declared exceptions that it was made with: whoever changes a
source, a check or a manifest's `lacks` is unverified again, and neither barred nor trusted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.errors import StoreDamaged
from orchestrator.results.whole import write_whole

_MOST = 1000  # records kept, the newest; every change of a source makes one


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one variant."""

    variant: str
    state: str  # kept, failed or unsupported
    reason: str  # "" where it was kept
    at: str  # UTC, ISO 8601


def record_key(image: str, suite: str, lacks: Iterable[str]) -> str:
    """Return what a record is kept under. image: what names its content. suite: the digest of the suite's sources."""
    return f"{image} {hashlib.sha256(' '.join([suite, *sorted(lacks)]).encode()).hexdigest()[:12]}"


def read_records(state: Path) -> Mapping[str, Record]:
    """Return the records kept in a state folder, key -> record; a damaged file holds none."""
    try:
        document = json.loads((state / "verified.json").read_text(encoding="utf-8"))
        return {str(key): Record(**record) for key, record in document.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def keep_records(state: Path, new: Mapping[str, Record]) -> Path:
    """Keep these records beside the earlier ones, and return the file. Raises StoreDamaged.

    The caller holds the lab's lock. A damaged earlier file is replaced: verifying makes everything in it anew.
    """
    path = state / "verified.json"
    kept = {key: record for key, record in read_records(state).items() if key not in new} | dict(new)
    document = {key: asdict(record) for key, record in list(kept.items())[-_MOST:]}
    try:
        write_whole(path, (json.dumps(document, indent=1) + "\n").encode())
    except OSError as error:
        raise StoreDamaged(
            f"{path}: cannot keep what was verified: {error.strerror}. Free space or mend the folder's permissions"
        ) from error
    return path
