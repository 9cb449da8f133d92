"""Turn bytes into HTTP/1.1 answers, in whatever pieces they arrive.

Pure: no sockets, no clock. One `AnswerReader` reads one answer; what follows it on the connection is kept in `rest`.
Source: RFC 9112, sections 4 (status line), 5 (fields), 6.3 (body length) and 7.1 (chunked). As strict as the engine's
parser, swarm/engine/answer.c, which says what was decided where the RFC leaves a choice (tests/swarm/test_answer.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MOST_HEAD_BYTES = 64 * 1024  # RFC 9112 leaves the limit open; far above what any variant sends
MOST_BODY_BYTES = 16 * 1024 * 1024
NO_BODY = (101, 204, 304)  # RFC 9112, 6.3: these never carry one
BLANKS = b" \t"
NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# One transfer coding and the comma after it; in the parameters' quotes a comma is no end (RFC 9110, 5.6.6).
CODING = re.compile(r"""[ \t]*(?:([^,; \t][^,;]*)(;(?:[^",]|"(?:[^"\\]|\\.)*")*)?)?,""", re.DOTALL)
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]+)(?:[ \t]*;.*)?", re.DOTALL)


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
        head = self._take_to(b"\r\n\r\n", "a head")
        if head is None:
            if not b"HTTP/1.".startswith(self._buffer[:7]):
                raise Malformed(f"expected a status line, saw {bytes(self._buffer[:20])!r}")
            return False
        lines = _lines(head)
        minor, status = _status_line(lines[0])
        fields = _fields(lines[1:])
        if 100 <= status < 200 and status != 101:
            return True
        self._state, self._length = _framing(status, minor, fields)
        headers: dict[str, str] = {}
        for name, value in fields:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        tokens = [token.strip(" \t").lower() for token in headers.get("connection", "").split(",")]
        keeps_alive = "close" not in tokens and (minor == 1 or "keep-alive" in tokens)
        self._head = (status, headers, keeps_alive and self._state != "until close" and status != 101)
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
            return False
        if self._state == "trailers":
            if buffer.startswith(b"\r\n"):
                del buffer[:2]
                return True
            trailers = self._take_to(b"\r\n\r\n", "trailers")
            if trailers is None:
                return None
            _fields(_lines(trailers))
            return True
        line = self._take_to(b"\r\n", "a chunk-size line")
        if line is None:
            return None
        size = CHUNK_SIZE.fullmatch(_lines(line)[0])
        if not size:
            raise Malformed(f"expected a chunk size, saw {line[:20]!r}")
        self._left = int(size[1], 16)
        if len(self._body) + self._left > MOST_BODY_BYTES:
            raise Malformed(f"a body above {MOST_BODY_BYTES} bytes")
        self._state = "chunk data" if self._left else "trailers"
        return False

    def _take_to(self, end: bytes, what: str) -> bytes | None:
        """Take what comes before `end`, and that too; None when it has not come. Limits count `end`."""
        place = self._buffer.find(end, 0, MOST_HEAD_BYTES)
        if place < 0:
            if len(self._buffer) > MOST_HEAD_BYTES:
                raise Malformed(f"{what} above {MOST_HEAD_BYTES} bytes")
            return None
        taken = bytes(self._buffer[:place])
        del self._buffer[: place + len(end)]
        return taken


def _lines(text: bytes) -> list[bytes]:
    """Return the lines between CRLFs; a CR, LF or NUL inside of one is refused (RFC 9112, 2.2; RFC 9110, 5.5)."""
    lines = text.split(b"\r\n")
    if b"\0" in text or text.count(b"\r") != len(lines) - 1 or text.count(b"\n") != len(lines) - 1:
        raise Malformed("a bare CR, LF or NUL in a line")
    return lines


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


def _fields(lines: Iterable[bytes]) -> list[tuple[str, str]]:
    """Return (name in lower case, value) of each field, in order; folded lines joined by a blank (RFC 9112, 5.2)."""
    fields: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        text = value.strip(BLANKS).decode("latin-1")
        if line[:1] in (b" ", b"\t") and fields:
            last, begun = fields[-1]
            fields[-1] = last, f"{begun} {line.strip(BLANKS).decode('latin-1')}".strip(" ")
        elif colon and NAME.fullmatch(name):
            fields.append((name.decode("ascii").lower(), text))
        else:
            raise Malformed(f"expected a header line, saw {line[:40]!r}")
    return fields


def _framing(status: int, minor: int, fields: list[tuple[str, str]]) -> tuple[str, int]:
    """Return how the body ends: the reader's next state, and the length where one is told."""
    if status in NO_BODY:
        return "length", 0
    codings = [value for name, value in fields if name == "transfer-encoding"]
    lengths = [value for name, value in fields if name == "content-length"]
    if codings and (lengths or minor == 0):
        raise Malformed("both Transfer-Encoding and Content-Length" if lengths else "Transfer-Encoding in HTTP/1.0")
    if codings:
        return ("chunk size" if _ends_chunked(codings) else "until close"), 0
    if lengths:
        return "length", _length(lengths)
    return "until close", 0


def _length(values: list[str]) -> int:
    """Return the one length that all elements of the list tell; empty elements count for nothing."""
    elements = [element for value in values for part in value.split(",") if (element := part.strip(" \t"))]
    told = {element.lstrip("0") for element in elements if element.isascii() and element.isdigit()}
    if len(told) != 1 or not all(element.isascii() and element.isdigit() for element in elements):
        raise Malformed(f"expected one Content-Length, saw {', '.join(values)[:40]!r}")
    digits = told.pop() or "0"
    # Python refuses to read numbers of thousands of digits.
    if len(digits) > len(str(MOST_BODY_BYTES)) or int(digits) > MOST_BODY_BYTES:
        raise Malformed(f"a body above {MOST_BODY_BYTES} bytes")
    return int(digits)


def _ends_chunked(values: list[str]) -> bool:
    """Whether chunked is the last coding. Twice, or with a parameter, it is refused (RFC 9112, 7.1)."""
    codings = [coding for value in values for coding in _codings(value)]
    if any(has_parameters for coding, has_parameters in codings if coding == "chunked"):
        raise Malformed("chunked has no parameters")
    names = [coding for coding, _ in codings]
    if names.count("chunked") > 1:
        raise Malformed("chunked twice")
    return names[-1:] == ["chunked"]


def _codings(value: str) -> Iterator[tuple[str, bool]]:
    """Yield each coding in lower case, and whether it has parameters."""
    rest = f"{value},"
    place = 0
    while place < len(rest):
        coding = CODING.match(rest, place)
        if not coding:
            raise Malformed(f"expected transfer codings, saw {value[:40]!r}")
        if name := (coding[1] or "").rstrip(" \t").lower():
            yield name, coding[2] is not None
        place = coding.end()
