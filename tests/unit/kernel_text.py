"""Kernel text frozen from a real kernel: where it lies."""

from __future__ import annotations

from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "proc"


def read_fixture(name: str) -> str:
    return (FIXTURES / name).read_text()
