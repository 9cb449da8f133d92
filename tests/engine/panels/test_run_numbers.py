"""The numbers of the watched run: every metric of the exporter with every label, and counts that are known."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from orchestrator.observe.exporter.declared import METRICS as SERVER_SIDE
from orchestrator.observe.exporter.metric import Metric
from orchestrator.observe.prometheus import query_range
from tests.engine.conftest import FULL, PORTS, VARIANTS, LabFile
from tests.engine.panels.stand import HELD, PROMETHEUS, Watched

# What a variant's /stats tells beyond the contract differs; these come from runtimes that are not among VARIANTS.
OTHER_RUNTIMES = {"runtime_jvm_threads", "runtime_heap_bytes", "runtime_processes", "runtime_run_queue"}
Samples = set[tuple[str, ...]]  # the values of a metric's own labels, in its order


def ask_exporter(path: str) -> Any:
    return requests.get(f"http://127.0.0.1:{PORTS['exporter_port']}{path}", timeout=10).json()


@pytest.fixture(scope="module")
def readings(watched: Watched) -> dict[str, dict[str, Any]]:
    """What the exporter reads of each variant on this host, and what it says is missing, after the run."""
    return {name: ask_exporter(f"/readings/arena-{name}") for name in VARIANTS}


@pytest.mark.parametrize("metric", SERVER_SIDE, ids=lambda metric: metric.name)
def test_every_metric_of_the_exporter_has_samples(
    metric: Metric, watched: Watched, readings: dict[str, dict[str, Any]]
) -> None:
    """With every value of its labels, of each variant, of the host, of the exporter; what is absent says so."""
    is_variants = metric.scope in ("variant", "namespace")
    selector = f'{{run_id="{watched.run_id}"}}' if is_variants else ""
    found: dict[str, Samples] = {}
    for one in query_range(PROMETHEUS, metric.name + selector, watched.began_s, watched.ended_s):
        shown = found.setdefault(one.labels["variant"] if is_variants else "", set())
        shown.add(tuple(one.labels[label] for label in metric.labels))

    if metric.collector == "stats":  # what a variant's /stats tells differs
        tellers = {"go-nethttp", "py-asyncio"} if OTHER_RUNTIMES.isdisjoint(metric.values.values()) else set()
        assert set(found) <= tellers and bool(found) == bool(tellers)
    elif is_variants:
        told = {name: told_of(metric, reading) for name, reading in readings.items()}
        assert {name: samples for name, samples in told.items() if samples} == found
    else:
        missing = ask_exporter("/healthz")["host_missing"] if metric.scope == "host" else {}
        declared = {(value,) if metric.label else () for value, name in metric.values.items() if name not in missing}
        groups = metric.label and "" in metric.values  # as many as the host has: modes of CPU time, sources
        shown = found.get("", set())
        assert (bool(declared) == bool(shown) and all(map(all, shown))) if groups else declared == shown


def told_of(metric: Metric, reading: dict[str, Any]) -> Samples:
    """Return the samples that a reading makes of a metric; each value it lacks is among those it says are missing."""
    assert set(metric.values.values()) <= reading["values"].keys() | reading["missing"].keys()
    return {tuple(extra.values()) for extra, _ in metric.samples(reading["values"])}


# What the lab asks of a server in a hold's pod besides. A seed is verified with one exchange and never asked again; all
# others are asked by the contract probe, by the worker for the nonce, and for /stats until all parties agree.
ASKED_OF_A_SEED, ASKED_AT_LEAST = 1, 3


def test_counts_of_a_hold_are_exact(lab: LabFile, watched: Watched) -> None:
    """Each connection was opened once and asked once: Prometheus has these numbers, and no other."""
    held = f'run_id="{watched.run_id}",scenario="hold-short"'
    counts = {
        name: {one.labels["variant"]: max(value for _, value in one.points) for one in query_range(
            PROMETHEUS, f"sum by (variant) ({name}{{{held}{more}}})", watched.began_s, watched.ended_s)}
        for name, more in (
            ("lab_client_request_duration_seconds_count", ',outcome="answered"'),
            ("lab_net_tcp_passive_opens_total", ""),
        )
    }  # fmt: skip
    answered, opened = counts.values()
    trials = {t["variant"]: t["metrics"] for t in lab.show()["trials"] if t["scenario"] == "hold-short"}
    failed = {name: sum(metrics["errors"].values()) for name, metrics in trials.items()}

    assert dict.fromkeys(VARIANTS, HELD) == {name: metrics["requests"] for name, metrics in trials.items()}
    assert {name: HELD - failed[name] for name in VARIANTS} == answered
    assert {"seed-c"} >= {name for name in VARIANTS if failed[name]}  # the article's C server may answer nobody
    assert HELD + ASKED_OF_A_SEED == opened["seed-go"]
    assert [] == [name for name in FULL if opened[name] < HELD + ASKED_AT_LEAST]


def test_sources_did_not_fail_but_where_a_server_was_gone(watched: Watched) -> None:
    """No number of this run is missing for want of a capability, a parser or a namespace."""
    found = query_range(PROMETHEUS, "lab_collector_errors_total", watched.began_s, watched.ended_s)
    failed = {one.labels["source"]: one.points[-1][1] - one.points[0][1] for one in found}

    assert {"stats", "tcp_sockets", "accept_queue", "host_stat"} <= set(failed)
    assert {} == {source: count for source, count in failed.items() if count}
