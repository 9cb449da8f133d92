"""Turn requests into routes, and answers into bytes. No I/O."""

import re
from email.utils import formatdate

from shared.http1 import Request

DELAY_MAX_MS = 120_000

STATUS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}
STATUS_LINES = {status: f"HTTP/1.1 {status} {text}\r\n".encode() for status, text in STATUS.items()}
METHODS = {
    b"/plain": b"GET",
    b"/delay": b"GET",
    b"/hold": b"GET",
    b"/release": b"POST",
    b"/echo": b"POST",
    b"/healthz": b"GET",
    b"/stats": b"GET",
}
DELAY_MS = re.compile(rb"(?:^|&)ms=([^&]*)")

# A route: what to do, or the status that refuses it. /delay is its seconds.
Route = str | int | float
USUAL = "usual"  # GET /plain in HTTP/1.1, keep-alive: the one that is asked most


def route_of(r: Request) -> Route:
    if r.route is None:
        r.route = choose_route(r)  # kept: the same head may come again
    return r.route


def choose_route(r: Request) -> Route:
    method = METHODS.get(r.path)
    if method is None:
        return 404
    if r.method != method and not (r.method == b"HEAD" and method == b"GET"):
        return 405
    if r.path == b"/delay":
        ms = DELAY_MS.search(r.query)
        if not (ms and ms[1].isdigit() and len(ms[1]) < 10 and int(ms[1]) <= DELAY_MAX_MS):
            return 400
        return int(ms[1]) / 1000
    if r.path == b"/plain" and r.method == b"GET" and r.keep_alive and not r.is_http_1_0:
        return USUAL
    return r.path[1:].decode()


def name_and_date(variant: str) -> bytes:
    """The header lines that every reply has; good for a second."""
    return f"Server: {variant}\r\nDate: {formatdate(usegmt=True)}\r\n".encode()


def render(
    lines: bytes,
    status: int,
    r: Request | None,
    body: bytes = b"",
    kind: bytes = b"text/plain",
    *,
    keep_alive: bool,
) -> bytes:
    """lines: header lines, each with its CRLF. r: None when the request was too broken to know its method."""
    head = STATUS_LINES[status] + lines + b"Content-Type: " + kind + b"\r\nContent-Length: " + str(len(body)).encode()
    if status == 405 and r:
        head += b"\r\nAllow: " + (b"POST" if METHODS[r.path] == b"POST" else b"GET, HEAD")
    if not keep_alive:
        head += b"\r\nConnection: close"
    elif r and r.is_http_1_0:
        head += b"\r\nConnection: keep-alive"
    return head + b"\r\n\r\n" + (b"" if r and r.method == b"HEAD" else body)


def render_hello(lines: bytes, r: Request, *, keep_alive: bool) -> bytes:
    return render(lines, 200, r, b"Hello, world!", keep_alive=keep_alive)


def render_usual(lines: bytes) -> bytes:
    """render_hello() for a USUAL request."""
    return b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"
