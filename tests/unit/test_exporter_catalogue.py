"""Every metric is declared once, has a source that gives its values, and is documented from that declaration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.observe.exporter import anonymous, catalogue
from orchestrator.observe.exporter.declared import METRICS, PAST
from orchestrator.observe.exporter.host import HOST_SOURCES
from orchestrator.observe.exporter.metric import Metric
from orchestrator.observe.exporter.sampler import Sampler
from orchestrator.observe.exporter.sources import SOURCES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
GIVEN = {source.name: set(source.gives) for source in SOURCES}
GIVEN_OF_HOST = {source.name: set(source.gives) for source in HOST_SOURCES}

# The rows of the metric catalogue that are the exporter's, with the labels that each promises: dashboards, kept runs'
# charts and other people's queries go by them.
PROMISED = {
    "lab_server_up": "",
    "lab_server_processes": "",
    "lab_server_threads": "",
    "lab_server_threads_peak": "",
    "lab_server_open_fds": "",
    "lab_server_cpu_seconds_total": "",
    "lab_server_cpu_mode_seconds_total": "mode",
    "lab_server_context_switches_total": "kind",
    "lab_server_runqueue_wait_seconds_total": "",
    "lab_server_timeslices_total": "",
    "lab_server_page_faults_total": "kind",
    "lab_server_memory_bytes": "kind",
    "lab_server_epoll_instances": "",
    "lab_server_io_uring_instances": "",
    "lab_server_epoll_watches": "",
    "lab_server_io_uring_sq_pending": "",
    "lab_server_io_uring_cq_overflow": "",
    "lab_cgroup_memory_bytes": "kind",
    "lab_cgroup_memory_events_total": "event",
    "lab_cgroup_cpu_periods_total": "",
    "lab_cgroup_cpu_throttled_periods_total": "",
    "lab_cgroup_cpu_throttled_seconds_total": "",
    "lab_cgroup_pressure_seconds_total": "kind resource",
    "lab_net_tcp_listen_overflows_total": "",
    "lab_net_tcp_listen_drops_total": "",
    "lab_net_tcp_syncookies_sent_total": "",
    "lab_net_tcp_retransmits_total": "",
    "lab_net_tcp_resets_sent_total": "",
    "lab_net_tcp_established_resets_total": "",
    "lab_net_tcp_passive_opens_total": "",
    "lab_net_tcp_attempt_fails_total": "",
    "lab_net_tcp_aborts_total": "reason",
    "lab_net_tcp_namespace_sockets": "kind",
    "lab_net_tcp_sockets": "state",
    "lab_net_tcp_socket_memory_bytes": "kind",
    "lab_net_accept_queue_length": "port",
    "lab_net_accept_queue_limit": "port",
    "lab_runtime_goroutines": "",
    "lab_runtime_jvm_threads": "",
    "lab_runtime_processes": "",
    "lab_runtime_run_queue": "",
    "lab_runtime_heap_bytes": "",
    "lab_runtime_gc_cycles_total": "",
    "lab_runtime_gc_pause_seconds_total": "",
    "lab_runtime_sched_latency_seconds": "",
    "lab_runtime_loop_lag_seconds": "",
}


def test_the_names_that_are_promised_are_there_with_their_labels() -> None:
    """A name or a label that changes breaks every query that asks for it."""
    declared = {metric.name: " ".join(sorted(metric.labels)) for metric in METRICS}

    assert PROMISED == {name: declared.get(name) for name in PROMISED}


def test_the_document_is_what_the_declarations_make() -> None:
    """`python -m orchestrator.observe.exporter.catalogue docs/metrics.md` writes it; nothing is edited by hand."""
    assert DOCUMENT.read_text() == catalogue.render()


def test_drift_is_noticed_and_bad_arguments_are_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed file is 1, no file or one that cannot be read 2, each with one line."""
    page = tmp_path / "metrics.md"
    assert 0 == catalogue.main([str(page)])
    assert 0 == catalogue.main(["--check", str(page)])
    page.write_text(page.read_text() + "more\n")

    assert 1 == catalogue.main(["--check", str(page)])
    assert 2 == catalogue.main([])
    assert 2 == catalogue.main(["--check", str(tmp_path / "absent" / "metrics.md")])
    assert 3 == capsys.readouterr().err.count("\n")


def test_every_metric_is_declared_once_and_named_by_the_convention() -> None:
    """Counters end in _total and nothing else does; every name is the lab's; seconds and bytes are in the name."""
    declared = (*METRICS, *PAST)

    assert len(declared) == len({metric.name for metric in declared})
    for metric in declared:
        assert re.fullmatch("lab_(server|cgroup|net|runtime|host|collector|run)_[a-z_]+", metric.name)
        assert ("counter" == metric.kind) == metric.name.endswith("_total")
        if metric.unit in ("seconds", "bytes", "hertz"):
            assert metric.name.removesuffix("_total").endswith(metric.unit)
        assert metric.help.endswith(".")
        assert metric.unit and metric.source and metric.cost, metric.name


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_source_gives_what_the_metric_shows(metric: Metric, tmp_path: Path) -> None:
    """No metric waits for a value that nobody reads, and the collector it names is one there is."""
    if metric.scope == "exporter":
        given = set(Sampler(tmp_path).own())
    elif metric.scope == "host":
        given = GIVEN_OF_HOST[metric.collector]
    else:
        given = set().union(*GIVEN.values())
        assert set(metric.values.values()) & GIVEN[metric.collector]

    assert set(metric.values.values()) <= given


def test_every_value_that_is_read_for_a_chart_is_shown() -> None:
    """What a source gives is a metric, but for what only a trial's result wants."""
    shown = {value for metric in METRICS for value in metric.values.values()}
    of_results = {"tcp_troubles", "tcp_ext_troubles", "machine_cpu_s", "machine_steal_s", "cpus_ran_s", "beside_cpu_s"}

    assert set().union(*GIVEN.values(), *GIVEN_OF_HOST.values()) - shown <= of_results


def test_what_is_put_off_while_a_server_is_busy_says_from_which_size_on() -> None:
    """Whoever finds no watches of a busy server finds the reason in the document."""
    descriptors = round(anonymous.AT_ONCE_S / anonymous.WATCH_S)
    words = f"more than some {descriptors:,} descriptors is counted only while its server is idle"
    put_off = {metric.name for metric in METRICS if words in metric.cost}

    assert {"lab_server_epoll_watches", "lab_server_io_uring_sq_pending", "lab_server_io_uring_cq_overflow"} == put_off
