"""No panel is empty: every query of every dashboard, asked of a real Prometheus that watched a real run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from dashboards.panel import Panel
from dashboards.panels import DASHBOARDS
from orchestrator.observe.prometheus import query_range
from tests.engine.conftest import PORTS, LabFile

PROMETHEUS = f"http://127.0.0.1:{PORTS['prometheus_port']}"
VARIANTS = ["c-epoll", "go-nethttp"]
# One load for each kind of question: answers, schedule lag, memory of connections.
SCENARIOS = {
    "open-short": {
        "summary": "arrivals by the clock", "kind": "open", "path": "/plain", "connections": 300, "rate": "2000/s",
        "warmup": "1s", "measure": "4s", "timeout": "5s",
    },
    "hold-short": {"summary": "a short hold", "kind": "hold", "connections": 800, "delay": "4s", "timeout": "5s"},
}  # fmt: skip
SUITES = {
    "panels": {
        "summary": "something for every panel", "scenarios": list(SCENARIOS), "variants": VARIANTS,
        "trials": 1, "profile": "default", "seed": 3,
    },
}  # fmt: skip
ALL = {panel.name: panel for dashboard in DASHBOARDS for panel in dashboard.panels}


@dataclass(frozen=True)
class Watched:
    """A run, and between which instants Prometheus watched it."""

    run_id: str
    began_s: float
    ended_s: float


@pytest.fixture(scope="module")
def watched(make_lab: Any) -> Watched:
    lab: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES, arena={"variants": VARIANTS})
    lab.run("up", "--no-load", timeout_s=900)
    began_s = time.time()
    lab.run("run", "panels")
    return Watched(str(lab.show()["run_id"]), began_s, time.time())


@pytest.mark.parametrize("panel", ALL.values(), ids=list(ALL))
def test_every_query_has_data(panel: Panel, watched: Watched) -> None:
    """Each expression, with what a reader would choose filled in, names both variants or the lab's own sources."""
    meaning = {"S": f'run_id="{watched.run_id}",scenario=~".*",variant=~".*"', "I": "4s", "Q": "0.99"}
    for expression in panel.expressions(meaning):
        found = query_range(PROMETHEUS, expression, watched.began_s, watched.ended_s)
        variants = {one.labels.get("variant") for one in found}

        assert found, expression
        if panel.source not in ("host",) and "by (le)" not in expression:
            assert variants >= set(VARIANTS), (expression, variants)
