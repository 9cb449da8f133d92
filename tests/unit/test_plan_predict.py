"""What a trial is predicted to show, where arithmetic can tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.model import Scenario
from orchestrator.planning.bounds import find_bounds, predict
from orchestrator.planning.capacity import Limit, most_spread
from tests.unit.asking import HOLD, ask


def test_a_hold_predicts_what_it_will_show() -> None:
    """All held, the server's memory for each, the workers' at rest and for each."""
    asked = ask()

    assert {
        "connections_held": 100_000.0,
        "memory_bytes_per_connection": 2_632.0,
        "generator_memory_bytes": 6 * 50e6 + 100_000 * 600.0,
    } == predict(asked, find_bounds(asked))


def test_a_hold_beyond_its_ports_predicts_the_ports() -> None:
    """What an ablation is meant to show."""
    asked = ask(replace(HOLD, connections=40_000, sources=1))

    assert {"connections_held": 28_232.0} == predict(asked, find_bounds(asked))


OPEN = replace(HOLD, kind="open", path="/plain", connections=200, delay_s=0.0, measure_s=10.0, rate_per_s=1_000.0)
CLOSED = replace(HOLD, kind="closed", delay_s=10.0, measure_s=20.0)


@pytest.mark.parametrize(
    ("scenario", "rate_per_s"),
    [
        (OPEN, 1_000.0),
        (replace(OPEN, delay_s=0.5), 400.0),
        (replace(OPEN, arrivals="poisson"), 1_000.0),
        (replace(OPEN, arrivals="poisson", rate_per_s=50.0), None),
        (replace(OPEN, rate_per_s=200_000.0), None),
        (CLOSED, 10_000.0),
        (replace(CLOSED, connections=200_000), most_spread(Limit(20_000, ""), 6) / 10.0),
        (replace(CLOSED, delay_s=0.0), None),
        (replace(CLOSED, delay_s=0.01), None),
        (replace(CLOSED, measure_s=25.0), None),
        (replace(CLOSED, measure_s=5.0), None),
        (replace(CLOSED, delay_s=0.5), None),
        (replace(HOLD, kind="storm", every_s=1.0), None),
    ],
    ids=[
        "a clock", "a small pool", "a sure number of arrivals", "an unsure one", "beyond the load", "Little",
        "beyond descriptors", "no delay", "hardly any", "a cut round", "no round", "beyond its answers", "a storm",
    ],
)  # fmt: skip
def test_a_rate_is_predicted_where_it_is_arithmetic(scenario: Scenario, rate_per_s: float | None) -> None:
    """A clock's own, or connections over their delay; without one a closed loop's is what is to be measured."""
    asked = ask(scenario)

    assert ({} if rate_per_s is None else {"throughput_per_s": pytest.approx(rate_per_s, rel=0.01)}) == predict(
        asked, find_bounds(asked)
    )
