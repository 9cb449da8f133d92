"""The words that tables of the page are made of. No markup here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: what is read, and what it is sorted by (None: as text)."""

    text: str
    key: float | None = None
    tone: str = ""  # "good", "bad" or "": how a verdict is coloured, beside its word


@dataclass(frozen=True, slots=True)
class Table:
    """A table that sorts, with what must be known of it."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    remarks: tuple[str, ...] = ()
