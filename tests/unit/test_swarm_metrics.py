"""The client side's metrics: each declared once, each row of the catalogue there, known traffic counted exactly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from swarm import catalogue
from swarm.bulk import LADDER_S, Fold
from swarm.gauges import read_gauges
from swarm.ledger import Ledger
from swarm.looplag import EVERY_S, KEPT, LoopLag
from swarm.metrics import Metrics
from swarm.recorder import Recorder
from swarm.row import LIVE, SINCE

US, S = 1000, 10**9
# The rows of the metric catalogue that are the client's, with the labels that each promises.
PROMISED = {
    "lab_client_request_duration_seconds": {"method", "name", "outcome"},
    "lab_client_response_bytes_total": {"method", "name"},
    "lab_client_users": set(),
    "lab_client_users_target": set(),
    "lab_client_connections": {"state"},
    "lab_client_loop_lag_seconds": set(),
    "lab_client_cpu_ratio": set(),
    "lab_client_schedule_lag_seconds": set(),
}


def report(recorder: Recorder, **of_worker: Any) -> dict[str, Any]:
    """Return what a worker tells the master, made as the worker makes it."""
    deltas = []
    for row in recorder.rows.values():
        fold = Fold(row, row.take())
        list(fold.steps())
        deltas.append(fold.delta())
    rows = [row.standing() for row in recorder.rows.values()]
    return {"window_id": None, "scenario": "plain", "rows": rows, "deltas": deltas} | of_worker


def test_every_row_of_the_catalogue_is_declared_once() -> None:
    """Each promised name with its labels; kind, unit, source, cost and help are all there; no name twice."""
    declared = {metric.name: metric for metric in catalogue.METRICS}

    assert len(declared) == len(catalogue.METRICS)
    for name, labels in PROMISED.items():
        assert labels <= set(declared[name].labels), name
    for metric in catalogue.METRICS:
        assert metric.unit and metric.source and metric.cost and metric.help.endswith("."), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name


def test_every_declared_metric_is_in_the_exposition_and_no_other() -> None:
    """HELP and TYPE stand there for each declaration exactly once, whatever has samples."""
    text = Metrics().render("plain", read_gauges(Ledger(), {}, [], 0))

    assert [m.name for m in catalogue.METRICS] == sorted(
        re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE), key=[m.name for m in catalogue.METRICS].index
    )


def test_the_page_of_the_metrics_is_what_the_declarations_make() -> None:
    """docs/client-metrics.md is written by `python -m swarm.catalogue`; nothing is edited by hand."""
    page = Path(__file__).resolve().parents[2] / "docs" / "client-metrics.md"

    assert catalogue.render_page(LADDER_S) == page.read_text(encoding="utf-8")


def test_buckets_reach_from_100_microseconds_to_65_seconds() -> None:
    """The catalogue's range, in strictly rising edges."""
    assert (0.0001, 65.0) == (LADDER_S[0], LADDER_S[-1])
    assert sorted(set(LADDER_S)) == list(LADDER_S)


def test_bytes_are_those_of_right_answers() -> None:
    """23 answers of 13 bytes make 299; errors add none; bodies of several sizes are added as they came."""
    recorder = Recorder(lambda: 0)
    row, own = recorder.row("c-epoll", "/plain"), recorder.row("c-epoll", "mine", "POST")
    for _ in range(23):
        recorder.answer(row, 0, 300 * US)
    recorder.error(row, "wrong body", 0, 300 * US)
    for length in (5, 1000):
        recorder.answer(own, 0, 300 * US)
        own.count_body(length)
    metrics = Metrics()
    metrics.add(report(recorder))
    metrics.add(report(recorder))  # nothing since: adds nothing
    lines = metrics.render("plain", {}).splitlines()
    base = 'run_id="arena",scenario="plain",variant="c-epoll"'

    assert f'lab_client_response_bytes_total{{{base},method="GET",name="/plain"}} 299' in lines
    assert f'lab_client_response_bytes_total{{{base},method="POST",name="mine"}} 1005' in lines


def test_counters_begin_at_nothing() -> None:
    """A row that has users and no answer yet is there with zeros, so that its first answers count as growth."""
    recorder = Recorder(lambda: 0)
    recorder.row("v", "/plain").users = 1
    recorder.row("w", "/plain")
    metrics = Metrics()
    metrics.add(report(recorder))
    lines = metrics.render("plain", {}).splitlines()
    base = 'run_id="arena",scenario="plain",variant="v",method="GET",name="/plain"'

    for outcome in ("answered", "failed"):
        assert f'lab_client_request_duration_seconds_count{{{base},outcome="{outcome}"}} 0' in lines
    assert f"lab_client_response_bytes_total{{{base}}} 0" in lines
    assert not any('variant="w"' in line for line in lines)


def test_another_run_starts_at_nothing() -> None:
    """Counters belong to a run: a new name drops the old one's series, bytes included."""
    recorder = Recorder(lambda: 0)
    recorder.answer(recorder.row("v", "/plain"), 0, US)
    metrics = Metrics()
    metrics.add(report(recorder))
    metrics.set_labels({"run_id": "next", "scenario": "plain"})

    assert "v" not in re.findall(r'variant="(\w+)"', metrics.render("plain", {}))


def test_failed_connects_are_a_state_of_connections() -> None:
    """Two refused connects and a timed-out one make three, a wrong body none; a new window starts at none."""
    recorder = Recorder(lambda: 0)
    row = recorder.row("v", "/plain")
    for kind in ("ECONNREFUSED in connect", "ECONNREFUSED in connect", "timeout in connect", "wrong body"):
        recorder.error(row, kind, 0, US)
    ledger = Ledger()
    ledger.take_report("w0_a", report(recorder))
    states = read_gauges(ledger, {}, ["v"], 4)[catalogue.CONNECTIONS]

    assert {"connecting": 0, "established": 0, "waiting": 0, "failed": 3} == {
        dict(labels)["state"]: number for (_, labels), number in states.items()
    }
    recorder.open_window("w", 10 * S, 20 * S, 1 * S)
    assert 0 == row.standing()["connects_failed"]


def test_a_workers_figures_carry_its_name() -> None:
    """CPU, the engine's CPU, loop lag and memory of each worker; what a worker could not say has no sample."""
    worker = {"cpu_ratio": 0.5, "engine_cpu_ratio": None, "loop_lag_s": 0.002, "memory_bytes": 7}
    gauges = read_gauges(Ledger(), {"w0_a": worker}, ["v"], 1)
    lag = {("v", (("worker", "w0"),)): 0.002}

    assert lag == gauges[catalogue.LOOP_LAG]
    assert {} == gauges[catalogue.ENGINE_CPU_RATIO]


def test_users_asked_for_are_shared_among_the_variants() -> None:
    """Seven users over three variants: 3, 2, 2, in the order of the form."""
    gauges = read_gauges(Ledger(), {}, ["a", "b", "c"], 7)

    assert {("a", ()): 3, ("b", ()): 2, ("c", ()): 2} == gauges[catalogue.USERS_TARGET]


def test_loop_lag_is_the_worst_of_the_last_second() -> None:
    """A loop that was once 30 ms late says 30 ms for a second, and then no more."""
    now_s, told = [0.0], []
    late_s = iter([0.001, 0.030, *[0.002] * KEPT])
    lag = LoopLag()

    def sleep(s: float) -> None:
        told.append(lag.worst_s())
        now_s[0] += s + next(late_s)

    assert lag.worst_s() is None
    with pytest.raises(StopIteration):
        lag.watch(sleep, lambda: now_s[0])
    assert EVERY_S * KEPT == pytest.approx(1.0)
    assert [None, 0.001, *[0.030] * KEPT] == [None if s is None else round(s, 6) for s in told[: KEPT + 2]]
    assert 0.002 == pytest.approx(lag.worst_s())


def test_a_rows_standing_has_every_field_the_master_sums() -> None:
    """A field that one kind of row does not report would break the master's page for the other."""
    standing = Recorder(lambda: 0).row("v", "/plain").standing()

    assert {*LIVE, *SINCE, "connects_failed"} <= set(standing)
