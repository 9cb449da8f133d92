"""What the worker refuses to load, and a person's own locustfile in it: real processes."""

from __future__ import annotations

import http.server
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engine.processes.lab import HOST, Lab, row_of, wait_for

CLOSED = {
    "py": {"kind": "closed", "users": "locust"},
    "engine": {"kind": "closed", "users": "engine", "connections": 4},
}


@contextmanager
def serve(answer: dict[str, Any]) -> Iterator[tuple[int, list[str]]]:
    """Serve in a thread: path -> (status, headers, body), anything else: the right answer. Gives port and paths."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            status, headers, body = answer.get(self.path, (200, {}, b"Hello, world!"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1]), asked
        server.shutdown()


@pytest.mark.parametrize(
    ("healthz", "why"),
    [
        ((200, {}, b"ok"), "expected this run's Lab-Nonce, saw none"),
        ((200, {"Lab-Nonce": "0" * 32}, b"ok"), "expected this run's Lab-Nonce, saw another"),
        ((302, {"Location": "/plain", "Lab-Nonce": "5eed" * 8}, b""), "expected status 200, saw 302"),
        ((503, {"Lab-Nonce": "5eed" * 8}, b"ok"), "expected status 200, saw 503"),
    ],
    ids=["none", "another", "redirect", "503"],
)
@pytest.mark.parametrize("scenario", ["py", "engine"])
def test_a_server_without_the_nonce_gets_no_load(make_swarm: Any, scenario: str, healthz: Any, why: str) -> None:
    """One look at /healthz, one error that says why, and not a single request."""
    with serve({"/healthz": healthz}) as (port, asked):
        lab: Lab = make_swarm(None, CLOSED, port=port)
        lab.start_swarm(1)
        lab.open_window("w", 0.0, 600.0)
        lab.start(scenario, 3, 2)
        wait_for("the refusal is counted", lambda: lab.connections()["failed"])
        lab.stop(1)
        row = row_of(lab.wait_window("w"))

    assert ["/healthz"] == asked
    ((kind, count),) = row["errors"].items()
    assert 1 == count
    assert kind.startswith("target refused: v at ")
    assert why in kind
    assert [kind] == [entry["error"] for entry in lab.get("/stats/requests")["errors"]]


def test_a_port_where_nobody_listens_gets_no_load(make_swarm: Any) -> None:
    """It is refused before anything connects, nonce or not."""
    lab: Lab = make_swarm(None, CLOSED, nonce=None)
    lab.start_swarm(1)
    lab.start("engine", 1, 4)
    wait_for("the refusal is counted", lambda: lab.connections()["failed"])
    (entry,) = wait_for("the page shows it", lambda: lab.get("/stats/requests")["errors"])

    assert "nothing listens there" in entry["error"]


def test_an_address_outside_loopback_gets_no_load(make_swarm: Any) -> None:
    """Whatever LAB_SWARM says; 192.0.2.0/24 is nobody's (RFC 5737)."""
    lab: Lab = make_swarm(None, CLOSED, host="192.0.2.1", port=80, nonce=None)
    lab.start_swarm(1)
    lab.start("py", 1)
    (entry,) = wait_for("the page shows it", lambda: lab.get("/stats/requests")["errors"])

    assert "target refused: v at 192.0.2.1:80: expected an address in 127.0.0.0/8" in entry["error"]


def test_the_form_refuses_what_it_cannot_do(make_swarm: Any, c_epoll: Path) -> None:
    """A foreign host, a name nobody knows, a number that is none: one line each, and nothing starts."""
    lab: Lab = make_swarm(c_epoll, CLOSED | {"slow": {"kind": "open", "users": "locust", "rate_per_s": 5}})
    lab.start_swarm(1)
    refused = {
        "host": lab.start("py", 1, host="http://example.com"),
        "scenario": lab.start("nope", 1),
        "variants": lab.start("py", 1, variants="evil"),
        "number": lab.start("py", 1, connections_per_user="many"),
        "kind": lab.start("slow", 1),
    }

    assert {False} == {answer["success"] for answer in refused.values()}
    assert "target refused: 'http://example.com'" in refused["host"]["message"]
    assert "'nope' is unknown" in refused["scenario"]["message"]
    assert "'evil' is unknown" in refused["variants"]["message"]
    assert "connections per user" in refused["number"]["message"]
    assert "write users: engine" in refused["kind"]["message"]
    assert ("ready", 0) == (lab.state()["state"], lab.state()["user_count"])


OWN = '''
"""A person's locustfile."""
import socket
from locust import FastHttpUser, HttpUser, User, constant, events, task
from swarm import EngineUser

MARK = []

@events.test_start.add_listener
def remember(environment, **_):
    MARK.append("started")

class Requests(HttpUser):
    host = "http://example.com"  # the lab's target counts, not this
    wait_time = constant(0.05)

    @task
    def ask(self):
        self.client.get("/plain", name="mine")
        assert MARK == ["started"]

    @task
    def stray(self):
        self.client.get("http://127.0.0.1:{foreign}/plain", name="foreign")
        self.client.get("http://localhost:{port}/plain", name="by name")
        self.client.get("/nowhere", name="404")

class Fast(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def ask(self):
        self.client.get("/plain", name="fast")
        self.client.get("http://127.0.0.1:{foreign}/plain", name="fast foreign")

class Sockets(User):
    wait_time = constant(0.05)

    @task
    def stray(self):
        try:
            socket.create_connection(("127.0.0.1", {foreign}))
        except PermissionError as error:
            self.environment.events.request.fire(request_type="TCP", name="socket", response_time=0, response_length=0,
                                                 exception=error, context={{}})

class Crowd(EngineUser):
    connections = 7
'''


def test_a_persons_locustfile_loads_the_target_and_nothing_else(make_swarm: Any, c_epoll: Path, tmp_path: Path) -> None:
    """HttpUser, FastHttpUser, EngineUser and bare sockets: what goes to the target is answered, the rest is refused."""
    with serve({}) as (foreign, asked):
        lab: Lab = make_swarm(c_epoll, {"own": {"kind": "closed", "users": "locust"}}, once=True)
        own = tmp_path / "mine" / "locustfile.py"
        own.parent.mkdir()
        own.write_text(OWN.format(foreign=foreign, port=lab.port))
        lab.start_swarm(1, LAB_LOCUSTFILE=str(own))
        lab.open_window("w", 0.0, 600.0)
        assert lab.start("own", 8)["success"]

        def counted() -> dict[str, Any] | None:
            rows = {r["name"]: r for r in lab.get("/stats/requests")["stats"] if r["num_requests"] > 2}
            return (
                rows if {"mine", "fast", "socket", "by name", "fast foreign", "404", "v /plain"} <= set(rows) else None
            )

        stats = wait_for("each kind has asked", counted)
        page = {entry["name"]: entry["error"] for entry in lab.get("/stats/requests")["errors"]}
        # two users of four classes each, two of them Crowds of seven connections
        wait_for("both crowds are connected", lambda: lab.connections()["established"] == 14)
        lab.stop(1)
        rows = {row["name"]: row for row in lab.wait_window("w")["rows"]}

    assert [] == asked
    assert (0, 0, 0) == (
        stats["mine"]["num_failures"],
        stats["fast"]["num_failures"],
        stats["v /plain"]["num_failures"],
    )
    assert rows["mine"]["answered"] > 2
    assert rows["fast"]["answered"] > 2
    assert rows["/plain"]["answered"] > 2
    for name in ("foreign", "fast foreign", "socket", "by name"):
        assert 0 == rows[name]["answered"], name
        assert ["target refused: "] == sorted({kind[:16] for kind in rows[name]["errors"]}), rows[name]["errors"]
    assert ["status 404"] == list(rows["404"]["errors"])
    for name in ("foreign", "fast foreign", "socket", "by name"):
        assert page[name].startswith("TargetRefused('target refused: "), page[name]


AWAY = """
from locust import HttpUser, constant, task

class Away(HttpUser):
    wait_time = constant(0.1)

    @task
    def ask(self):
        self.client.get("/away")
"""


def test_a_redirect_to_a_foreign_host_is_refused(make_swarm: Any, tmp_path: Path) -> None:
    """A person's HttpUser follows redirects; where they lead is looked at like everything else."""
    with serve({}) as (foreign, asked):
        away = (302, {"Location": f"http://{HOST}:{foreign}/plain"}, b"")
        with serve({"/healthz": (200, {"Lab-Nonce": "5eed" * 8}, b"ok"), "/away": away}) as (port, _):
            own = tmp_path / "redirected.py"
            own.write_text(AWAY)
            lab: Lab = make_swarm(None, {"own": {"kind": "closed", "users": "locust"}}, port=port)
            lab.start_swarm(1, LAB_LOCUSTFILE=str(own))
            lab.open_window("w", 0.0, 600.0)
            lab.start("own", 1)
            wait_for("the refusal is counted", lambda: lab.connections()["failed"] > 2)
            lab.stop(1)
            row = row_of(lab.wait_window("w"))

    assert [] == asked
    (kind,) = row["errors"]
    assert kind.startswith(f"target refused: {HOST}:{foreign} is no checked target of this lab: v {HOST}:{port}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "import nothing_of_that_name\n",
            "locustfile.py:1: ModuleNotFoundError: No module named 'nothing_of_that_name'",
        ),
        ("x = 1\n\ndef f(:\n", "locustfile.py:3: SyntaxError"),
        ("x = 1\n", "expected a class derived from locust.User, found none"),
        ("from swarm import EngineUser\nclass A(EngineUser):\n    kind = 'open'\n", "A.rate_per_s: an open scenario"),
        (
            "import socket\nsocket.create_connection(('127.0.0.1', 1))\n",
            "locustfile.py:2: TargetRefused: target refused",
        ),
    ],
    ids=["import", "syntax", "no user", "engine user", "connects"],
)
def test_a_wrong_locustfile_ends_the_worker_with_one_line(make_swarm: Any, tmp_path: Path, text: str, why: str) -> None:
    """Exit code 2, no traceback."""
    own = tmp_path / "locustfile.py"
    own.write_text(text)
    lab: Lab = make_swarm(None, {"own": {"kind": "closed", "users": "locust"}}, nonce=None)
    lab.start_worker(0, 1, LAB_LOCUSTFILE=str(own))

    assert 2 == lab.processes["w0"].wait(timeout=30)
    (line,) = lab.log("w0").splitlines()
    assert line.startswith("swarm: LAB_LOCUSTFILE ")
    assert why in line


def test_bad_settings_end_the_process_with_one_line(make_swarm: Any) -> None:
    """LAB_SWARM and LAB_WORKER_SHARE."""
    lab: Lab = make_swarm(None, {"x": {"kind": "burst"}}, nonce=None)
    lab.start_worker(0, 1)
    other: Lab = make_swarm(None, CLOSED, nonce=None)
    other.start_worker(1, 1, LAB_WORKER_SHARE="3/2")

    assert (2, 2) == (lab.processes["w0"].wait(timeout=30), other.processes["w1"].wait(timeout=30))
    assert "swarm: LAB_SWARM scenarios.x.kind: expected one of" in lab.log("w0")
    assert "swarm: LAB_WORKER_SHARE: expected n/W" in other.log("w1")
    with pytest.raises(urllib.error.URLError):
        lab.post("/stop")
