"""Say whose a container, network, volume or image is, and whether its owner still lives.

Everything the lab creates carries three labels: the lab (an id of this clone), the role, and the owner record.
Nothing without the first is ever touched. An owner is a process, named so that a reused pid or a reboot cannot be
mistaken for it: boot id, pid and start time (proc_pid_stat(5), field 22).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PREFIX = "io.netpoll-lab"
LAB = f"{PREFIX}.lab"
ROLE = f"{PREFIX}.role"
OWNER = f"{PREFIX}.owner"
SPEC = f"{PREFIX}.spec"
KIND = f"{PREFIX}.kind"  # on images: what it is; images are shared by all clones on a machine

STANDING = "up"  # the purpose of what `lab up` leaves running; it outlives the process that made it


@dataclass(frozen=True, slots=True)
class Owner:
    """The process something belongs to, and what for: "up", or a run's id."""

    purpose: str
    boot_id: str
    pid: int
    start_ticks: int


def lab_id(root: Path) -> str:
    """Return this clone's id: 12 hex digits of the SHA-256 of its real path."""
    return hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]


def current_owner(purpose: str) -> Owner:
    """Return the owner record of this very process."""
    return owner_of(os.getpid(), purpose)


def owner_of(pid: int, purpose: str) -> Owner:
    """Return the owner record of a live process."""
    return Owner(purpose, _boot_id(), pid, _start_ticks(pid) or 0)


def labels(lab: str, role: str, owner: Owner, spec: str = "") -> dict[str, str]:
    """Return the labels of something new. spec: a digest of what it was made from, to see later whether it changed."""
    return {LAB: lab, ROLE: role, OWNER: json.dumps(asdict(owner), sort_keys=True), SPEC: spec}


def read_owner(of: Mapping[str, str]) -> Owner | None:
    """Return the owner record among labels, or None where it is absent or garbled."""
    try:
        return owner_from(json.loads(of.get(OWNER, "")))
    except ValueError:
        return None


def owner_from(record: Any) -> Owner | None:
    """Return the owner that a JSON-shaped record names, or None where it is garbled."""
    try:
        return Owner(str(record["purpose"]), str(record["boot_id"]), int(record["pid"]), int(record["start_ticks"]))
    except (ValueError, KeyError, TypeError):
        return None


def is_abandoned(of: Mapping[str, str]) -> bool:
    """Tell whether the owner is gone: never for what `lab up` leaves standing, always for a garbled record."""
    owner = read_owner(of)
    if owner is None:
        return True
    if owner.purpose == STANDING:
        return False
    return not is_alive(owner)


def is_alive(owner: Owner) -> bool:
    """Tell whether exactly this process still runs on this boot."""
    return owner.boot_id == _boot_id() and owner.start_ticks == _start_ticks(owner.pid)


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else "no-proc"


def _start_ticks(pid: int) -> int | None:
    """Return the start time in clock ticks since boot; None where there is no such live process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])
