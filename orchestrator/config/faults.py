"""Turn what is wrong in a file into the one line a person reads.

A fault is a value, so that all of a file's faults can be found before the first is shown.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import BadInput
from orchestrator.units import shown

Where = tuple[str | int, ...]  # the way to a value: ("suites", "quick", "scenarios", 0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in one file: what was expected, what was seen, what to write."""

    file: Path
    line: int | None  # from 1; None: not known
    where: Where
    text: str

    def __str__(self) -> str:
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        way = describe_where(self.where)
        return _one_line(f"{place} {way}: {self.text}" if way else f"{place}: {self.text}")


def bad_input(faults: Sequence[Fault]) -> BadInput:
    """Return the error for at least one fault: the first of the first file, and how many more there are."""
    files = list(dict.fromkeys(fault.file for fault in faults))
    first = min(faults, key=lambda fault: (files.index(fault.file), fault.line or 0))
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return BadInput(f"{first}{more}")


def describe_where(where: Where) -> str:
    """Return the way to a value as "suites.quick.scenarios[0]"; "" for the whole file."""
    text = ""
    for step in where:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            readable = len(step) <= 60 and re.fullmatch(r"[A-Za-z0-9_.-]+", step)
            text += ("." if text else "") + (step if readable else shown(step))
    return text


def line_of(lines: Mapping[Where, int], where: Where) -> int | None:
    """Return the line of a value, or of the nearest section around it that has one."""
    for length in range(len(where), -1, -1):
        line = lines.get(where[:length])
        if line is not None:
            return line
    return None


def advise(seen: str, known: Iterable[str]) -> str:
    """Return what to write instead of an unknown word: the nearest known one, or all of them."""
    words = sorted(known)
    if not words:
        return "none is declared; declare one first"
    listed = ", ".join(words)
    near = nearest(seen, words)
    return f"write '{near}' (known: {listed})" if near else f"write one of: {listed}"


def nearest(seen: str, known: Iterable[str]) -> str | None:
    """Return the known word that an unknown one looks like; '-' and '_' count as alike."""
    folded = {word.lower().replace("-", "_"): word for word in known}
    near = difflib.get_close_matches(seen[:100].lower().replace("-", "_"), folded, n=1)
    return folded[near[0]] if near else None


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
