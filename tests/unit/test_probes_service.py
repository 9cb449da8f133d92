"""The probes' service: the ladder, a reader's lines, the exposition. The reader is played by a script of the test's."""

from __future__ import annotations

import http.client
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.observe.exporter.declared import METRICS as EXPORTERS
from probes.service import catalogue
from probes.service.errors import BadTarget, NotCounting, UnknownTarget
from probes.service.ladder import Ladder
from probes.service.metrics import EDGES_NS, ERRORS_HELP, ERRORS_NAME, METRICS, OF_SERVICE, render
from probes.service.reader import Reader
from probes.service.server import Server
from probes.service.target import Target, parse_target
from tests.serving import serving

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
LABELS = {"run_id": "r", "scenario": "s", "variant": "v"}
TARGET = Target("t", LABELS, (1,), 1)
COUNTS: dict[str, Any] = {
    "syscalls": {"read": 7, "epoll_wait": 3},
    "errors": {"read": {"EAGAIN": 2}},
    "epoll": {"returns": 3, "events": 6},
    "switches": {"voluntary": 4, "involuntary": 1},
    "wakeups": {"woken": 5, "new": 0},
    "runqueue_latency": {"below_ns": {"1024": 2, "3072": 1, "4294967296": 1}, "sum_ns": 2_000_000_000, "count": 4},
    "tcp": {"reset_sent": {"TCP_STATE": 2}, "reset_received": 1, "retransmit": 0},
    "drops": {},
    "uring": {},
    "lost": {"recursion": 0},
}

# What reader.c does, with counts that are always the same: ready, then a line for each order, until its input ends.
SCRIPT = """
import json, sys, time
rung, counts = sys.argv[1], json.loads(sys.argv[2])
if rung in sys.argv[3].split(","):
    print(f"reader: {rung}: refused here", file=sys.stderr)
    sys.exit(3)
print(json.dumps({"ready": rung, "at_s": 100.0, "missing": {"uring": "old"}}), flush=True)
for line in sys.stdin:
    word, _, due = line.strip().partition(" ")
    if word == "die":
        print("reader: the counts cannot be read", file=sys.stderr)
        sys.exit(4)
    told = {"at_s": 101.0, "why": "asked", **counts} if word == "read" else {
        "at_s": float(due) + 0.001, "why": "mark", "due_s": float(due), **counts}
    print(json.dumps(told), flush=True)
"""


def reader(rung: str, refuse: str = "") -> Reader:
    return Reader([sys.executable, "-c", SCRIPT, rung, json.dumps(COUNTS), refuse])


def ladder(tmp_path: Path, refuse: str = "") -> Ladder:
    """Return a ladder whose host refuses some rungs; process 1 is there."""
    (tmp_path / "1").mkdir()
    return Ladder("reader", lambda command: reader(command[1], refuse), tmp_path)


def test_a_reader_answers_once_it_is_ready_and_ends_with_its_input() -> None:
    """Counts come on asking; the process is gone afterwards, with code 0."""
    one = reader("ebpf")

    assert ("ebpf", 100.0, {"uring": "old"}) == (one.rung, one.ready_s, one.missing)
    assert 7 == one.read_now()["syscalls"]["read"]
    assert 0 == one.end()
    assert not one.is_counting


def test_a_refused_rung_is_told_in_the_readers_own_words() -> None:
    """The last line on its standard error is the reason."""
    with pytest.raises(NotCounting, match=r"^ebpf: refused here$"):
        reader("ebpf", refuse="ebpf")


def test_a_reader_that_is_not_there_is_a_refusal_too() -> None:
    """No traceback for an image without its reader."""
    with pytest.raises(NotCounting, match="No such file"):
        Reader(["/nowhere/reader", "ebpf"])


def test_a_reader_that_dies_says_why_instead_of_a_count() -> None:
    """What it complained of is the reason; no old count is passed off as a new one."""
    one = reader("ebpf")
    one.read_now()
    one._say("die")
    with pytest.raises(NotCounting, match="the counts cannot be read"):
        one.read_now()
    one.end()


def test_the_first_rung_that_holds_is_taken_and_the_better_ones_have_reasons(tmp_path: Path) -> None:
    """eBPF refused: perf counts, and why not eBPF is kept."""
    two = ladder(tmp_path, refuse="ebpf")
    watched = two.count_for(TARGET)

    assert ("perf", {"ebpf": "ebpf: refused here"}) == (watched.rung, watched.refused)
    assert {"ebpf": 1} == dict(two.refusals)
    two.close()


def test_where_nothing_holds_the_rung_is_taskstats_and_nothing_is_counted(tmp_path: Path) -> None:
    """The service stands; counts are refused with the reasons."""
    none = ladder(tmp_path, refuse="ebpf,perf")
    watched = none.count_for(TARGET)

    assert "taskstats" == watched.rung
    with pytest.raises(NotCounting, match="nothing is being counted"):
        none.read_now("t")
    with pytest.raises(NotCounting, match="refused here"):
        none.finish("t")
    assert "lab_bpf_syscalls_total{" not in render(none)


def test_marks_are_set_from_readiness_and_come_back_in_order(tmp_path: Path) -> None:
    """A window's two readings are due at the reader's own clock."""
    one = ladder(tmp_path)
    watched = one.count_for(Target("t", LABELS, (1,), 1, marks_in_s=(0.5, 2.5)))
    _, marks = one.finish("t")

    assert (100.5, 102.5) == watched.marks_s
    assert [100.5, 102.5] == [mark["due_s"] for mark in marks]
    assert watched.reader is not None and not watched.reader.is_counting


def test_the_counts_of_a_finished_window_stay_until_the_processes_are_gone(tmp_path: Path) -> None:
    """Prometheus sees the last counts; a pod that was taken down leaves no series behind."""
    one = ladder(tmp_path)
    one.count_for(TARGET)
    one.finish("t")

    assert 'lab_bpf_syscalls_total{run_id="r",scenario="s",variant="v",syscall="read"} 7.0' in render(one)
    assert 'lab_probe_active{run_id="r",scenario="s",variant="v",rung="ebpf"} 0.0' in render(one)
    (tmp_path / "1").rmdir()
    assert "lab_bpf_syscalls_total{" not in render(one)
    with pytest.raises(UnknownTarget):
        one.read_now("t")


def test_a_target_of_the_same_name_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """Two readers for one target would cost twice."""
    one = ladder(tmp_path)
    first = one.count_for(TARGET)
    one.count_for(TARGET)

    assert first.reader is not None and not first.reader.is_counting
    assert 1 == len(one.known())
    one.close()


def test_the_hosts_rung_is_found_out_on_a_process_of_its_own(tmp_path: Path) -> None:
    """Known before any window, and as a metric."""
    one = ladder(tmp_path, refuse="ebpf")
    assert one.host is None
    one.find_rung(1)

    assert ("perf", {"ebpf": "ebpf: refused here"}) == one.host
    assert 'lab_probe_rung{rung="perf"} 1.0' in render(one)
    assert 'lab_collector_errors_total{source="bpf"} 1.0' in render(one)
    assert [] == one.known()


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


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"nonsense", "no JSON"),
        (b"[]", "expected an object"),
        (b'{"labels": {"run_id": "r"}, "pids": [1]}', "labels: expected run_id, scenario, variant"),
        (json.dumps({"labels": LABELS}).encode(), "pids: expected a list"),
        (json.dumps({"labels": LABELS, "pids": []}).encode(), "pids: expected a list"),
        (json.dumps({"labels": LABELS, "pids": [0]}).encode(), "expected the host's pids"),
        (json.dumps({"labels": LABELS, "pids": [True]}).encode(), "expected numbers"),
        (json.dumps({"labels": LABELS, "pids": [1], "net": "x"}).encode(), "expected the host's pids"),
        (json.dumps({"labels": LABELS, "pids": [1], "rungs": ["kprobe"]}).encode(), "rungs: expected some of"),
        (json.dumps({"labels": LABELS, "pids": [1], "marks_in_s": [-1]}).encode(), "expected 0 to"),
        (json.dumps({"labels": LABELS, "pids": [1], "more": 1}).encode(), "unknown: more"),
        (json.dumps({"labels": LABELS, "pids": list(range(1, 80))}).encode(), "at most 64"),
    ],
)
def test_a_target_that_makes_no_sense_is_refused_in_one_line(body: bytes, said: str) -> None:
    """What was expected and what was seen."""
    with pytest.raises(BadTarget, match=said) as refused:
        parse_target("t", body)
    assert "\n" not in str(refused.value)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    served = Server(("127.0.0.1", 0), ladder(tmp_path))
    with serving(served):
        yield served.server_address[1]
    served.ladder.close()


def call(port: int, method: str, path: str, body: object = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, None if body is None else json.dumps(body))
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text if path == "/metrics" else json.loads(text)


def test_a_window_over_http(port: int) -> None:
    """Begin, read, finish, forget: what a trial does."""
    told = {"labels": LABELS, "pids": [1], "net": 1, "rungs": ["ebpf"], "marks_in_s": [0.1, 0.2]}
    status, begun = call(port, "PUT", "/targets/t", told)

    assert (200, "ebpf", [100.1, 100.2]) == (status, begun["rung"], begun["marks_s"])
    assert 7 == call(port, "GET", "/counts/t")[1]["counts"]["syscalls"]["read"]
    assert 2 == len(call(port, "POST", "/finish/t")[1]["marks"])
    assert 409 == call(port, "GET", "/counts/t")[0]
    assert 200 == call(port, "GET", "/metrics")[0]
    assert 200 == call(port, "DELETE", "/targets/t")[0]
    assert 404 == call(port, "GET", "/counts/t")[0]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", None, 404),
        ("PUT", "/targets/a%2Fb", {}, 400),
        ("PUT", "/targets/t", {}, 400),
        ("POST", "/finish/t", None, 404),
    ],
)
def test_what_is_not_offered_is_refused_in_one_line(
    port: int, method: str, path: str, body: object, status: int
) -> None:
    """An error is JSON with one line."""
    seen, told = call(port, method, path, body)

    assert status == seen
    assert set(told) == {"error"} and "\n" not in told["error"]


def test_a_reader_is_waited_for_until_the_deadline_and_no_longer() -> None:
    """Marks that never come are a refusal, at the time that was given."""
    one = reader("ebpf")
    began_s = time.monotonic()
    with pytest.raises(NotCounting, match="0 of 1 readings came in time"):
        one.marks([500.0], began_s + 0.1)
    one.end()
