"""The master's routes as docs/architecture.md gives them, spoken to over a real socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from orchestrator.errors import NotReady
from orchestrator.load.master import Master, Row, SwarmState, Window

Answer = tuple[int, object]  # status, and the body as JSON or as bytes

ROW = {
    "variant": "c-epoll",
    "name": "/plain",
    "answered": 1000,
    "histogram_us": {"312": 996, "4000": 4},
    "errors": {"ECONNRESET in receive": 2},
    "connections_opened": 50,
}


class FakeMaster:
    """Answers each route with the next of its answers, the last for ever, and notes what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str]] = []  # "METHOD path", body
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                route = f"{self.command} {self.path}"
                outer.asked.append((route, self.rfile.read(length).decode()))
                waiting = outer.answers.get(route, [(404, {"no route": route})])
                status, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.master = Master(f"http://127.0.0.1:{self.server.server_address[1]}")

    def told(self, route: str, *bodies: object) -> Master:
        """Answer a route with these bodies, one after the other; return the master to ask."""
        self.answers[route] = [(200, body) for body in bodies]
        return self.master


@pytest.fixture
def fake() -> Iterator[FakeMaster]:
    """A master's routes on a free port."""
    made = FakeMaster()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def silent() -> Master:
    """A master at a port that was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Master(f"http://127.0.0.1:{free.getsockname()[1]}")


def state(workers: Mapping[str, str], at: str = "ready", **changes: Any) -> dict[str, Any]:
    """Return the answer of /lab/state with these workers."""
    return {
        "monotonic_s": 123.4,
        "state": at,
        "user_count": 0,
        "workers": [{"id": w, "state": s, "users": 0, "cpu_ratio": 0.1} for w, s in workers.items()],
        "connections": {"connecting": 0, "established": 0, "answered": 0, "failed": 0},
        **changes,
    }


def window(rows: list[dict[str, Any]] | None = None, **closed: bool) -> dict[str, Any]:
    """Return the answer of /lab/window/x with these workers' parts."""
    workers = {w: {"closed": is_closed, "cpu_ratio": 0.97 if is_closed else None} for w, is_closed in closed.items()}
    return {"window_id": "x", "closed": all(closed.values()), "workers": workers, "rows": rows or []}


def test_a_state_is_read_value_for_value(fake: FakeMaster) -> None:
    """Connections being opened are nobody's yet, so they are not kept."""
    seen = state(
        {"w0": "running", "w1": "missing"},
        "running",
        user_count=70,
        connections={"connecting": 9, "established": 50, "answered": 7, "failed": 4},
    )

    assert (
        SwarmState(123.4, "running", 70, {"w0": "running", "w1": "missing"}, established=50, answered=7, failed=4)
        == fake.told("GET /lab/state", seen).state()
    )


def test_workers_are_ready_once_all_others_are_gone_and_the_master_rests(fake: FakeMaster) -> None:
    """A stranger, one that is not ready, one too few and a swarm still running are each waited out."""
    states = [
        state({"t1-0": "ready", "t1-1": "ready", "t0-0": "ready"}),
        state({"t1-0": "ready", "t1-1": "spawning"}),
        state({"t1-0": "ready"}),
        state({"t1-0": "ready", "t1-1": "ready", "t1-2": "ready"}),
        state({"t1-0": "ready", "t1-1": "ready"}, "stopping"),
        state({"t1-0": "ready", "t1-1": "ready"}, "stopped", monotonic_s=125.0),
    ]
    seen = fake.told("GET /lab/state", *states).wait_workers("t1-", 2, 10.0)

    assert (125.0, {"t1-0": "ready", "t1-1": "ready"}, 6) == (seen.monotonic_s, seen.workers, len(fake.asked))


def test_a_missing_stranger_does_not_keep_workers_from_being_ready(fake: FakeMaster) -> None:
    """Locust remembers a worker that died without a goodbye."""
    seen = fake.told("GET /lab/state", state({"t1-0": "ready", "t0-0": "missing"})).wait_workers("t1-", 1, 0.0)

    assert "ready" == seen.state


def test_workers_that_do_not_come_are_named_with_what_was_seen(fake: FakeMaster) -> None:
    """Who was expected, who is there, in which state the master is, and where to look."""
    master = fake.told("GET /lab/state", state({"t1-0": "ready", "t0-0": "running"}, "running"))
    with pytest.raises(NotReady) as caught:
        master.wait_workers("t1-", 2, 0.0)

    assert (
        "swarm: expected 2 ready workers t1-* at a master at rest, seen {'t1-0': 'ready', 't0-0': 'running'} and "
        "running after 0 s. Try: docker logs of the worker containers (lab status names them)"
    ) == str(caught.value)


def test_a_window_is_read_value_for_value(fake: FakeMaster) -> None:
    """Latencies become numbers again."""
    seen = fake.told("GET /lab/window/x", window([ROW], w0=True)).read_window("x")

    assert (
        Window(
            {"w0": True},
            {"w0": 0.97},
            (Row("c-epoll", "/plain", 1000, {312: 996, 4000: 4}, {"ECONNRESET in receive": 2}, 50),),
        )
        == seen
    )


def test_an_unclosed_workers_cpu_is_left_out(fake: FakeMaster) -> None:
    """It has handed nothing in; it is not 0."""
    seen = fake.told("GET /lab/window/x", window(w0=True, w1=False)).read_window("x")

    assert ({"w0": True, "w1": False}, {"w0": 0.97}) == (seen.workers_closed, seen.worker_cpu_ratio)


def test_a_window_is_complete_when_all_workers_closed(fake: FakeMaster) -> None:
    """One that has not shown up yet is waited for like one that is not done."""
    windows = [window(), window(w0=True), window(w0=True, w1=False), window([ROW], w0=True, w1=True)]
    seen = fake.told("GET /lab/window/x", *windows).wait_window("x", 2, 10.0)

    assert ({"w0": True, "w1": True}, 1000, 4) == (seen.workers_closed, seen.rows[0].answered, len(fake.asked))


def test_a_window_past_its_deadline_is_what_is_there(fake: FakeMaster) -> None:
    """The trial judges it; an incomplete one is no error here."""
    seen = fake.told("GET /lab/window/x", window([ROW], w0=True, w1=False)).wait_window("x", 2, 0.0)

    assert ({"w0": True, "w1": False}, 1) == (seen.workers_closed, len(seen.rows))


def test_orders_are_sent_as_documented(fake: FakeMaster) -> None:
    """Labels, window and forgotten workers as JSON, in the order given."""
    for route in ("labels", "window", "forget"):
        fake.told(f"POST /lab/{route}", {"ok": True})
    fake.master.label("r", "s")
    fake.master.open_window("x", 130.0, 136.0)
    fake.master.forget(["w0", "w1"])

    assert [
        ("POST /lab/labels", {"run_id": "r", "scenario": "s"}),
        ("POST /lab/window", {"window_id": "x", "start_s": 130.0, "end_s": 136.0}),
        ("POST /lab/forget", {"workers": ["w0", "w1"]}),
    ] == [(route, json.loads(body)) for route, body in fake.asked]


def test_a_start_fills_in_locusts_form(fake: FakeMaster) -> None:
    """Several variants are several fields of one name, as a browser sends them; the stop is a form without fields."""
    fake.told("POST /swarm", {"success": True, "message": "Swarming started"})
    fake.told("POST /stop", {"success": True})
    fake.master.start(50, 25.0, "plain", ["c-epoll", "seed-go"])
    fake.master.stop()

    form = {"user_count": ["50"], "spawn_rate": ["25.0"], "scenario": ["plain"], "variants": ["c-epoll", "seed-go"]}
    assert [("POST /swarm", form), ("POST /stop", {})] == [(route, parse_qs(body)) for route, body in fake.asked]


def test_a_refused_start_has_locusts_own_words(fake: FakeMaster) -> None:
    """Locust answers 200 all the same."""
    master = fake.told("POST /swarm", {"success": False, "message": "No workers are connected"})
    with pytest.raises(NotReady) as caught:
        master.start(50, 50, "plain", ["c-epoll"])

    assert "swarm: Locust refused to start: No workers are connected. Try: lab status" == str(caught.value)


def test_a_refused_connection_is_one_line(silent: Master) -> None:
    """Which request, which address, what happened, and where to look; not the HTTP library's own three lines."""
    with pytest.raises(NotReady) as caught:
        silent.state()

    assert (
        f"Locust's master does not answer GET {silent.url}/lab/state: ConnectionError. "
        "Try: lab status, then docker logs of its master container"
    ) == str(caught.value)


def test_an_error_status_is_one_line_with_the_beginning_of_the_body(fake: FakeMaster) -> None:
    """200 characters at most, on one line."""
    fake.answers["GET /lab/state"] = [(500, b"<h1>\n" + b"x" * 500)]
    with pytest.raises(NotReady) as caught:
        fake.master.state()

    shown = "'<h1>\\n" + "x" * 195 + "'"
    assert f"GET {fake.master.url}/lab/state: expected 200, seen 500: {shown}" == str(caught.value)


def test_a_master_that_starts_is_waited_for(fake: FakeMaster) -> None:
    """It listens before its routes answer."""
    fake.answers["GET /lab/state"] = [(404, b"not yet"), (502, b"not yet"), (200, state({}))]
    fake.master.wait_ready(10.0)

    assert 3 == len(fake.asked)


def test_a_master_that_never_answers_is_not_ready(silent: Master) -> None:
    """The deadline's last failure is what is told."""
    with pytest.raises(NotReady, match=r"^Locust's master does not answer GET http://127\.0\.0\.1:"):
        silent.wait_ready(0.0)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_for_the_outside_world_is_not_asked(
    fake: FakeMaster, silent: Master, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The environment names one that is dead; the master answers all the same."""
    for exempt in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(exempt, raising=False)
    monkeypatch.setenv(name, silent.url)

    assert 123.4 == fake.told("GET /lab/state", state({})).state().monotonic_s
