"""The master's routes on a real socket, with answers from a list."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestrator.load.master import Master
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
