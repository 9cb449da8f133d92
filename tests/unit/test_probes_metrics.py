"""The exposition of the probes: every metric declared once, documented from there, and told with its labels."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.observe.exporter.declared import METRICS as EXPORTERS
from probes.service import catalogue
from probes.service.metrics import EDGES_NS, ERRORS_HELP, ERRORS_NAME, METRICS, OF_SERVICE, render
from tests.unit.reader_played import LABELS, TARGET, ladder

# What the metric catalogue promises of eBPF, each with its labels.
PROMISED = {
    "lab_bpf_syscalls_total": "syscall",
    "lab_bpf_syscall_errors_total": "errno syscall",
    "lab_bpf_epoll_waits_total": "",
    "lab_bpf_epoll_events_total": "",
    "lab_bpf_context_switches_total": "kind",
    "lab_bpf_wakeups_total": "kind",
    "lab_bpf_runqueue_latency_seconds": "le",
    "lab_bpf_tcp_events_total": "event reason",
    "lab_bpf_skb_drops_total": "reason",
    "lab_bpf_io_uring_requests_total": "op",
    "lab_bpf_lost_events_total": "what",
    "lab_probe_rung": "rung",
    "lab_probe_active": "rung",
}


def test_the_exposition_has_every_metric_and_a_histogram_that_adds_up(tmp_path: Path) -> None:
    """Buckets are cumulative at powers of two; what lies above the last is in +Inf alone."""
    one = ladder(tmp_path)
    one.count_for(TARGET)  # its first counts are there at once, so that a counter's rise from 0 is seen
    text = render(one)
    one.close()

    for metric in METRICS:
        assert f"# TYPE {metric.name} {metric.kind}" in text
    base = 'run_id="r",scenario="s",variant="v"'
    buckets = [line for line in text.splitlines() if line.startswith("lab_bpf_runqueue_latency_seconds_bucket")]
    assert len(EDGES_NS) + 1 == len(buckets)
    assert [2.0, 2.0, 3.0] == [float(line.rsplit(" ", 1)[1]) for line in buckets[:3]]
    assert buckets[-2].endswith(" 3.0") and buckets[-1].endswith('le="+Inf"} 4.0')
    assert f"lab_bpf_runqueue_latency_seconds_sum{{{base}}} 2.0" in text
    assert f'lab_bpf_tcp_events_total{{{base},event="reset_sent",reason="TCP_STATE"}} 2.0' in text
    # What has not happened is a 0 that a panel can draw, not a hole.
    assert f'lab_bpf_skb_drops_total{{{base},reason="NOT_SPECIFIED"}} 0.0' in text
    assert f'lab_bpf_io_uring_requests_total{{{base},op="NOP"}} 0.0' in text


def test_every_metric_is_documented_from_its_declaration() -> None:
    """The table of docs/probes.md is what `python -m probes.service.catalogue` makes; nothing is edited by hand."""
    page = (Path(__file__).parents[2] / "docs" / "probes.md").read_text()

    assert catalogue.render(page) == page


def test_every_metric_is_declared_once_with_unit_source_and_cost() -> None:
    """No name twice, none without a word; the exporter's own has the same head here as it has there."""
    declared = (*METRICS, *OF_SERVICE)
    (errors,) = (metric for metric in EXPORTERS if metric.name == ERRORS_NAME)

    assert len(declared) == len({metric.name for metric in declared})
    for metric in declared:
        assert metric.unit and metric.source and metric.cost and metric.help.endswith("."), metric.name
        assert ("counter" == metric.kind) == metric.name.endswith("_total"), metric.name
    assert f"{errors.help} ({errors.unit}; {errors.source})" == ERRORS_HELP
    assert ("counter", ("source",)) == (errors.kind, errors.labels)


def test_the_names_that_are_promised_are_there_with_their_labels() -> None:
    """A name or a label that changes breaks every query that asks for it."""
    declared = {metric.name: " ".join(sorted(metric.labels)) for metric in (*METRICS, *OF_SERVICE)}

    assert PROMISED == {name: declared.get(name) for name in PROMISED}


def test_samples_have_the_labels_that_are_declared_and_no_other(tmp_path: Path) -> None:
    """Beside the target's own; of every metric that this reader counts."""
    one = ladder(tmp_path)
    one.find_rung(1)
    one.count_for(TARGET)
    text = render(one)
    one.close()

    for metric in (*METRICS, *OF_SERVICE):
        found = re.findall(rf"^{metric.name}(?:_bucket)?\{{(.*)\}} ", text, re.MULTILINE)
        assert found, metric.name
        for series in found:
            assert set(metric.labels) == set(re.findall(r'(\w+)="', series)) - set(LABELS), metric.name


def test_no_metric_of_a_rung_that_does_not_count_it(tmp_path: Path) -> None:
    """perf tells switches and nothing of TCP: no zero stands in for what was not seen."""
    one = ladder(tmp_path)
    watched = one.count_for(TARGET)
    watched.kept = {"switches": {"any": 5}}
    text = render(one)
    one.close()

    assert 'kind="any"} 5.0' in text
    assert "lab_bpf_tcp_events_total{" not in text
    assert "lab_bpf_runqueue_latency_seconds_bucket{" not in text
