"""A ramp names what binds first, and where."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.verdicts.validity import GENERATOR_LIMIT_RATIO
from swarm.ledger import Ledger
from swarm.ramp import GENERATOR_FULL_RATIO, Driver, judge_step, quantile_us
from swarm.settings import Ramp, Scenario

RAMP = Ramp("rate", 10, 80, 2.0, step_s=1e-3, settle_s=0.0, most_errors_ratio=0.1, most_p99_s=0.1)
SCENARIO = Scenario("x", "ramp", "/plain", 0.0, 10.0, users="engine", ramp=RAMP)


def summary(histogram_us: dict[int, int], errors: int = 0, dropped: int = 0, **worker: Any) -> dict[str, Any]:
    """A closed window's summary, as the ledger renders it."""
    row = {"histogram_us": {str(key): count for key, count in histogram_us.items()}, "dropped": dropped}
    seen = {"cpu_ratio": 0.2, "engine_cpu_ratio": 0.1} | worker
    return {"rows": [row | {"errors": {"status 503": errors} if errors else {}}], "workers": {"w0": seen}}


@pytest.mark.parametrize(
    ("window", "binds"),
    [
        (summary({1000: 99, 90_000: 1}), ""),
        (summary({1000: 90, 200_000: 10}), "latency"),
        (summary({1000: 80}, errors=20), "errors"),
        (summary({1000: 80}, dropped=20), "errors"),
        (summary({}), "errors"),
        (summary({200_000: 80}, errors=20), "errors"),
        (summary({200_000: 80}, errors=20, engine_cpu_ratio=0.97), "generator"),
        (summary({1000: 100}, engine_cpu_ratio=None, cpu_ratio=0.99), "generator"),
        (summary({1000: 100}, engine_cpu_ratio=0.5, cpu_ratio=0.99, cpus=1), "generator"),
        (summary({1000: 100}, engine_cpu_ratio=0.5, cpu_ratio=0.99, cpus=2), ""),
        (summary({1000: 100}, engine_cpu_ratio=0.5, cpu_ratio=0.99), ""),
    ],
    ids=[
        "holds",
        "slow",
        "wrong",
        "dropped",
        "silent",
        "both",
        "full",
        "full without an engine",
        "Python beside it on one CPU",
        "Python beside it on another CPU",
        "CPUs not known",
    ],
)
def test_the_first_thing_that_binds_is_named(window: dict[str, Any], binds: str) -> None:
    """The generator before errors before latency; no answer at all is no success."""
    assert binds == judge_step(SCENARIO, 10, window, 5)["binds"]


def test_workers_that_fill_the_cpus_they_share_bind() -> None:
    """Three of them on two CPUs, none near a core of its own; slow answers then are no server's."""
    window = summary({200_000: 80}, errors=20)
    for number in range(3):
        window["workers"][f"w{number}"] = {"cpu_ratio": 0.62, "engine_cpu_ratio": 0.4, "cpus": 2}
    step = judge_step(SCENARIO, 10, window, 5)

    assert ("generator", pytest.approx(0.93)) == (step["binds"], step["generator_cpu_ratio"])
    window["workers"]["w2"] = {"closed": False, "cpu_ratio": None, "engine_cpu_ratio": None}
    assert "errors" == judge_step(SCENARIO, 10, window, 5)["binds"]


def test_ramps_and_verdicts_draw_one_line() -> None:
    """Which generator is full does not depend on the kind of the scenario."""
    assert GENERATOR_LIMIT_RATIO == GENERATOR_FULL_RATIO


def test_a_step_has_its_figures() -> None:
    """Answers per second of the step's length, quantiles in seconds, errors of all outcomes."""
    step = judge_step(SCENARIO, 40, summary({1000: 50, 3000: 49, 90_000: 1}, errors=5), 7)

    assert {
        "offered": 40, "answered_per_s": 100_000.0, "p50_s": 0.001, "p99_s": 0.003, "errors_ratio": 5 / 105,
        "established": 7, "generator_cpu_ratio": 0.1, "binds": "",
    } == step  # fmt: skip


def test_quantiles_are_nearest_rank() -> None:
    """Of nothing there is none."""
    assert (1, 2, 3) == tuple(quantile_us({"3": 1, "1": 1, "2": 1}, q) for q in (0.3, 0.5, 1.0))
    assert quantile_us({}, 0.5) is None


class Swarm:
    """Plays the workers: closes each window with what the step's rate brings."""

    def __init__(self, capacity_per_s: float) -> None:
        self.capacity_per_s = capacity_per_s
        self.ledger = Ledger()
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.rate_per_s = 0.0

    def send(self, kind: str, told: dict[str, Any]) -> None:
        self.messages.append((kind, told))
        if kind == "lab_change":
            self.rate_per_s = told["rate_per_s"]
            return
        latency_us = 1000 if self.rate_per_s <= self.capacity_per_s else 500_000
        row = {
            "variant": "v", "name": "/plain", "histogram_us": {latency_us: 100}, "errors": {}, "lag_us": {},
            "oldest_in_flight_us": None, "connections_opened": 1, "in_flight": 0, "planned": 100, "sent": 100,
            "late": 0, "dropped": 0, "unanswered": 0,
        }  # fmt: skip
        part = {"window_id": told["window_id"], "closed": True, "cpu_ratio": 0.1, "from_s": 0, "to_s": 1, "rows": [row]}
        self.ledger.take_part("w0", part)

    def drive(self) -> Driver:
        return Driver(SCENARIO, 3, self.ledger, lambda: ["w0"], lambda: True, self.send, lambda seconds: None)


@pytest.mark.parametrize(
    ("capacity_per_s", "offered", "breaking_point", "bound_by"),
    [
        (30, [10, 20, 40], 20, "latency"),
        (5, [10], None, "latency"),
        (1000, [10, 20, 40, 80], 80, "nothing up to 80"),
    ],
)
def test_the_breaking_point_is_the_last_step_that_held(
    capacity_per_s: float, offered: list[float], breaking_point: float | None, bound_by: str
) -> None:
    """Each step's total goes to the workers, each window has a name of its own."""
    swarm = Swarm(capacity_per_s)
    driver = swarm.drive()
    driver.run()
    told = driver.summary()

    assert (False, breaking_point, bound_by) == (told["running"], told["breaking_point"], told["bound_by"])
    assert offered == [step["offered"] for step in told["steps"]]
    assert [{"rate_per_s": rate} for rate in offered] == [t for kind, t in swarm.messages if kind == "lab_change"]
    assert [f"ramp-3-{n}" for n in range(len(offered))] == told["windows"]


def test_a_ramp_that_is_stopped_says_so() -> None:
    """Killed in the middle of a step, as the stop button does."""

    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    swarm = Swarm(1000)
    driver = Driver(SCENARIO, 1, swarm.ledger, lambda: ["w0"], lambda: True, swarm.send, stop)
    with pytest.raises(KeyboardInterrupt):
        driver.run()

    assert (False, "stopped before anything bound") == (driver.running, driver.summary()["bound_by"])
