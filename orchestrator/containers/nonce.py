"""Make the nonces by which workers know this lab's own servers (servers/CONTRACT.md, LAB_NONCE).

A run has one of its own, so that a server left from another run is refused; the arena keeps one in the lab's state
folder, because a second `lab up` must find its containers as it wants them.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path

from orchestrator.errors import EnvironmentMissing
from orchestrator.model import Variant

_FORM = re.compile(r"[0-9a-f]{16,64}")


def new_nonce() -> str:
    """Return a nonce for one run: 32 hex digits that nobody can guess."""
    return secrets.token_hex(16)


def arena_nonce(state_folder: Path) -> str:
    """Return the arena's nonce, the same each time; made, or made anew where the file does not hold one.

    state_folder: where the lab keeps its own records. The caller holds the lab's lock. Raises EnvironmentMissing.
    """
    path = state_folder / "nonce"
    try:
        with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
            known = path.read_text().strip()
            if _FORM.fullmatch(known):
                return known
        state_folder.mkdir(parents=True, exist_ok=True)
        made = new_nonce()
        fresh = state_folder / f"nonce.{os.getpid()}"
        fresh.write_text(made + "\n")
        fresh.replace(path)  # whole or not at all, should the command be killed here
    except OSError as error:
        why = f"{path}: cannot keep the arena's nonce: {error.strerror}. Try: ls -ld {state_folder}"
        raise EnvironmentMissing(why) from None
    return made


def tells_nonce(variant: Variant) -> bool:
    """Return whether a variant answers /healthz, and so can show its nonce; the seeds know one answer only."""
    return variant.has_contract_routes and "healthz" not in variant.lacks
