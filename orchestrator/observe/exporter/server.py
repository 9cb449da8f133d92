"""Answer over HTTP what the sampler knows: metrics, readings, and what to observe.

Answers are JSON but for /metrics; an error is one line, {"error": "..."}. The port is for the lab's own control network
and 127.0.0.1 alone, so there is no authentication; what a caller can do is name processes to be counted.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from .errors import BadTarget, UnknownTarget
from .metrics import CONTENT_TYPE, render
from .past import LONGEST_BODY as LONGEST_RUNS
from .past import render_runs
from .sampler import Sampler
from .target import parse_name, parse_target

LONGEST_BODY = 65536  # 64 containers take 6 KB
_IDLE_S = 30.0  # a kept connection that stays silent is closed


class Server(ThreadingHTTPServer):
    """The HTTP server around one sampler."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], sampler: Sampler) -> None:
        super().__init__(address, Handler)
        self.sampler = sampler
        self.runs = render_runs(b'{"runs": []}')  # the exposition of past runs, as given last


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "netpoll-lab-exporter"
    sys_version = ""
    timeout = _IDLE_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Serve /metrics, /runs, /healthz, /readings/NAME."""
        self._answer("GET")

    def do_PUT(self) -> None:
        """Serve PUT /targets/NAME and PUT /runs."""
        self._answer("PUT")

    def do_POST(self) -> None:
        """Serve POST /stats/NAME."""
        self._answer("POST")

    def do_DELETE(self) -> None:
        """Serve DELETE /targets/NAME."""
        self._answer("DELETE")

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: a scrape a second would fill the log."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what http.server itself refuses (a malformed request line, an unknown method) as JSON too."""
        self.close_connection = True
        self._send(code, _json({"error": message or HTTPStatus(code).phrase}))

    def _answer(self, method: str) -> None:
        try:
            body = self._body()
            self._route(method, body)
        except BadTarget as wrong:
            self._send(HTTPStatus.BAD_REQUEST, _json({"error": str(wrong)}))
        except UnknownTarget as unknown:
            known = ", ".join(self.server.sampler.labels()) or "none"
            text = f"no target {unknown.args[0]!r} is registered; registered: {known}"
            self._send(HTTPStatus.NOT_FOUND, _json({"error": text}))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True  # the caller went away

    def _route(self, method: str, body: bytes) -> None:
        sampler = self.server.sampler
        room, _, name = unquote(self.path.partition("?")[0]).strip("/").partition("/")
        match method, room:
            case "GET", "metrics" if not name:
                text = render(sampler.latest(), sampler.host.latest(), sampler.own())
                self._send(HTTPStatus.OK, text, CONTENT_TYPE)
            case "GET", "healthz" if not name:
                status = HTTPStatus.OK if sampler.alive else HTTPStatus.SERVICE_UNAVAILABLE
                told = {"ok": sampler.alive, "targets": sampler.labels(), "host_missing": sampler.host.missing()}
                self._send(status, _json(told))
            case "GET", "readings":
                self._send(HTTPStatus.OK, _json(asdict(sampler.read(parse_name(name)))))
            case "GET", "runs" if not name:
                self._send(HTTPStatus.OK, self.server.runs, CONTENT_TYPE)
            case "PUT", "runs" if not name:
                self.server.runs = render_runs(body)
                self._send(HTTPStatus.OK, _json({"ok": True}))
            case "PUT", "targets":
                self._send(HTTPStatus.OK, _json(asdict(sampler.register(parse_target(parse_name(name), body)))))
            case "POST", "stats":
                self._send(HTTPStatus.ACCEPTED, _json({"asking": sampler.ask_stats(parse_name(name))}))
            case "DELETE", "targets":
                sampler.forget(parse_name(name))
                self._send(HTTPStatus.OK, _json({"ok": True}))
            case _:
                offered = (
                    "GET /metrics /runs /healthz /readings/NAME, PUT /runs, PUT and DELETE /targets/NAME, "
                    "POST /stats/NAME"
                )
                text = f"{method} {self.path[:100]} is not offered; {offered} are"
                self._send(HTTPStatus.NOT_FOUND, _json({"error": text}))

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
            self.close_connection = True
            raise BadTarget("the body needs a Content-Length")
        longest = LONGEST_RUNS if self.path == "/runs" else LONGEST_BODY
        if int(length) > longest:
            self.close_connection = True
            raise BadTarget(f"the body is {length} bytes; at most {longest} are read")
        return self.rfile.read(int(length))

    def _send(self, status: int, text: str, kind: str = "application/json") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def handle_one_request(self) -> None:
        """Serve one request; a connection the other side reset is not news."""
        try:
            super().handle_one_request()
        except (ConnectionResetError, BrokenPipeError):
            self.close_connection = True
        except OSError as odd:
            self.close_connection = True
            print(f"exporter: {self.address_string()}: {odd}", file=sys.stderr)


def _json(value: object) -> str:
    return json.dumps(value) + "\n"
