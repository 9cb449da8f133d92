"""Remember what verification found of an image, and say who must not be compared.

A variant never verified, or changed since, is not barred: each of its trials begins with the quick probe all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.model import Lab
from orchestrator.results.verified import Record, keep_records, read_records, record_key
from orchestrator.up import state_folder
from orchestrator.verdicts.conformance import Conformance

FAILED = "failed verification"  # how the reason begins

_HERE = Path(__file__).resolve().parent
_SUITE = (_HERE.parent / "contract", _HERE)  # what decides who keeps the contract


def suite_digest() -> str:
    """Return 12 hex digits that change with every change of the suite's own sources."""
    digest = hashlib.sha256()
    for folder in _SUITE:
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(folder.parent)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def keep(lab: Lab, found: Iterable[Conformance], suite: str) -> Path:
    """Keep what was found of each variant under its image, the suite and what it declares."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    records = {
        record_key(one.image, suite, lab.variants[one.variant].lacks): Record(one.variant, one.state, one.reason(), at)
        for one in found
    }
    return keep_records(state_folder(lab.root), records)


def unverified(lab: Lab, names: Iterable[str], images: Mapping[str, str]) -> list[str]:
    """Return, in their order, the names of whose present image nothing is known; an existing one promised nothing."""
    records, suite = read_records(state_folder(lab.root)), suite_digest()
    return [
        name
        for name in names
        if not lab.variants[name].image and record_key(images[name], suite, lab.variants[name].lacks) not in records
    ]


def barred(lab: Lab, names: Iterable[str], images: Mapping[str, str]) -> dict[str, str]:
    """Return variant -> why it is left out, of those whose present image was verified and failed.

    One that was unsupported is not barred: kernel and sandbox are no part of the record, and each trial asks anew.
    """
    records, suite = read_records(state_folder(lab.root)), suite_digest()
    found = {}
    for name in names:
        record = records.get(record_key(images[name], suite, lab.variants[name].lacks))
        if record is not None and record.state == "failed":
            found[name] = f"{FAILED}: {record.reason}. Try: lab verify {name}"
    return found
