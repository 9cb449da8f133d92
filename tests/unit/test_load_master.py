"""The master's routes as docs/architecture.md gives them, spoken to over a real socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

from orchestrator.errors import NotReady
from orchestrator.load.master import Master, Ramp, Row, SwarmState, Window
from orchestrator.model import Step
from tests.serving import serving

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
    with serving(made.server):
        yield made


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
    workers = {
        w: {
            "closed": is_closed,
            "cpu_ratio": 0.97 if is_closed else None,
            "engine_cpu_ratio": 0.91 if is_closed else None,
            "memory_bytes": 40_000_000 if is_closed else None,
        }
        for w, is_closed in closed.items()
    }
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
        SwarmState(
            123.4,
            "running",
            70,
            {"w0": "running", "w1": "missing"},
            established=50,
            answered=7,
            failed=4,
            worker_cpu_ratio={"w0": 0.1, "w1": 0.1},
        )
        == fake.told("GET /lab/state", seen).state()
    )


def test_a_state_has_when_connections_opened_and_what_workers_weigh(fake: FakeMaster) -> None:
    """Null where nothing was opened yet; a worker that did not say is left out, not 0."""
    told = state({"w0": "running", "w1": "running"})
    told["workers"][0] |= {"memory_bytes": 52_000_000, "cpu_ratio": None, "engine_cpu_ratio": 0.3}
    told["connections"] |= {"waiting": 3, "planned": 9, "sent": 8, "first_connect_s": 12.5, "last_established_s": None}
    seen = fake.told("GET /lab/state", told).state()

    assert (3, 9, 8, 12.5, None) == (
        seen.waiting, seen.planned, seen.sent, seen.first_connect_s, seen.last_established_s,
    )  # fmt: skip
    assert {"w0": 52_000_000} == seen.memory_bytes
    assert ({"w1": 0.1}, {"w0": 0.3}) == (seen.worker_cpu_ratio, seen.engine_cpu_ratio)


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
            {"w0": 0.91},
            {"w0": 40_000_000},
        )
        == seen
    )


def test_the_row_of_an_open_window_has_its_arrivals_and_their_lag(fake: FakeMaster) -> None:
    """What was planned, what became of it, and how late it left."""
    arrivals: dict[str, Any] = {"planned": 1010, "sent": 1005, "late": 7, "dropped": 5, "unanswered": 3}
    arrivals["lag_us"] = {"12": 998, "4000": 7}
    (row,) = fake.told("GET /lab/window/x", window([ROW | arrivals], w0=True)).read_window("x").rows

    assert (1010, 1005, 7, 5, 3) == (row.planned, row.sent, row.late, row.dropped, row.unanswered)
    assert {12: 998, 4000: 7} == row.lag_us


def test_a_ramp_is_read_step_for_step(fake: FakeMaster) -> None:
    """The steps as the model has them, what held last and what bound."""
    steps = [
        {"offered": 50.0, "answered_per_s": 900.5, "p50_s": 0.001, "p99_s": 0.002, "errors_ratio": 0.0,
         "established": 50, "generator_cpu_ratio": 0.2, "binds": ""},
        {"offered": 75.0, "answered_per_s": 10.0, "p50_s": None, "p99_s": None, "errors_ratio": 1.0,
         "established": 0, "generator_cpu_ratio": 0.1, "binds": "errors"},
    ]  # fmt: skip
    told = {"running": False, "steps": steps, "breaking_point": 50.0, "bound_by": "errors"}

    assert (
        Ramp(
            False,
            (
                Step(50.0, 900.5, 0.001, 0.002, 0.0, 50, 0.2, ""),
                Step(75.0, 10.0, None, None, 1.0, 0, 0.1, "errors"),
            ),
            50.0,
            "errors",
        )
        == fake.told("GET /lab/ramp", told).read_ramp()
    )


def test_a_step_that_is_not_whole_is_named(fake: FakeMaster) -> None:
    """An image of another version shows as one line, not as a traceback."""
    told = {"running": True, "steps": [{"offered": 50.0}], "breaking_point": None, "bound_by": ""}
    with pytest.raises(NotReady, match=r"a step of a ramp that is not whole: .*answered_per_s"):
        fake.told("GET /lab/ramp", told).read_ramp()


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


def test_engine_users_are_started_with_their_workers_shares(fake: FakeMaster) -> None:
    """Two users for two workers, each with as many of the scenario's connections as its worker should drive."""
    fake.told("POST /swarm", {"success": True, "message": "Swarming started"})
    fake.master.start(2, 2.0, "plain", ["c-epoll"], connections_per_user=0)

    form = {
        "user_count": ["2"], "spawn_rate": ["2.0"], "scenario": ["plain"], "variants": ["c-epoll"],
        "connections_per_user": ["0"],
    }  # fmt: skip
    assert [("POST /swarm", form)] == [(route, parse_qs(body)) for route, body in fake.asked]


def test_a_refused_start_has_locusts_own_words(fake: FakeMaster) -> None:
    """Locust answers 200 all the same."""
    master = fake.told("POST /swarm", {"success": False, "message": "No workers are connected"})
    with pytest.raises(NotReady) as caught:
        master.start(50, 50, "plain", ["c-epoll"])

    assert "swarm: Locust refused to start: No workers are connected. Try: lab status" == str(caught.value)


def test_complaints_are_locusts_errors_the_most_frequent_first(fake: FakeMaster) -> None:
    """Locust counts them whether a window is open or not."""
    errors = [{"error": "status 302", "occurrences": 2}, {"error": "target refused: x", "occurrences": 9}]

    assert ["target refused: x", "status 302"] == fake.told("GET /stats/requests", {"errors": errors}).complaints()


def test_a_refused_connection_is_one_line(silent: Master) -> None:
    """Which request, which address, what happened, and where to look; not the HTTP library's own three lines."""
    with pytest.raises(NotReady) as caught:
        silent.state()

    assert (
        f"Locust's master does not answer GET {silent.url}/lab/state: ConnectionError. "
        "Try: lab status, then docker logs of its master container"
    ) == str(caught.value)


def test_a_master_that_is_late_is_asked_again_where_that_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two late answers to a question are borne; an order that may have been carried out is not given twice."""
    asked: list[str] = []

    def late(method: str, url: str, **_: Any) -> requests.Response:
        asked.append(method)
        if asked.count("GET") < 3:
            raise requests.ReadTimeout
        answer = requests.Response()
        answer.status_code, answer._content = 200, json.dumps(state({})).encode()
        return answer

    master = Master("http://127.0.0.1:1")
    monkeypatch.setattr(master._session, "request", late)

    assert 123.4 == master.state().monotonic_s
    with pytest.raises(NotReady, match="ReadTimeout"):
        asked.clear()
        master.stop()
    assert ["POST"] == asked


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


@pytest.mark.parametrize("said", [b"<!doctype html><title>Vite</title>", b"[]", b'{"ok": true}', b'{"connections": 3}'])
def test_another_program_on_the_masters_port_is_one_line(fake: FakeMaster, said: bytes) -> None:
    """It answers 200 to whatever it is asked: what it says, and what to do."""
    fake.answers["GET /lab/state"] = [(200, said)]
    with pytest.raises(NotReady) as caught:
        fake.master.state()

    assert "/lab/state: expected the lab's own master, seen another program that says " in str(caught.value)
    assert str(caught.value).endswith("choose another web_port under observability in lab.yaml")
