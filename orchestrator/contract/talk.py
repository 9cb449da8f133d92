"""One connection to the server, with a tape of what was sent and received.

Blocking sockets. `Broken` is how everything here, and every check, says that the contract was not kept.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

TAPE_MAX = 4096  # bytes of each direction that a failure carries; the rest is only counted


class Broken(Exception):
    """The contract was not kept. talk: the connection that shows it, where there is one."""

    def __init__(self, expected: str, seen: str, talk: Talk | None = None):
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected, self.seen, self.talk = expected, seen, talk


@dataclass(slots=True)
class Tape:
    """The first TAPE_MAX bytes of one direction, and how many there were in all."""

    kept: bytes = b""
    total: int = 0

    def add(self, data: bytes) -> None:
        self.kept += data[: TAPE_MAX - len(self.kept)]
        self.total += len(data)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. headers: in order, names in lower case. body: decoded where it was chunked."""

    version: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        """Return the only value; several are joined, so that no comparison passes by chance."""
        return ", ".join(self.all(name)) if self.all(name) else None

    @property
    def says_close(self) -> bool:
        return "close" in {option.strip().lower() for value in self.all("connection") for option in value.split(",")}

    def __str__(self) -> str:
        return f"{self.status} with {len(self.body)} bytes {self.body[:40]!r}"


def render(
    path: str, method: str = "GET", *, headers: str = "", body: bytes | None = None, version: str = "1.1"
) -> bytes:
    """Return a request. headers: whole lines, each with its CRLF; Host and Content-Length are added."""
    length = "" if body is None else f"Content-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/{version}\r\nHost: lab\r\n{headers}{length}\r\n".encode() + (body or b"")


class Talk:
    """A connection. Each wait ends after patience_s at the latest."""

    def __init__(self, host: str, port: int, patience_s: float, receive_buffer: int | None = None):
        self.sent, self.received = Tape(), Tape()
        self.patience_s = patience_s
        self.data = b""
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if receive_buffer is not None:  # before connect: the window is agreed on then
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # one send, one segment
            self.sock.settimeout(patience_s)
            self.sock.connect((host, port))
        except OSError as error:
            self.sock.close()
            raise Broken("a connection", f"{type(error).__name__}: {error}", self) from None

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    # ---- sending ----

    def send(self, data: bytes) -> None:
        """Send all of it, in one segment where it fits."""
        self.sent.add(data)
        self.sock.settimeout(self.patience_s)
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Broken("the server reads on", f"{type(error).__name__} while sending", self) from None

    def try_send(self, data: bytes) -> bool:
        """Send all of it unless the server closes or reads no more; return whether it went."""
        with contextlib.suppress(Broken):
            self.send(data)
            return True
        return False

    def send_apart(self, parts: Iterable[bytes], pause_s: float) -> None:
        """Send each part as a segment of its own, with a pause in which the server can read it alone."""
        for number, part in enumerate(parts):
            if number:
                time.sleep(pause_s)
            self.send(part)

    def ask(
        self, path: str, method: str = "GET", *, headers: str = "", body: bytes | None = None, version: str = "1.1"
    ) -> Reply:
        self.send(render(path, method, headers=headers, body=body, version=version))
        return self.reply(method)

    # ---- receiving ----

    def receive(self, deadline_s: float) -> bytes | None:
        """Return what comes next, b"" at the end (an orderly one or a reset), None when the time is over."""
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return None
        self.sock.settimeout(left_s)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return None
        except ConnectionError:
            return b""
        self.received.add(data)
        return data

    def more(self, deadline_s: float, what: str) -> None:
        """Wait for further bytes. Raises Broken when there are none."""
        data = self.receive(deadline_s)
        if data is None:
            raise Broken(what, f"nothing more within {self.patience_s:g} s after {self.received.total} bytes", self)
        if not data:
            raise Broken(what, f"the end of the connection after {self.received.total} bytes", self)
        self.data += data

    def reply(self, method: str = "GET", within_s: float | None = None) -> Reply:
        """Return the next reply, an interim one (1xx) included. method: HEAD has no body."""
        deadline_s = time.monotonic() + (within_s or self.patience_s)
        while b"\r\n\r\n" not in self.data:
            self.more(deadline_s, "a whole reply")
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        version, status, headers = self.parse_head(head)
        reply = Reply(version, status, headers, b"")
        if method == "HEAD" or status < 200 or status in (204, 304):
            return reply
        if "chunked" in (reply.header("transfer-encoding") or "").lower():
            return Reply(version, status, headers, self.chunks(deadline_s))
        lengths = reply.all("content-length")
        if not lengths and "close" in (reply.header("connection") or "").lower():
            return Reply(version, status, headers, self.rest(within_s))  # RFC 9112, 6.3: it ends with the connection
        if len(lengths) != 1 or not lengths[0].isdecimal():
            raise Broken("one Content-Length in the reply", f"{lengths}", self)
        while len(self.data) < int(lengths[0]):
            self.more(deadline_s, f"a reply's body of {lengths[0]} bytes")
        body, self.data = self.data[: int(lengths[0])], self.data[int(lengths[0]) :]
        return Reply(version, status, headers, body)

    def parse_head(self, head: bytes) -> tuple[str, int, tuple[tuple[str, str], ...]]:
        first, *lines = head.split(b"\r\n")
        version, _, rest = first.decode("latin-1").partition(" ")
        status = rest[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0") or not status.isdecimal() or rest[3:4] not in ("", " "):
            raise Broken("a status line", repr(first[:80]), self)
        headers = []
        for line in lines:
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name != name.strip() or "\n" in value or "\r" in value:
                raise Broken("a header line", repr(line[:80]), self)
            headers.append((name.lower(), value.strip(" \t")))
        return version, int(status), tuple(headers)

    def chunks(self, deadline_s: float) -> bytes:
        """Decode a chunked body."""
        body = b""
        while True:
            while b"\r\n" not in self.data:
                self.more(deadline_s, "a chunk size")
            line, _, self.data = self.data.partition(b"\r\n")
            try:
                size = int(line.partition(b";")[0], 16)
            except ValueError:
                raise Broken("a chunk size", repr(line[:40]), self) from None
            while len(self.data) < size + 2:
                self.more(deadline_s, "a chunk")
            if self.data[size : size + 2] != b"\r\n":
                raise Broken("CRLF after a chunk (no trailers)", repr(self.data[size : size + 2]), self)
            body, self.data = body + self.data[:size], self.data[size + 2 :]
            if size == 0:
                return body

    def rest(self, within_s: float | None = None) -> bytes:
        """Return everything up to the end of the connection. Raises Broken when it does not end."""
        within_s = within_s or self.patience_s
        deadline_s = time.monotonic() + within_s
        while True:
            data = self.receive(deadline_s)
            if data is None:
                raise Broken("the connection's end", f"still open after {within_s:.1f} s", self)
            if not data:
                rest, self.data = self.data, b""
                return rest
            self.data += data

    def expect_end(self, within_s: float | None = None) -> None:
        """Wait for the end of the connection, with nothing before it."""
        rest = self.rest(within_s)
        if rest:
            raise Broken("the connection's end", f"{len(rest)} further bytes {rest[:80]!r}", self)

    def expect_silence(self, for_s: float, what: str) -> None:
        """See that nothing comes for a while, neither bytes nor the end. what: why nothing may."""
        data = self.receive(time.monotonic() + for_s)
        if data is not None:
            raise Broken(what, f"{data[:80]!r}" if data else "the end of the connection", self)

    # ---- leaving ----

    def finish_sending(self) -> None:
        """Send FIN and go on listening."""
        with contextlib.suppress(OSError):  # it may have been closed already
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
