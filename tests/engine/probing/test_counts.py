"""The probes against the truth: a server that counts its own calls, and c-uring, whose every request is known.

Exact means equal: what eBPF counts of the server is what the server counted. The pod has no network but its loopback,
so nobody else is in these counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest

from orchestrator.containers.launch import Running, run_inside, unsupported
from tests.engine.probing.pod import PATIENCE_S, PORT, Ground, c_uring

CONNECTIONS, EXCHANGES = 10, 5000  # those of ../shared/reference/metrics.md


@dataclass(frozen=True)
class Counted:
    """One load, counted by the server and by the probes."""

    by_server: Mapping[str, int]
    by_probes: Mapping[str, Any]
    metrics: str


@pytest.fixture(scope="module")
def counted(ebpf: Ground) -> Counted:
    """Load the server while it is probed; it is waiting in epoll_wait before and after."""
    told = ebpf.begin("truth")
    assert "ebpf" == told["rung"], told
    ebpf.inside("load", str(PORT), str(CONNECTIONS), str(EXCHANGES))
    end_s = time.monotonic() + PATIENCE_S
    while (seen := ebpf.counts("truth"))["syscalls"].get("close", 0) < CONNECTIONS:
        assert time.monotonic() < end_s, f"the server has not closed everything: {seen['syscalls']}"
    seen = ebpf.counts("truth")
    metrics = ebpf.ask("GET", "/metrics")
    ebpf.ask("POST", "/finish/truth")
    server = ebpf.client.containers.get(ebpf.server.id)
    server.kill("SIGUSR1")
    server.wait(timeout=PATIENCE_S)
    return Counted(json.loads(server.logs(stderr=False)), seen, metrics)


def test_every_call_of_the_server_is_counted_and_no_other(counted: Counted) -> None:
    """Reads, writes, accepts, closes, epoll's calls and its events: equal to what the server counted itself."""
    calls, errors = counted.by_probes["syscalls"], counted.by_probes["errors"]
    seen = {
        **{name: calls.get(name) for name in ("accept4", "read", "write", "close", "epoll_ctl", "epoll_wait")},
        "accept4 EAGAIN": errors["accept4"]["EAGAIN"],
        "read EAGAIN": errors["read"]["EAGAIN"],
        "events": counted.by_probes["epoll"]["events"],
    }

    assert counted.by_server == seen
    assert EXCHANGES == seen["write"]
    assert CONNECTIONS == seen["close"]
    assert set(calls) == {"accept4", "read", "write", "close", "epoll_ctl", "epoll_wait"}
    assert counted.by_server["epoll_wait"] == counted.by_probes["epoll"]["returns"]
    assert {"recursion": 0, "errors": 0, "drops": 0, "woken": 0} == counted.by_probes["lost"]


def test_connections_are_those_that_were_made_and_none_was_reset(counted: Counted) -> None:
    """Both ends live in one namespace: M opened by each side, 2 M closed, no reset at all."""
    tcp = counted.by_probes["tcp"]

    assert (CONNECTIONS, CONNECTIONS) == (tcp["opened_active"], tcp["opened_passive"])
    assert ({}, 0, 0) == (tcp["reset_sent"], tcp["reset_received"], tcp["retransmit"])


def test_every_wakeup_waits_and_every_wait_has_its_place_in_the_histogram(counted: Counted) -> None:
    """A thread that was woken or preempted gets a CPU again: as many waits as times it was made ready."""
    seen = counted.by_probes
    made_ready = sum(seen["wakeups"].values()) + seen["switches"]["involuntary"]
    latency = seen["runqueue_latency"]

    assert latency["count"] == sum(latency["below_ns"].values())
    # It may be woken while it still runs, or be waiting at this instant.
    assert 0 < latency["count"] <= made_ready
    assert 0 < seen["switches"]["voluntary"] <= seen["epoll"]["returns"] + 1


def test_what_was_counted_reaches_prometheus(counted: Counted) -> None:
    """The same numbers under the names of the reference, with the target's labels."""
    labels = 'run_id="r",scenario="s",variant="truth"'

    assert f'lab_bpf_syscalls_total{{{labels},syscall="write"}} {float(EXCHANGES)}' in counted.metrics
    assert f"lab_bpf_epoll_events_total{{{labels}}} {float(counted.by_server['events'])}" in counted.metrics
    assert f'lab_bpf_tcp_events_total{{{labels},event="opened_passive",reason=""}} 10.0' in counted.metrics
    assert 'lab_probe_rung{rung="ebpf"} 1.0' in counted.metrics
    assert f'lab_probe_active{{{labels},rung="ebpf"}} 1.0' in counted.metrics


@dataclass(frozen=True)
class Ringed:
    """One load of c-uring, counted by the probes; and how it was counted in the text for Prometheus."""

    by_probes: Mapping[str, Any]
    metrics: str


@pytest.fixture(scope="module")
def ringed(ebpf: Ground) -> Ringed:
    """Load c-uring while it is probed. When a client reads the end of its connection, the close has been submitted."""
    variant = c_uring()
    assert variant.seccomp is not None
    seccomp = json.dumps(json.loads(variant.seccomp.read_bytes()))
    server = ebpf.start(
        "uring", "c-uring", join=ebpf.holder.id, tmpfs={"/tmp": "size=16m"}, seccomp=seccomp,
        environment={"LAB_HOST": "127.0.0.1", "LAB_PORT": str(PORT + 1), "LAB_BACKLOG": "64"},
    )  # fmt: skip
    wait_for_answers(ebpf, server)
    target = replace(ebpf, server=server)
    target.begin("uring")
    target.inside("get", str(PORT + 1), str(CONNECTIONS), str(EXCHANGES))
    seen = Ringed(target.counts("uring"), target.ask("GET", "/metrics"))
    target.ask("DELETE", "/targets/uring")
    return seen


def wait_for_answers(ground: Ground, server: Running) -> None:
    """Return when a request is answered; where io_uring is refused, say who refuses it and skip."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        if (why := unsupported(ground.client, server)) is not None:
            pytest.skip(why)
        try:
            ground.inside("get", str(PORT + 1), "1", "1")
            return
        except AssertionError:
            assert time.monotonic() < end_s
            time.sleep(0.05)


def load_when_it_listens(ground: Ground, port: int) -> None:
    """Put the known load on a ground server that has just been started."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            ground.inside("load", str(port), str(CONNECTIONS), str(EXCHANGES))
            return
        except AssertionError:
            assert time.monotonic() < end_s
            time.sleep(0.05)


def test_every_request_to_io_uring_is_counted_and_no_other(ringed: Ringed) -> None:
    """A send for each answer; a multishot receive and a close for each connection; accepting goes on by itself."""
    labels = 'run_id="r",scenario="s",variant="uring"'

    assert {"SEND": EXCHANGES, "RECV": CONNECTIONS, "CLOSE": CONNECTIONS} == ringed.by_probes["uring"]
    assert f'lab_bpf_io_uring_requests_total{{{labels},op="SEND"}} {float(EXCHANGES)}' in ringed.metrics
    assert {0} == set(ringed.by_probes["lost"].values())


def test_a_server_of_io_uring_makes_no_other_call(ringed: Ringed) -> None:
    """Everything goes through io_uring_enter: nothing is read, written, accepted or closed by a call."""
    assert {"io_uring_enter"} == set(ringed.by_probes["syscalls"])


def test_readings_are_taken_at_the_instants_asked_for(ebpf: Ground) -> None:
    """Marks are answered in order, each with the time it was due and the time it was taken."""
    standing = replace(ebpf, server=ebpf.holder)
    told = standing.begin("marks", marks_in_s=[0.2, 0.4])
    finished = standing.ask("POST", "/finish/marks")

    assert told["marks_s"] == [mark["due_s"] for mark in finished["marks"]]
    assert all(0 <= mark["at_s"] - mark["due_s"] < 1.0 for mark in finished["marks"])
    assert pytest.approx(0.2) == told["marks_s"][1] - told["marks_s"][0]


INTERVALS = 3
# Run the reader as the service does, take its readiness line and INTERVALS more, and end its input.
BY_ITSELF = f"""
import json, subprocess, sys
command = ["/opt/lab/reader", *sys.argv[1:], "--interval-ms", "100"]
reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
lines = [json.loads(reader.stdout.readline()) for _ in range(1 + {INTERVALS})]
reader.stdin.close()
print(json.dumps([*lines, reader.wait()]))
"""


@pytest.mark.parametrize("rung", ["ebpf", "perf"])
def test_the_reader_prints_one_line_for_each_interval(ebpf: Ground, rung: str) -> None:
    """After its readiness line, unasked, each an interval later than the one before, with all counts so far."""
    words = ["python3", "-c", BY_ITSELF, rung, "--pid", str(ebpf.holder.pid), "--net", str(ebpf.holder.pid)]
    code, output = run_inside(ebpf.client, ebpf.probes.id, words)
    assert 0 == code, output
    ready, *lines, ended = json.loads(output)
    times_s = [ready["at_s"], *(line["at_s"] for line in lines)]

    assert (rung, 0) == (ready["ready"], ended)
    assert ["interval"] * INTERVALS == [line["why"] for line in lines]
    assert all(sooner < later for sooner, later in pairwise(times_s))
    assert times_s[-1] - times_s[0] > 0.1 * INTERVALS - 0.05
    assert all("switches" in line and "due_s" not in line for line in lines)


def test_a_host_without_ebpf_is_one_rung_down_and_says_why(ebpf: Ground) -> None:
    """perf's own events count switches; what they cannot count is missing with its reason."""
    server = ebpf.start("lower", "ground", join=ebpf.holder.id, command=("serve", str(PORT + 2)))
    standing = replace(ebpf, server=server)
    told = standing.begin("lower", "perf")
    load_when_it_listens(standing, PORT + 2)
    counts = standing.counts("lower")
    standing.ask("DELETE", "/targets/lower")

    assert "perf" == told["rung"]
    assert {"any"} == set(counts["switches"])
    assert 0 < counts["switches"]["any"]  # it waits for its client again and again
    assert "tcp" not in counts
    assert "syscalls" in counts or "tracefs" in told["missing"]["syscalls"]


def test_without_capabilities_the_ladder_ends_at_taskstats(ground: Ground) -> None:
    """Nothing counts, each rung has its reason, and the service stands all the same."""
    probes = ground.start("bare", "probes", user="0:0", host_pids=True)
    bare = replace(ground, probes=probes, server=ground.holder)
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            told = bare.begin("bare", "ebpf", "perf")
            break
        except AssertionError:
            assert time.monotonic() < end_s
            time.sleep(0.1)

    assert "taskstats" == told["rung"]
    assert {"ebpf", "perf"} == set(told["refused"])
    assert all(told["refused"].values())
    metrics = bare.ask("GET", "/metrics")
    assert 'lab_probe_active{run_id="r",scenario="s",variant="bare",rung="taskstats"} 0.0' in metrics
