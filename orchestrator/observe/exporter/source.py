"""The word for one thing to read of a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .look import Look, Value
from .pace import Budget


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to read: its name in lab_collector_*, the values it gives, how."""

    name: str
    gives: tuple[str, ...]
    read: Callable[[Look], dict[str, Value]]
    budget: Budget | None = None  # None: read with every sample
