"""The tables of open, ramp, storm and ablation, as a person sees them at a hundred columns."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from orchestrator.model import Bound, Kind, Metrics, Plan, Run, Step, TrialResult, TrialSpec
from orchestrator.report.remaining import loaded_s
from orchestrator.report.sidebyside import side_by_side
from orchestrator.verdicts.ablation import find_effects
from orchestrator.verdicts.prediction import compare
from orchestrator.verdicts.summary import summarise_run
from tests.unit.load_played import HOLD, OPEN, RAMP

WIDTH = 100


def trial(kind: Kind, variant: str, reverted: str = "", **changes: Any) -> TrialResult:
    """A valid trial of one kind; changes are fields of Metrics or of TrialResult."""
    names = set(Metrics.__dataclass_fields__)
    metrics = {key: changes.pop(key) for key in list(changes) if key in names}
    spec = TrialSpec(0, 0, variant, "x", kind, "default", 1, 1, "", "engine", reverted)
    result = TrialResult(spec, None, Metrics(**metrics), {}, {312: 98, 4100: 2}, (), (), "t", 8.0, 4.0)
    return replace(result, **changes)


def drawn(*trials: TrialResult, width: int = WIDTH) -> list[str]:
    """The lines of the only scenario's tables, blanks squeezed; none is wider than the console."""
    run = Run("r", "s", "a", "b", {}, Plan("s", 1, tuple(t.spec for t in trials), ()), trials)
    (table,) = side_by_side(run)
    console = Console(file=StringIO(), record=True, width=width, highlight=False)
    console.print(table)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert max(map(len, lines)) <= width
    return [" ".join(line.split()) for line in lines]


def test_an_open_table_says_what_was_planned_sent_late_and_dropped() -> None:
    """The rate of right answers is drawn; beside it the schedule that was kept or not."""
    lines = drawn(
        trial("open", "c-epoll", throughput_per_s=1000.0, p50_s=0.0, planned=6000, sent=6000, late=0, lag_p99_s=20e-6),
        trial("open", "c-threads", throughput_per_s=500.0, p50_s=0.0, planned=6000, sent=3100, late=12, lag_p99_s=0.5),
    )

    assert "x (open)" == lines[0]
    assert any(line.startswith("c-epoll 1,000 ██████████ 1.00 6,000/6,000 0 20.0 µs 312 µs ") for line in lines)
    assert any(line.startswith("c-threads 500 █████ 0.5 3,100/6,000 12 500 ms 312 µs ") for line in lines)


def test_a_ramp_is_drawn_step_by_step_below_its_breaking_point() -> None:
    """The table tells where and by what it was bound; the steps show the bend, each with a bar."""
    steps = (
        Step(50.0, 4000.0, 0.001, 0.002, 0.0, 50, 0.2, ""),
        Step(100.0, 8000.0, 0.001, 0.004, 0.0, 100, 0.41, ""),
        Step(200.0, 2000.0, 0.09, 0.4, 0.021, 200, 0.3, "latency"),
    )
    lines = drawn(
        trial("ramp", "c-epoll", steps=steps, bound_by="latency", breaking_point=100.0, throughput_per_s=8000.0),
        trial("ramp", "go-nethttp", steps=steps[:2], bound_by="nothing up to 100", breaking_point=100.0),
    )

    assert any(line.startswith("c-epoll 100 ██████████ 1.00 latency 8,000 ") for line in lines)
    assert any(line.startswith("go-nethttp ≥ 100 ██████████ 1.00 nothing - ") for line in lines)
    at = lines.index("x: step by step")
    assert [
        "c-epoll 50.0 4,000 ████████ 1.00 ms 2.00 ms 0 50 20.0 %",
        "100 8,000 ████████████████ 1.00 ms 4.00 ms 0 100 41.0 %",
        "200 2,000 ████ 90.0 ms 400 ms 2.10 % 200 30.0 % latency",
        "go-nethttp 50.0 4,000 ████████ 1.00 ms 2.00 ms 0 50 20.0 %",
    ] == lines[at + 2 : at + 6]


def test_a_storm_is_answered_of_planned_with_the_kernels_counters_below() -> None:
    """Connects that were lost show as the share answered and as what the kernel counted."""
    counters = {"ListenOverflows": 280.0, "SyncookiesSent": 98.0, "TCPTimeouts": 3.0, "OutRsts": 1.0}
    lines = drawn(
        trial("storm", "c-epoll", connections_requested=400, connections_held=400, p50_s=0.0, lag_p99_s=0.003),
        trial("storm", "seed-go", connections_requested=400, connections_held=100, p50_s=0.0, counters=counters),
    )

    assert any(line.startswith("c-epoll 400/400 ██████ 1.00 3.00 ms 312 µs ") for line in lines)
    assert any(line.startswith("seed-go 100/400 █▌ 0.25 - 312 µs ") for line in lines)
    assert "kernel: seed-go: 280 ListenOverflows, 98 SyncookiesSent, 3 TCPTimeouts, 1 more" in lines


def test_a_hold_draws_how_long_opening_took_and_weighs_the_swarm() -> None:
    """The slower opening has the longer bar."""
    held: dict[str, Any] = {"connections_requested": 2000, "connections_held": 2000, "p50_s": 0.0}
    lines = drawn(
        trial("hold", "c-epoll", established_s=0.1, generator_memory_bytes=2.0**26, **held),
        trial("hold", "go-nethttp", established_s=0.2, **held),
    )

    assert any(line.startswith("c-epoll 2,000/2,000 100 ms █████ 1.00 312 µs ") for line in lines)
    assert any(line.startswith("go-nethttp 2,000/2,000 200 ms ██████████ 2.00 312 µs ") for line in lines)
    assert "the swarm's workers together: c-epoll 64.0 MiB" in lines


ABLATION = (
    trial("hold", "c-epoll", connections_requested=2000, connections_held=2000, counters={"TCPTimeouts": 4.0}),
    trial(
        "hold", "c-epoll", "net.core.somaxconn=128", connections_requested=2000, connections_held=900,
        counters={"ListenOverflows": 1100.0, "TCPTimeouts": 5.0},
    ),
    trial("hold", "c-epoll", "net.core.rmem_max=212992", connections_requested=2000, connections_held=1990),
    trial(
        "hold", "c-epoll", "net.ipv4.tcp_syncookies=0", connections_requested=2000, connections_held=2000,
        counters={"TCPReqQFullDrop": 7.0},
    ),
    trial("hold", "c-epoll", "nofile=1024", void="1 of 2 workers"),
)  # fmt: skip


def test_an_ablation_shows_each_settings_ceiling_and_its_counter() -> None:
    """Lower with the counter that shows it, no effect where nothing moved, and a void one is not known."""
    lines = drawn(*ABLATION)
    at = lines.index("x: one setting taken back at a time")

    assert [
        "c-epoll (all in place) 2,000 ████████ 100 % 4 TCPTimeouts",
        "c-epoll somaxconn=128 900 ███▋ 45.0 % lower 1,100 ListenOverflows",
        "c-epoll rmem_max=212992 1,990 ████████ 99.5 % no effect",
        "c-epoll tcp_syncookies=0 2,000 ████████ 100 % same, but see 7 TCPReqQFullDrop",
        "c-epoll nofile=1024 - - not known",
    ] == lines[at + 2 : at + 7]


def test_a_trial_with_a_setting_taken_back_is_a_row_of_its_own() -> None:
    """It never enters the figures of the variant with all in place."""
    run = Run("r", "s", "a", "b", {}, Plan("s", 1, tuple(t.spec for t in ABLATION), ()), ABLATION)
    rows = summarise_run(run)

    assert [
        ("c-epoll", 2000),
        ("c-epoll without somaxconn", 900),
        ("c-epoll without rmem_max", 1990),
        ("c-epoll without tcp_syncookies", 2000),
        ("c-epoll without nofile", None),
    ] == [(row.label, row.metrics.connections_held) for row in rows]
    assert [] == find_effects(rows[:1])


@pytest.mark.parametrize(("scenario", "least_s"), [(HOLD, 5.0), (OPEN, 8.0), (RAMP, 12.0)])
def test_the_time_under_load_is_known_beforehand(scenario: Any, least_s: float) -> None:
    """hold: its delay. open: warm-up and window. ramp: three steps of three seconds and one to settle each."""
    assert least_s == loaded_s(scenario)


def test_predictions_stand_beside_what_was_seen_and_a_failed_one_says_so() -> None:
    """10 % off is within what trials differ by; 40 % is not. What was to bind first is named once."""
    bound = Bound("server descriptors", 19_936.0, "20,000 - 64", "raise nofile", "container")
    base = trial("hold", "c-epoll", connections_requested=2000, connections_held=2000, memory_bytes_per_connection=1400)
    predicted = {"connections_held": 2000.0, "memory_bytes_per_connection": 1000.0, "established_s": 0.5}
    spec = replace(base.spec, bounds=(bound,), predicted=predicted)
    lines = drawn(replace(base, spec=spec))
    at = lines.index("x: predicted and seen (failed: more than 15% off)")

    assert [
        "c-epoll connections held 2,000 2,000 +0.0 %",
        "memory per connection 1000 B 1.37 KiB +40.0 % failed",
        "time to open all 500 ms - -",
    ] == lines[at + 2 : at + 5]
    assert "predicted to bind first: server descriptors: 19,936 connections (c-epoll)" in lines


def test_the_widest_ablation_fits_a_hundred_columns_uncut() -> None:
    """The longest setting, several counters, large figures: nothing is cut, each counter has a line of its own."""
    counters = {"ListenDrops": 11_531.0, "ListenOverflows": 11_531.0, "RetransSegs": 9_460.0, "OutRsts": 1.0}
    held: dict[str, Any] = {"connections_requested": 40_000, "p50_s": 0.0, "p99_s": 0.0, "established_s": 44.3}
    lines = drawn(
        trial("hold", "go-nethttp", connections_held=34_603, errors={"timeout in first byte": 5397}, **held),
        trial(
            "hold", "go-nethttp", "net.ipv4.ip_local_port_range=32768 60999", connections_held=28_231,
            counters=counters, **held,
        ),
    )  # fmt: skip
    text = "\n".join(lines)

    assert "…" not in text.replace("timeout i…", "")
    assert "go-nethttp ip_local_port_range= 28,231 ██████▌ 81.6 % lower 11,531 ListenDrops" in lines
    assert {"32768 60999 11,531 ListenOverflows", "9,460 RetransSegs", "1 more"} <= set(lines)


@pytest.mark.parametrize(("seen", "has_failed"), [(115.0, False), (116.0, True), (84.0, True), (85.0, False)])
def test_a_prediction_fails_beyond_fifteen_percent_either_way(seen: float, has_failed: bool) -> None:
    """Fifteen itself is within."""
    (one,) = compare({"throughput_per_s": 100.0}, Metrics(throughput_per_s=seen))

    assert has_failed == one.has_failed


def test_what_was_not_measured_has_no_deviation() -> None:
    """Neither has a prediction of nothing."""
    assert [None, None] == [
        one.off_ratio for one in compare({"p99_s": 1.0, "connections_held": 0.0}, Metrics(connections_held=3))
    ]
