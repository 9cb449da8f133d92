"""Every process behind one port is asked, whatever the kernel's hash does, and let go of whom it holds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from swarm.ask import ask_all


class Crowd(ThreadingHTTPServer):
    """One port that answers as another process for each connection, in the given order, then over again."""

    daemon_threads = True

    def __init__(self, order: list[int], held: dict[int, int]) -> None:
        self.order, self.held, self.connections = deque(order), held, 0
        super().__init__(("127.0.0.1", 0), Process)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Process(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Crowd

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self.instance = self.server.order[0]
        self.server.order.rotate(-1)

    def do_GET(self) -> None:
        held = self.server.held[self.instance]
        self.tell({"instance": self.instance, "active": held + 1, "held": held})

    def do_POST(self) -> None:
        released, self.server.held[self.instance] = self.server.held[self.instance], 0
        self.tell({"released": released})

    def tell(self, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """A test's output is its own."""


@pytest.fixture
def crowd() -> Iterator[Any]:
    made: list[Crowd] = []

    def make(order: list[int], held: dict[int, int]) -> Crowd:
        server = Crowd(order, held)
        made.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    yield make
    for server in made:
        server.shutdown()
        server.server_close()


def test_connections_are_made_until_every_process_was_met(crowd: Any) -> None:
    """The third process comes up at the sixth connection only."""
    server = crowd([0, 1, 0, 0, 1, 2], {0: 5, 1: 7, 2: 9})
    seen = ask_all("127.0.0.1", server.port, 3, release=False)

    assert ([], {0: 6, 1: 8, 2: 10}) == (seen["missing"], {n: told["active"] for n, told in seen["instances"].items()})
    assert 6 == server.connections


def test_everybody_is_released_once(crowd: Any) -> None:
    """The sum of what each process let go; nobody is left waiting."""
    server = crowd([1, 1, 0], {0: 5, 1: 7})
    seen = ask_all("127.0.0.1", server.port, 2, release=True)

    assert (12, [], {0: 0, 1: 0}) == (seen["released"], seen["missing"], server.held)


def test_a_process_that_is_never_met_is_missing(crowd: Any) -> None:
    """40 connections for each process are tried, not more."""
    server = crowd([0], {0: 1})
    seen = ask_all("127.0.0.1", server.port, 2, release=False)

    assert ([1], 80) == (seen["missing"], server.connections)


def test_nobody_there_is_told_and_not_hung_on() -> None:
    """The command prints one JSON object with the reason and ends with 1."""
    told = json.dumps({"host": "127.0.0.1", "port": 1, "instances": 1})
    done = subprocess.run(
        [sys.executable, "-m", "swarm.ask", told], capture_output=True, text=True, timeout=30, check=False
    )
    seen = json.loads(done.stdout)

    assert (1, [0]) == (done.returncode, seen["missing"])
    assert seen["error"].startswith("ConnectionRefusedError")
