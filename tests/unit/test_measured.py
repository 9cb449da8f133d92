"""What one trial counted becomes its metrics: by hand, and with a reason for each blank."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestrator.model import Scenario
from orchestrator.verdicts.measured import Counted, measure

CLOSED = Scenario("plain", "", "closed", "/plain", 50, 0.0, 2.0, 4.0, 10.0)
HOLD = Scenario("hold", "", "hold", "/delay", 100, 5.0, 0.0, 0.0, 10.0)
BEFORE = {"cpu_s": 1.0, "context_switches_voluntary": 1000.0, "cgroup_memory_bytes": 1_000_000.0, "threads_peak": 1.0}
AFTER = {"cpu_s": 3.0, "context_switches_voluntary": 5000.0, "cgroup_memory_bytes": 1_250_000.0, "threads_peak": 7.0}
# What only other kinds of scenario have, and what the swarm has to report.
NOT_OF_THIS_KIND = {
    "planned",
    "sent",
    "late",
    "dropped",
    "lag_p99_s",
    "breaking_point",
    "established_s",
    "generator_memory_bytes",
}


def counted(
    scenario: Scenario = CLOSED,
    histogram: Mapping[int, int] | None = None,
    errors: Mapping[str, int] | None = None,
    established: int | None = 50,
    before: Mapping[str, float] | None = BEFORE,
    after: Mapping[str, float] | None = AFTER,
) -> Counted:
    """A trial of 20,000 right answers (closed) or 100 (hold), but for what is changed."""
    if histogram is None:
        histogram = {300: 19_800, 9_000: 200} if scenario is CLOSED else {5_000_100: 100}
    held = after if scenario is HOLD else None
    return Counted(scenario, histogram, errors or {}, established, before, before, held, after)


def test_closed_figures_are_what_a_hand_computes() -> None:
    """20,000 answers in 4 s for 2 CPU-seconds and 4,000 switches."""
    metrics, missing = measure(counted())

    assert 5000.0 == metrics.throughput_per_s
    assert (0.0003, 0.0003, 0.009) == (metrics.p50_s, metrics.p99_s, metrics.p999_s)
    assert (20_000, {}) == (metrics.requests, metrics.errors)
    assert (50, 50, 0) == (metrics.connections_requested, metrics.connections_held, metrics.connections_failed)
    assert (7, 1_250_000.0) == (metrics.threads_peak, metrics.memory_bytes)
    assert 1.0 == metrics.cpu_s_per_10k_requests
    assert 0.2 == metrics.context_switches_per_request
    assert {"memory_bytes_per_connection", *NOT_OF_THIS_KIND} == set(missing)


def test_hold_figures_are_what_a_hand_computes() -> None:
    """250,000 bytes for 100 connections, and a window that sets no rate."""
    metrics, missing = measure(counted(HOLD, established=100))

    assert 2500.0 == metrics.memory_bytes_per_connection
    assert (100, 100, 0) == (metrics.connections_requested, metrics.connections_held, metrics.connections_failed)
    assert 40.0 == metrics.context_switches_per_request
    assert metrics.throughput_per_s is None
    assert {"throughput_per_s", *NOT_OF_THIS_KIND} == set(missing)


@pytest.mark.parametrize("scenario", [CLOSED, HOLD])
def test_figures_of_other_kinds_say_whose_they_are(scenario: Scenario) -> None:
    """A closed or hold trial plans no arrivals and has no breaking point: not 0, but a reason."""
    metrics, missing = measure(counted(scenario))

    assert (None, None) == (metrics.planned, metrics.breaking_point)
    assert "only open and storm scenarios plan arrivals" == missing["planned"] == missing["lag_p99_s"]
    assert "only a ramp has a breaking point" == missing["breaking_point"]


def test_wrong_and_missing_answers_are_failed_connections_and_no_latency() -> None:
    """60 right and 40 hung of 100 held: the hung ones count as requests, and not in percentiles."""
    metrics, _ = measure(counted(HOLD, {5_000_100: 60}, {"timeout in receive": 40}, established=100))

    assert (100, 60, 40) == (metrics.requests, metrics.connections_held, metrics.connections_failed)
    assert metrics.p999_s is not None
    assert metrics.p999_s < 5.1


@pytest.mark.parametrize(("right", "reason"), [(1, "only 1 of 100"), (0, "no right answer")])
def test_few_survivors_give_no_percentile_and_no_cost(right: int, reason: str) -> None:
    """Where most failed, the rest would carry the failures' cost and stand for nobody."""
    metrics, missing = measure(counted(HOLD, {5_000_100: right} if right else {}, {"timeout in receive": 100 - right}))

    for name in ("p50_s", "p99_s", "p999_s", "cpu_s_per_10k_requests", "context_switches_per_request"):
        assert getattr(metrics, name) is None
        assert missing[name].startswith(reason)
    assert right == metrics.connections_held


def test_memory_that_shrank_is_no_number() -> None:
    """A negative growth is below what can be told, and says so."""
    shrunk = {**AFTER, "cgroup_memory_bytes": 900_000.0}
    metrics, missing = measure(counted(HOLD, established=100, after=shrunk))

    assert metrics.memory_bytes_per_connection is None
    assert "shrank by 100000 bytes" in missing["memory_bytes_per_connection"]


@pytest.mark.parametrize("scenario", [CLOSED, HOLD])
def test_without_a_reading_nothing_is_made_up(scenario: Scenario) -> None:
    """Every None has its reason, and every reason its None."""
    metrics, missing = measure(counted(scenario, before=None, after=None, established=None))
    blank = {f for f in type(metrics).__dataclass_fields__ if getattr(metrics, f) is None}

    assert {"threads_peak", "memory_bytes", "cpu_s_per_10k_requests", "memory_bytes_per_connection"} <= blank
    assert blank == set(missing)
    assert "not recorded" not in missing.values()
