"""A variant's own /stats: asked without leaving anything behind, merged over processes, told only while it is new."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.observe.exporter import cgroup
from orchestrator.observe.exporter.errors import Absent, Malformed, Unavailable
from orchestrator.observe.exporter.runtime import MOST_INSTANCES, RUNTIME_NAMES, SHOWN_S, Runtime, merge
from orchestrator.observe.exporter.sampler import Sampler
from orchestrator.observe.exporter.target import Address, Container, Target

HERE = Path("/proc/self/ns/net")
GO = {
    "variant": "go",
    "instance": None,
    "goroutines": 12,
    "gc_cycles": 3,
    "gc_pause_s": 0.5,
    "sched_latency_p99_s": 0.01,
}
root = pytest.mark.skipif(os.geteuid() != 0, reason="entering a network namespace needs CAP_SYS_ADMIN")


class Variant(ThreadingHTTPServer):
    """A server of variable opinions that keeps count."""

    daemon_threads = True

    def __init__(self, answers: list[Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests, self.ends = answers, 0, 0

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    server: Variant
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answer = self.server.answers[self.server.requests % len(self.server.answers)]
        self.server.requests += 1
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(200 if self.path == "/stats" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def finish(self) -> None:
        super().finish()
        self.connection.settimeout(5)
        self.server.ends += self.connection.recv(1) == b""  # a reset would raise


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[Variant] = []

    def serve(*answers: Any) -> Variant:
        variant = Variant(list(answers))
        made.append(variant)
        threading.Thread(target=variant.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return variant

    yield serve
    for variant in made:
        variant.shutdown()
        variant.server_close()


def ask(runtime: Runtime, at: Address, instances: int = 1) -> None:
    assert runtime.begin(now=True)
    runtime.ask(at, instances)


@root
def test_what_the_runtime_says_is_told_and_the_connection_ends_without_a_reset(make: Any) -> None:
    """One connection, one request, an orderly end; names are those of the declarations."""
    variant, runtime = make(GO), Runtime(HERE)
    ask(runtime, variant.address)

    assert {"runtime_goroutines": 12, "runtime_sched_latency_p99_s": 0.01} == {
        name: value for name, value in runtime.told().items() if "gc" not in name
    }
    deadline = threading.Event()
    for _ in range(100):
        if variant.ends:
            break
        deadline.wait(0.05)
    assert (1, 1) == (variant.requests, variant.ends)


@root
def test_processes_behind_one_port_are_added_up_once_all_were_met(make: Any) -> None:
    """Counts are the sum, delays those of the slowest."""
    variant, runtime = make({**GO, "instance": 0}, {**GO, "instance": 1, "sched_latency_p99_s": 0.2}), Runtime(HERE)
    ask(runtime, variant.address, instances=2)

    assert (24, 1.0, 0.2) == tuple(
        runtime.told()[f"runtime_{key}"] for key in ("goroutines", "gc_pause_s", "sched_latency_p99_s")
    )


@root
def test_a_process_that_is_never_met_leaves_no_number(make: Any) -> None:
    """Half of a server's goroutines would look like all of them."""
    variant, runtime = make(GO), Runtime(HERE)
    assert runtime.begin(now=True)

    with pytest.raises(Unavailable, match="of 2 processes 1 were met in 20 tries"):
        runtime.ask(variant.address, 2)
    with pytest.raises(Absent, match="not answered"):
        runtime.told()
    assert runtime.begin(now=True)
    with pytest.raises(Unavailable, match="17 processes share the port"):
        runtime.ask(variant.address, MOST_INSTANCES + 1)


@root
@pytest.mark.parametrize("answer", [b"not JSON", b"[]", b""])
def test_an_answer_that_is_no_object_is_a_failure(make: Any, answer: bytes) -> None:
    """The failure says what came; it never becomes a zero."""
    runtime = Runtime(HERE)
    assert runtime.begin(now=True)

    with pytest.raises(Malformed, match="/stats: expected 200 with a JSON object"):
        runtime.ask(make(answer).address, 1)


@root
def test_who_has_no_runtime_is_asked_once(make: Any) -> None:
    """A server in C answers with counts alone; asking again would only be load."""
    variant, runtime = make({"variant": "c-epoll", "instance": None, "accepted": 1}), Runtime(HERE)
    ask(runtime, variant.address)

    assert not runtime.begin(now=True)
    with pytest.raises(Absent, match="nothing of a runtime"):
        runtime.told()


def test_an_answer_is_told_only_while_it_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was true ten seconds ago is not what is."""
    runtime = Runtime(HERE)
    runtime._told = {"runtime_goroutines": 1.0}
    monkeypatch.setattr("orchestrator.observe.exporter.runtime.time", SimpleNamespace(monotonic=lambda: 1000.0))
    runtime._told_s = 1000.0 - SHOWN_S
    assert {"runtime_goroutines": 1.0} == runtime.told()
    runtime._told_s -= 0.1

    with pytest.raises(Absent):
        runtime.told()


def test_nobody_is_asked_twice_at_a_time_nor_too_often() -> None:
    """A slow answer does not pile up questions; a story's word comes before the interval."""
    runtime = Runtime(HERE)
    assert runtime.begin(now=False)
    assert not runtime.begin(now=True)
    runtime._is_asking = False

    assert not runtime.begin(now=False)
    assert runtime.begin(now=True)


def test_what_one_process_could_not_count_is_nobodys_number() -> None:
    """null is no number, and true is none either."""
    assert {"runtime_goroutines": 3.0} == merge([
        {"goroutines": 1, "loop_lag_s": None, "heap_bytes": True}, {"goroutines": 2, "loop_lag_s": 0.1, "heap_bytes": 5}
    ])  # fmt: skip
    assert {} == merge([])
    assert set(RUNTIME_NAMES) >= set(merge([GO]))


@root
def test_a_failing_stats_is_counted_and_a_paused_server_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: an error of the source `stats`. Frozen: no question at all, since it would wait in the queue."""
    sampler = Sampler(Path("/sys/fs/cgroup"))
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    labels = {"run_id": "r", "scenario": "s", "variant": "v"}
    target = Target("x", labels, (Container("", os.getpid()),), False, Address("127.0.0.1", port), "told")
    sampler.register(target)
    monkeypatch.setattr(cgroup, "is_frozen", lambda _: True)
    assert not sampler.ask_stats("x")
    monkeypatch.setattr(cgroup, "is_frozen", lambda _: False)

    assert sampler.ask_stats("x")
    sampler._askers.shutdown(wait=True)
    assert 1 == sampler.ledger.totals()[1]["stats"]
    sampler.forget("x")


@root
def test_a_paused_target_is_not_sampled_and_keeps_what_it_showed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An arena that stands still while a trial is scored costs its freezer's file, and no series of it ends."""
    sampler = Sampler(Path("/sys/fs/cgroup"))
    labels = {"run_id": "r", "scenario": "s", "variant": "v"}
    sampler.register(Target("x", labels, (Container("", os.getpid()),)))
    monkeypatch.setattr(cgroup, "is_frozen", lambda _: True)
    before = sampler.latest()
    assert [] == sampler._sample_all()
    assert before == sampler.latest()

    monkeypatch.setattr(cgroup, "is_frozen", lambda _: False)
    assert ["x"] == [watched.target.name for watched in sampler._sample_all()]
    assert before[0][1].at_s < sampler.latest()[0][1].at_s
