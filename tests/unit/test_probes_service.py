"""The probes' service: the ladder, a reader's lines, and both over HTTP."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.service.errors import BadTarget, NotCounting, UnknownTarget
from probes.service.metrics import render
from probes.service.reader import Reader
from probes.service.server import Server
from probes.service.target import Target, parse_target
from tests.serving import serving
from tests.unit.reader_played import LABELS, TARGET, ladder, reader


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
