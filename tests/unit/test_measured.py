"""What one trial counted becomes its metrics: by hand, and with a reason for each blank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from orchestrator.model import Ramp, Scenario, Step
from orchestrator.verdicts.measured import Arrivals, Counted, Sockets, is_by_diag, measure

CLOSED = Scenario("plain", "", "closed", "/plain", 50, 0.0, 2.0, 4.0, 10.0)
HOLD = Scenario("hold", "", "hold", "/delay", 100, 5.0, 0.0, 0.0, 10.0)
BEFORE = {
    "cpu_s": 1.0, "context_switches_voluntary": 1000.0, "threads_peak": 1.0, "cgroup_memory_bytes": 1_000_000.0,
    "cgroup_kernel_memory_bytes": 400_000.0,
}  # fmt: skip
AFTER = {
    "cpu_s": 3.0, "context_switches_voluntary": 5000.0, "threads_peak": 7.0, "cgroup_memory_bytes": 1_250_000.0,
    "cgroup_kernel_memory_bytes": 600_000.0,
}  # fmt: skip
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
    "memory_socket_bytes",  # cgroup v1 charges nobody for them
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


def step(offered: float, binds: str = "", p99_s: float = 0.002) -> Step:
    return Step(offered, offered * 10, 0.001, p99_s, 0.0, round(offered), 0.3, binds)


def test_open_figures_are_what_a_hand_computes() -> None:
    """1,000/s for 4 s, 20 of them never sent: arrivals, their lag, and the rate of right answers."""
    scenario = Scenario("o", "", "open", "/plain", 200, 0.0, 1.0, 4.0, 10.0, rate_per_s=1000.0)
    arrivals = Arrivals(planned=4000, sent=3980, late=50, dropped=20, lag_us={10: 3930, 2_500: 50})
    histogram = {300: 3900, 2_800: 70}
    metrics, missing = measure(
        Counted(scenario, histogram, {"timeout in first byte": 10}, 200, BEFORE, BEFORE, None, AFTER, arrivals=arrivals)
    )

    assert (992.5, 0.0003, 0.0028) == (metrics.throughput_per_s, metrics.p50_s, metrics.p99_s)
    assert (4000, 3980, 50, 20, 0.0025) == (
        metrics.planned, metrics.sent, metrics.late, metrics.dropped, metrics.lag_p99_s,
    )  # fmt: skip
    assert (200, 200, None) == (
        metrics.connections_requested, metrics.connections_held, metrics.connections_failed,
    )  # fmt: skip
    assert "open: as many of the pool are open as arrivals need" == missing["connections_failed"]
    assert 2.0 * 10_000 / 3970 == metrics.cpu_s_per_10k_requests


def test_each_connect_of_a_storm_has_one_outcome() -> None:
    """Three bursts of 100: 290 answered, the rest failed one way or another."""
    scenario = Scenario("s", "", "storm", "/plain", 100, 0.0, 1.0, 3.0, 10.0, every_s=1.0)
    arrivals = Arrivals(planned=300, sent=298, late=0, dropped=2, lag_us={100: 298})
    errors = {"ECONNRESET in first byte": 8}
    metrics, _ = measure(Counted(scenario, {900: 290}, errors, 0, BEFORE, BEFORE, None, AFTER, arrivals=arrivals))

    assert (300, 290, 10) == (
        metrics.connections_requested, metrics.connections_held, metrics.connections_failed,
    )  # fmt: skip
    assert (298, 2, 0.0001) == (metrics.sent, metrics.dropped, metrics.lag_p99_s)


def test_nothing_sent_has_no_lag() -> None:
    """A burst that was dropped whole was not sent with a lag of 0."""
    scenario = Scenario("s", "", "storm", "/plain", 100, 0.0, 1.0, 3.0, 10.0, every_s=1.0)
    dropped = Arrivals(planned=300, dropped=300)
    metrics, missing = measure(Counted(scenario, {}, {}, 0, BEFORE, BEFORE, None, AFTER, arrivals=dropped))

    assert (None, "nothing was sent in the window") == (metrics.lag_p99_s, missing["lag_p99_s"])


@pytest.mark.parametrize(("of", "requested"), [("connections", 75), ("rate", 400)])
def test_a_ramps_figures_are_those_of_its_last_step_that_held(of: str, requested: int) -> None:
    """50 and 75 held, 113 did not: the trial is told at 75."""
    stairs = Ramp(of, 50.0, 1000.0, 1.5, 3.0, 1.0, 0.01, 0.1)  # type: ignore[arg-type]  # one of the two words
    scenario = Scenario("r", "", "ramp", "/plain", 400, 0.0, 0.0, 0.0, 10.0, ramp=stairs)
    steps = (step(50.0), step(75.0), step(113.0, "latency", 0.4))
    metrics, missing = measure(
        Counted(scenario, {800: 99, 1_500: 1}, {}, 75, BEFORE, None, None, AFTER, steps=steps, breaking_point=75.0)
    )

    assert (75.0, 750.0, 0.0008, 0.0015) == (
        metrics.breaking_point, metrics.throughput_per_s, metrics.p99_s, metrics.p999_s,
    )  # fmt: skip
    assert (requested, 75) == (metrics.connections_requested, metrics.connections_held)
    assert "at different loads" in missing["cpu_s_per_10k_requests"]


def test_a_ramp_whose_first_step_did_not_hold_has_no_breaking_point() -> None:
    """Nothing held, so nothing is told of what was answered; the reason names what bound and where."""
    stairs = Ramp("rate", 50.0, 1000.0, 1.5, 3.0, 1.0, 0.01, 0.1)
    scenario = Scenario("r", "", "ramp", "/plain", 400, 0.0, 0.0, 0.0, 10.0, ramp=stairs)
    metrics, missing = measure(
        Counted(scenario, {800: 99}, {}, None, BEFORE, None, None, AFTER, steps=(step(50.0, "errors"),))
    )

    assert (None, None, None) == (metrics.breaking_point, metrics.throughput_per_s, metrics.p99_s)
    assert "no step of the ramp held: errors bound at the first, 50" == missing["breaking_point"]


def test_opening_and_the_generators_memory_are_passed_on() -> None:
    """What the swarm said, value for value."""
    told = replace(counted(HOLD, established=100), established_s=0.75, generator_memory_bytes=80_000_000)
    metrics, missing = measure(told)

    assert (0.75, 80_000_000) == (metrics.established_s, metrics.generator_memory_bytes)
    assert not {"established_s", "generator_memory_bytes"} & set(missing)


def test_memory_is_split_as_the_cgroup_charges_it() -> None:
    """Kernel and sockets are read, the rest is user space's; sockets nobody accounts for stay unknown."""
    v1, missing = measure(counted(HOLD, established=100))
    v2, _ = measure(counted(HOLD, established=100, after={**AFTER, "cgroup_sock_bytes": 50_000.0}))
    unread, why = measure(counted(HOLD, established=100, after={"cgroup_memory_bytes": 1_250_000.0}))

    assert (650_000.0, 600_000.0, None) == (v1.memory_user_bytes, v1.memory_kernel_bytes, v1.memory_socket_bytes)
    assert missing["memory_socket_bytes"].startswith("cgroup v1 charges socket memory to nobody")
    assert (600_000.0, 600_000.0, 50_000.0) == (v2.memory_user_bytes, v2.memory_kernel_bytes, v2.memory_socket_bytes)
    assert unread.memory_user_bytes is None
    assert why["memory_kernel_bytes"] == "the exporter could not read the cgroup's memory by its parts"


def test_sockets_that_no_cgroup_accounts_are_inet_diags_to_tell() -> None:
    """Beside the whole and not in it; only a dump that saw all of them counts, and the cgroup's word comes first."""
    hold = counted(HOLD, established=100)
    dump = Sockets(100, 230_400.0)
    seen, v2, stale, none = (
        replace(hold, sockets=dump),
        replace(counted(HOLD, established=100, after={**AFTER, "cgroup_sock_bytes": 50_000.0}), sockets=dump),
        replace(hold, sockets=Sockets(63, 9_000.0)),
        hold,
    )
    metrics, missing = measure(seen)
    reasons = [measure(one)[1]["memory_socket_bytes"].partition("; ")[2] for one in (stale, none, counted())]

    assert (650_000.0, 600_000.0, 230_400.0) == (
        metrics.memory_user_bytes, metrics.memory_kernel_bytes, metrics.memory_socket_bytes
    )  # fmt: skip
    assert "memory_socket_bytes" not in missing
    assert 50_000.0 == measure(v2)[0].memory_socket_bytes
    assert [
        "inet_diag's last look saw 63 of 100 open",
        "the exporter's inet_diag did not tell either",
        "only holds look at sockets by inet_diag, with all of them open",
    ] == reasons
    assert [True, False, False, False] == [is_by_diag(one, measure(one)[0]) for one in (seen, v2, stale, none)]


def test_a_ramp_that_was_stopped_in_its_first_step_measured_nothing() -> None:
    """Somebody pressed stop: there is no step to name, and no traceback."""
    stairs = Ramp("connections", 50.0, 100.0, 1.5, 2.0, 1.0, 0.01, 0.2)
    scenario = Scenario("r", "", "ramp", "/plain", 400, 0.0, 0.0, 0.0, 10.0, ramp=stairs)
    metrics, missing = measure(Counted(scenario, {}, {}, None, BEFORE, None, None, AFTER))

    assert (None, None) == (metrics.breaking_point, metrics.throughput_per_s)
    assert "no step of the ramp held" == missing["breaking_point"]
