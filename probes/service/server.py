"""Answer over HTTP: what to count for, what was counted, and /metrics.

The port is for the lab's own control network and the container itself, so there is no authentication; what a caller can
do is name processes to be counted. Answers are JSON but for /metrics; an error is one line, {"error": "..."}.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .errors import BadTarget, NotCounting, UnknownTarget
from .ladder import Ladder, Watched
from .metrics import CONTENT_TYPE, render
from .target import parse_name, parse_target

LONGEST_BODY = 65536
_IDLE_S = 30.0


class Server(ThreadingHTTPServer):
    """The HTTP server around one ladder."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], ladder: Ladder) -> None:
        super().__init__(address, Handler)
        self.ladder = ladder


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "netpoll-lab-probes"
    sys_version = ""
    timeout = _IDLE_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Serve /metrics, /healthz, /counts/NAME."""
        self._answer("GET")

    def do_PUT(self) -> None:
        """Serve PUT /targets/NAME."""
        self._answer("PUT")

    def do_POST(self) -> None:
        """Serve POST /finish/NAME."""
        self._answer("POST")

    def do_DELETE(self) -> None:
        """Serve DELETE /targets/NAME."""
        self._answer("DELETE")

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: a scrape a second would fill the log."""

    def _answer(self, method: str) -> None:
        try:
            self._route(method, self._body())
        except BadTarget as wrong:
            self._send(HTTPStatus.BAD_REQUEST, {"error": str(wrong)})
        except UnknownTarget as unknown:
            self._send(HTTPStatus.NOT_FOUND, {"error": f"no target {unknown.args[0]!r} is known"})
        except NotCounting as why:
            self._send(HTTPStatus.CONFLICT, {"error": str(why)})
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True  # the caller went away

    def _route(self, method: str, body: bytes) -> None:
        ladder = self.server.ladder
        room, _, name = self.path.partition("?")[0].strip("/").partition("/")
        match method, room:
            case "GET", "metrics" if not name:
                self._send(HTTPStatus.OK, render(ladder), CONTENT_TYPE)
            case "GET", "healthz" if not name:
                rung, refused = ladder.host or (None, {})
                self._send(HTTPStatus.OK, {"ok": True, "rung": rung, "refused": dict(refused)})
            case "GET", "counts":
                watched, counts = ladder.read_now(parse_name(name))
                self._send(HTTPStatus.OK, {**_told(watched), "counts": counts})
            case "PUT", "targets":
                self._send(HTTPStatus.OK, _told(ladder.count_for(parse_target(parse_name(name), body))))
            case "POST", "finish":
                watched, marks = ladder.finish(parse_name(name))
                self._send(HTTPStatus.OK, {**_told(watched), "marks": marks, "counts": watched.counts})
            case "DELETE", "targets":
                ladder.forget(parse_name(name))
                self._send(HTTPStatus.OK, {"ok": True})
            case _:
                offered = "GET /metrics /healthz /counts/NAME, PUT and DELETE /targets/NAME, POST /finish/NAME"
                self._send(HTTPStatus.NOT_FOUND, {"error": f"{method} {self.path[:100]}: offered are {offered}"})

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
            self.close_connection = True
            raise BadTarget("the body needs a Content-Length")
        if int(length) > LONGEST_BODY:
            self.close_connection = True
            raise BadTarget(f"the body is {length} bytes; at most {LONGEST_BODY} are read")
        return self.rfile.read(int(length))

    def _send(self, status: int, content: object, kind: str = "application/json") -> None:
        body = (content if isinstance(content, str) else json.dumps(content) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _told(watched: Watched) -> dict[str, object]:
    """Return how a target is counted. marks_s: CLOCK_MONOTONIC, as the whole machine has it."""
    return {
        "rung": watched.rung,
        "refused": dict(watched.refused),
        "missing": dict(watched.reader.missing) if watched.reader is not None else {},
        "marks_s": list(watched.marks_s),
    }
