"""What the contract suite finds, made up; and this repository's lab to keep it in."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.load import load_lab
from orchestrator.model import Lab
from orchestrator.verdicts.conformance import CheckResult, Conformance, read_result

LAB = Path(__file__).resolve().parents[2] / "lab.yaml"
LINE: dict[str, Any] = {
    "id": "plain", "title": "GET /plain", "outcome": "failed", "expected": "200", "seen": "500", "took_s": 0.25,
    "sent_b64": base64.b64encode(b"GET /plain\0").decode(), "received_b64": None, "sent_bytes": 11,
}  # fmt: skip


def check(ident: str, outcome: str = "passed", **changes: Any) -> CheckResult:
    made = read_result({**LINE, "id": ident, "outcome": outcome}, "wire")
    return replace(made, **changes)


def found(*results: CheckResult, unsupported: str = "", variant: str = "c-epoll") -> Conformance:
    return Conformance(variant, f"netpoll-lab/{variant}:ab12", results, unsupported, 12.5)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """This repository's lab with a state folder of its own."""
    return replace(load_lab(LAB), root=tmp_path)
