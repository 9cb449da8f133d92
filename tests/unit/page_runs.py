"""Runs for the report's page, and its tables read back as text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator.model import Plan, Run, TrialResult
from orchestrator.report.page.content import Part
from tests.unit.drawn_trials import trial


def a_run(*trials: TrialResult) -> Run:
    numbered = tuple(replace(one, spec=replace(one.spec, index=place)) for place, one in enumerate(trials))
    plan = Plan("quick", 7, tuple(one.spec for one in numbered), ())
    return Run("20261123T0-quick-ab12cd", "quick", "2026-11-23", "later", {"kernel": "6.18", "cpus": 2}, plan, numbered)


def two(name: str = "c-epoll", **changes: Any) -> Run:
    slow = trial("c-threads", throughput_per_s=500.0, histogram_us={2000: 99, 40000: 1})
    return a_run(trial(name, histogram_us={312: 1000}, **changes), slow)


def section(part: Part, name: str = "plain") -> dict[str, dict[str, str]]:
    found = next(one for one in part.sections if one.name == name)
    texts = [[cell.text for cell in row.cells] for row in found.rows]
    return {cells[0]: dict(zip(found.headers, cells, strict=True)) for cells in texts}
