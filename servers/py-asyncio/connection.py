"""One client's connection: collect a request, answer or wait, write.

What accepts, counts and stops is server.py's work.
"""

import asyncio
import re
from typing import TYPE_CHECKING

from http1 import BARE_LF, HEAD_MAX, Broken, Chunks, Request, parse_head

if TYPE_CHECKING:
    from server import Server

INPUT_MAX = 96 * 1024  # the longest request and room for pipelined ones; beyond, a waiting client is not read
DELAY_MAX_MS = 120_000
HEAD_TIMEOUT_S, BODY_TIMEOUT_S, SEND_TIMEOUT_S = 10.0, 30.0, 30.0
LINGER_S = 2.0

# ---- replies ----------------------------------------------------------------------------------------

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


def render(lines: bytes, status: int, r: Request | None, body: bytes, kind: bytes, keep_alive: bool) -> bytes:
    """lines: header lines, each with its CRLF. r: None when the request was too broken to know its method."""
    head = STATUS_LINES[status] + lines + b"Content-Type: " + kind + b"\r\nContent-Length: " + str(len(body)).encode()
    if status == 405 and r:
        head += b"\r\nAllow: " + (b"POST" if METHODS[r.path] == b"POST" else b"GET, HEAD")
    if not keep_alive:
        head += b"\r\nConnection: close"
    elif r and r.is_http_1_0:
        head += b"\r\nConnection: keep-alive"
    return head + b"\r\n\r\n" + (b"" if r and r.method == b"HEAD" else body)


# ---- one connection ---------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    def __init__(self, server: "Server") -> None:
        self.server = server

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.data = bytearray()
        self.scanned = 0  # of an incomplete head
        self.head: Request | None = None  # its body is still coming
        self.chunks: Chunks | None = None
        self.waiting: Request | None = None  # in /delay or /hold
        self.is_closing = False
        self.is_paused = False  # the client does not read
        self.limit_kind = ""
        self.timer: asyncio.TimerHandle | None = None
        self.server.connections.add(self)
        transport.set_write_buffer_limits(high=0)  # anything unsent pauses: a client has SEND_TIMEOUT_S to take it
        self.set_limit("head", HEAD_TIMEOUT_S)

    def connection_lost(self, error: Exception | None) -> None:
        if isinstance(error, OSError):
            self.server.count_error(error)
        self.set_timer(None)
        self.waiting = None  # whatever it waited for is cancelled
        self.server.held.discard(self)
        self.server.connections.discard(self)
        if self.server.is_draining and not self.server.connections:
            self.server.stopped.set()

    def data_received(self, data: bytes) -> None:
        if self.is_closing:
            return  # lingering
        self.data += data
        if self.waiting or self.is_paused:
            if len(self.data) > INPUT_MAX:
                self.transport.pause_reading()
            return
        self.answer_all()

    # eof_received() is inherited: it closes, after what is already written.

    def pause_writing(self) -> None:
        self.is_paused = True
        if not self.waiting:  # the timer belongs to the wait then
            self.set_limit("send", SEND_TIMEOUT_S)

    def resume_writing(self) -> None:
        self.is_paused = False
        self.transport.resume_reading()
        if not self.is_closing and not self.waiting:
            self.answer_all()

    def set_timer(self, delay_s: float | None, action=None, *arguments) -> None:
        if self.timer:
            self.timer.cancel()
        self.timer = None if delay_s is None else self.server.loop.call_later(delay_s, action, *arguments)

    def set_limit(self, kind: str, limit_s: float | None) -> None:
        """A limit is not moved by each byte: who sends slowly gains nothing."""
        if kind != self.limit_kind:
            self.limit_kind = kind
            self.set_timer(limit_s, self.transport.abort)

    def next_request(self, replies: list[bytes]) -> tuple[Request, bytes] | None:
        """One whole request off the input, or None. May add an interim reply. Raises Broken."""
        r, data = self.head, self.data
        if r is None:
            while data.startswith(b"\r\n"):  # RFC 9112, 2.2: empty lines before a request are skipped
                del data[:2]
                self.scanned = 0
            end = data.find(b"\r\n\r\n", max(0, self.scanned - 3)) + 4
            if end == 3 or end > HEAD_MAX:
                if BARE_LF.search(data, max(0, self.scanned - 1)):
                    raise Broken(400)
                if len(data) > HEAD_MAX:
                    raise Broken(431)
                self.scanned = len(data)
                return None
            self.scanned = 0
            r = parse_head(bytes(data[:end]))
            del data[:end]
            if r.expects_continue and not data and (r.length or r.is_chunked):
                replies.append(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.head, self.chunks = r, Chunks() if r.is_chunked else None
        if self.chunks:
            if not self.chunks.feed(data):
                return None
            body = bytes(self.chunks.body)
        elif len(data) < r.length:
            return None
        else:
            body = bytes(data[: r.length])
            del data[: r.length]
        self.head = self.chunks = None
        return r, body

    def answer_all(self) -> None:
        """Answers every complete request, in order, with one write; stops at one that has to wait."""
        replies: list[bytes] = []
        is_broken = False
        try:
            while (
                not (self.is_closing or self.waiting)
                and (self.data or self.head)
                and (whole := self.next_request(replies))
            ):
                self.set_limit("", None)
                self.server.requests += 1
                replies.append(self.answer(*whole))
        except Broken as broken:
            replies.append(self.render(broken.status, None, keep_alive=False))
            self.is_closing = is_broken = True
        if replies:
            self.transport.write(replies[0] if len(replies) == 1 else b"".join(replies))
        if self.is_closing:
            self.finish(is_broken or bool(self.data))
        elif self.waiting:
            pass  # the timer is already set, or not wanted
        elif self.is_paused:
            self.set_limit("send", SEND_TIMEOUT_S)  # it may have been paused while it waited
        elif self.head:
            self.set_limit("body", BODY_TIMEOUT_S)
        elif self.data:
            self.set_limit("head", HEAD_TIMEOUT_S)
        else:
            self.set_limit("", None)

    def render(
        self,
        status: int,
        r: Request | None,
        body: bytes = b"",
        kind: bytes = b"text/plain",
        *,
        keep_alive: bool,
        lines: bytes = b"",
    ) -> bytes:
        return render(self.server.name_and_date + lines, status, r, body, kind, keep_alive)

    def answer(self, r: Request, body: bytes) -> bytes:
        """The reply, or nothing yet if the request has to wait."""
        path = r.path
        keep_alive = r.keep_alive and not self.server.is_draining
        self.is_closing = not keep_alive
        if path not in METHODS:
            return self.render(404, r, keep_alive=keep_alive)
        if r.method != METHODS[path] and not (r.method == b"HEAD" and METHODS[path] == b"GET"):
            return self.render(405, r, keep_alive=keep_alive)
        if path == b"/plain":
            return self.render(200, r, b"Hello, world!", keep_alive=keep_alive)
        if path == b"/echo":
            return self.render(200, r, body, b"application/octet-stream", keep_alive=keep_alive)
        if path == b"/healthz":
            return self.render(200, r, b"ok\n", keep_alive=keep_alive, lines=self.server.nonce_line)
        if path == b"/stats":
            return self.render(200, r, self.server.stats(), b"application/json", keep_alive=keep_alive)
        if path == b"/release":
            released, self.server.held = self.server.held, set()
            for connection in released:  # in turns of their own: answering here could recurse into another /release
                connection.set_timer(0, connection.answer_waiting)
            return self.render(200, r, b'{"released": %d}' % len(released), b"application/json", keep_alive=keep_alive)
        ms = DELAY_MS.search(r.query)
        if path == b"/delay" and not (ms and ms[1].isdigit() and len(ms[1]) < 10 and int(ms[1]) <= DELAY_MAX_MS):
            return self.render(400, r, keep_alive=keep_alive)
        self.waiting, self.is_closing, self.limit_kind = r, False, "wait"
        if path == b"/delay":
            self.set_timer(int(ms[1]) / 1000, self.answer_waiting)
        else:
            self.set_timer(None)
            self.server.held.add(self)
        return b""

    def answer_waiting(self) -> None:
        r, self.waiting = self.waiting, None
        if r is None or self.transport.is_closing():
            return
        keep_alive = r.keep_alive and not self.server.is_draining
        self.is_closing = not keep_alive
        self.transport.write(self.render(200, r, b"Hello, world!", keep_alive=keep_alive))
        self.transport.resume_reading()
        self.answer_all()  # and whatever it asked meanwhile

    def finish(self, must_linger: bool) -> None:
        if not must_linger:
            self.transport.close()  # after what is written
            if self.is_paused:
                self.set_limit("send", SEND_TIMEOUT_S)
            return
        # Closing with unread input would make the kernel send a reset that can overtake the reply.
        self.data.clear()
        self.transport.write_eof()
        self.limit_kind = "linger"
        self.set_timer(LINGER_S, self.transport.abort)

    def is_idle(self) -> bool:
        return not (self.waiting or self.data or self.head or self.is_closing or self.is_paused)
