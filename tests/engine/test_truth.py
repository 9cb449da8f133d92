"""The instrument's own calibration: a server that stands still for a known time shows as the arithmetic says.

The server is frozen from the host, both instants are measured, and bench/stall.py says what every quantile must be. A
generator that waits for answers before it sends on would show nothing above the 99th part of its requests.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.stall import Stall, constant_arrivals, expected, worst_deviation
from bench.stand import standing
from bench.truth import Round, stall_once
from orchestrator.config.load import load_lab
from orchestrator.report.progress import Progress
from orchestrator.report.text import open_console
from tests.engine.conftest import LabFile

RATE_PER_S, DELAY_S, STALL_S = 500, 0.1, 0.3
SCENARIOS = {
    "stalled": {
        "summary": "a clock that does not wait for answers", "kind": "open", "path": "/delay", "delay": "100ms",
        "rate": f"{RATE_PER_S}/s", "arrivals": "constant", "connections": 600, "warmup": "1s", "measure": "3s",
        "timeout": "5s",
    },
}  # fmt: skip
SUITES = {
    "truth": {
        "summary": "a stall", "scenarios": ["stalled"], "variants": ["c-epoll"], "trials": 1, "profile": "default",
        "seed": 1,
    },
}  # fmt: skip
# Other work on this machine delays single answers; the stall itself must still be there, in its full size.
TOLERANCE_RATIO = 0.15


@pytest.fixture(scope="module")
def stalled(make_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Round:
    lab: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES)
    progress = Progress(open_console(sys.stderr))
    results: Path = tmp_path_factory.mktemp("results")
    with standing(load_lab(lab.path), "default", results, progress, progress.say) as stand:
        return stall_once(stand, "truth", "stalled", STALL_S)


def test_every_arrival_was_sent_and_answered(stalled: Round) -> None:
    """The stall held nothing back: an arrival that never left would be missing from every quantile."""
    metrics = stalled.result.metrics

    assert stalled.result.void is None
    assert ("", {}) == (stalled.spoilt, metrics.errors)
    assert metrics.planned in (1499, 1500, 1501)  # an arrival at either edge may fall on its other side
    assert (metrics.planned, 0) == (metrics.sent, metrics.dropped)


def test_a_stall_shows_in_every_quantile_as_the_arithmetic_says(stalled: Round) -> None:
    """p50, p90, p99 and p99.9 of the raw histogram, against what the measured stall makes of the planned arrivals."""
    assert stalled.deviation is not None
    assert stalled.deviation <= TOLERANCE_RATIO, stalled.sentence()


def test_without_the_stall_the_figures_would_be_others(stalled: Round) -> None:
    """The comparison can fail: a server that never stood still is off by more than the tolerance allows."""
    assert stalled.window is not None
    calm = expected(constant_arrivals(*stalled.window, RATE_PER_S), DELAY_S, Stall(0.0, 0.0))

    assert worst_deviation(stalled.seen, calm) > 4 * TOLERANCE_RATIO
