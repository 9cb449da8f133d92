"""Turn bytes into HTTP/1.1 answers, in whatever pieces they arrive.

Pure: no sockets, no clock. One `AnswerReader` reads one answer; what follows it on the connection is kept in `rest`.
Source: RFC 9112, sections 4 (status line), 6.3 (body length) and 7.1 (chunked).
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_HEAD_BYTES = 64 * 1024  # RFC 9112 leaves the limit open; far above what any variant sends
MOST_BODY_BYTES = 16 * 1024 * 1024
NO_BODY = (204, 304)  # RFC 9112, 6.3: these never carry one


class Malformed(ValueError):
    """The bytes are not an HTTP/1.1 answer."""


class ClosedEarly(ValueError):
    """The connection ended before the answer did."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer. keeps_alive: the connection may carry another request."""

    status: int
    headers: dict[str, str]  # names in lower case; repeated ones joined with ", "
    body: bytes
    keeps_alive: bool


def render_get(path: str, host: str, port: int) -> bytes:
    """Return the request a user sends: no more headers than HTTP/1.1 demands."""
    authority = f"[{host}]" if ":" in host else host
    return f"GET {path} HTTP/1.1\r\nHost: {authority}:{port}\r\n\r\n".encode("ascii")


class AnswerReader:
    """Reads one answer; feed it what arrives.

    `feed` returns the answer once it is complete; `end` says that the peer closed. Both raise Malformed; `end` raises
    ClosedEarly when the answer was not complete. Interim answers (1xx) are skipped.
    """

    __slots__ = ("_body", "_buffer", "_head", "_left", "_length", "_state", "rest")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: tuple[int, dict[str, str], bool] | None = None
        self._state = "head"
        self._length = 0
        self._left = 0
        self._body = bytearray()
        self.rest = b""

    def feed(self, data: bytes) -> Answer | None:
        """Take the next bytes; return the answer when they complete it."""
        buffer = self._buffer
        buffer += data
        while True:
            if self._state == "head":
                if not self._take_head():
                    return None
            elif self._state == "length":
                if len(buffer) < self._length:
                    return None
                self._body = buffer[: self._length]
                del buffer[: self._length]
                return self._finish()
            elif self._state == "until close":
                if len(buffer) > MOST_BODY_BYTES:
                    raise Malformed(f"a body above {MOST_BODY_BYTES} bytes")
                return None
            else:
                step = self._take_chunk()
                if step is None:
                    return None
                if step:
                    return self._finish()

    def end(self) -> Answer:
        """The peer closed: return the answer if closing completes it."""
        if self._state == "until close":
            self._body = self._buffer
            self._buffer = bytearray()
            return self._finish()
        raise ClosedEarly(f"closed in {self._state} after {len(self._buffer)} more bytes")

    def _finish(self) -> Answer:
        assert self._head is not None
        status, headers, keeps_alive = self._head
        self.rest = bytes(self._buffer)
        return Answer(status, headers, bytes(self._body), keeps_alive)

    def _take_head(self) -> bool:
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(buffer) > MOST_HEAD_BYTES:
                raise Malformed(f"a head above {MOST_HEAD_BYTES} bytes")
            if not b"HTTP/1.".startswith(buffer[:7]):
                raise Malformed(f"expected a status line, saw {bytes(buffer[:20])!r}")
            return False
        lines = bytes(buffer[:end]).split(b"\r\n")
        del buffer[: end + 4]
        minor, status = _status_line(lines[0])
        if 100 <= status < 200 and status != 101:
            return True
        headers = _headers(lines[1:])
        self._state, self._length = _framing(status, headers)
        tokens = [token.strip().lower() for token in headers.get("connection", "").split(",")]
        keeps_alive = "close" not in tokens and (minor == 1 or "keep-alive" in tokens) and self._state != "until close"
        self._head = (status, headers, keeps_alive)
        return True

    def _take_chunk(self) -> bool | None:
        """Take one step of a chunked body: None for "more bytes needed", True for "that was the last"."""
        buffer = self._buffer
        if self._state == "chunk data":
            if len(buffer) < self._left + 2:
                return None
            if buffer[self._left : self._left + 2] != b"\r\n":
                raise Malformed("a chunk does not end where its size says")
            self._body += buffer[: self._left]
            del buffer[: self._left + 2]
            self._state = "chunk size"
            if len(self._body) > MOST_BODY_BYTES:
                raise Malformed(f"a body above {MOST_BODY_BYTES} bytes")
            return False
        end = buffer.find(b"\r\n")
        if end < 0:
            if len(buffer) > MOST_HEAD_BYTES:
                raise Malformed("a chunk-size or trailer line without end")
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        if self._state == "trailers":
            return not line
        size = line.split(b";", 1)[0].strip()
        if not size or not all(byte in b"0123456789abcdefABCDEF" for byte in size):
            raise Malformed(f"expected a chunk size, saw {line[:20]!r}")
        self._left = int(size, 16)
        self._state = "chunk data" if self._left else "trailers"
        return False


def _status_line(line: bytes) -> tuple[int, int]:
    """Return (minor version, status)."""
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    is_code = len(code) == 3 and code.isdigit() and rest[3:4] in (b"", b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not is_code:
        raise Malformed(f"expected a status line, saw {line[:40]!r}")
    if code < b"100":
        raise Malformed(f"expected a status of 100 or more, saw {code!r}")
    return (1 if version == b"HTTP/1.1" else 0), int(code)


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise Malformed(f"expected a header line, saw {line[:40]!r}")
        key = name.decode("latin-1").lower()
        text = value.strip().decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _framing(status: int, headers: dict[str, str]) -> tuple[str, int]:
    """Return how the body ends: the reader's next state, and the length where one is told."""
    if status in NO_BODY:
        return "length", 0
    if "transfer-encoding" in headers:
        if "content-length" in headers:
            raise Malformed("both Transfer-Encoding and Content-Length")
        if headers["transfer-encoding"].lower().split(",")[-1].strip() == "chunked":
            return "chunk size", 0
        return "until close", 0
    if "content-length" in headers:
        told = {length.strip() for length in headers["content-length"].split(",")}
        length = told.pop()
        if told or not (length.isascii() and length.isdigit()):
            raise Malformed(f"expected one Content-Length, saw {headers['content-length']!r}")
        if int(length) > MOST_BODY_BYTES:
            raise Malformed(f"a body above {MOST_BODY_BYTES} bytes")
        return "length", int(length)
    return "until close", 0
