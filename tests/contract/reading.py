"""Turn bytes into requests, strictly, but for one planted defect: what the planted server (planted.py) reads with.

Each `planted == "id"` makes the one mistake that the contract's check of that id is there to find.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

HEAD_MOST, BODY_MOST = 16 * 1024, 65536
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) (HTTP/1\.[01])")
VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
HEX = re.compile(rb"[0-9A-Fa-f]{1,8}")


class Refused(Exception):
    """This is no request: answer with `status` and close."""

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class Request:
    method: bytes = b""
    target: bytes = b""
    is_old: bool = False  # HTTP/1.0
    length: int = 0
    is_chunked: bool = False
    keeps_alive: bool = True
    expects_continue: bool = False
    body: bytes = b""
    names: list[bytes] = field(default_factory=list)


def parse_head(head: bytes, planted: str) -> Request:
    """head: without the empty line at its end. Raises Refused."""
    if planted == "bare-lf":
        head = head.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if planted == "obs-fold":
        head = re.sub(rb"\r\n[ \t]+", b" ", head)
    first, *lines = head.split(b"\r\n")
    if planted == "request-line-bad":
        first = re.sub(b" +", b" ", first)
    match = LINE.fullmatch(first)
    if not match:
        raise Refused(400)
    request = Request(match[1], match[2], match[3].endswith(b"0"))
    request.keeps_alive = not request.is_old
    lengths: list[int] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if planted == "space-before-colon":
            name = name.rstrip()
        if planted == "nul":
            value = value.replace(b"\0", b"")
        if not colon or not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
            raise Refused(400)
        if planted != "header-forms":
            name = name.title()
        use_field(request, name, value.strip(b" \t"), lengths, planted)
    hosts = request.names.count(b"Host")
    if (hosts == 0 and not request.is_old and planted != "host-missing") or (hosts > 1 and planted != "host-double"):
        raise Refused(400)
    if request.is_chunked and (request.is_old or (lengths and planted != "te-with-cl")):
        raise Refused(400)
    if len(set(lengths)) > 1 and planted != "cl-differ":
        raise Refused(400)
    request.length = lengths[-1] if lengths else 0
    return request


def use_field(request: Request, name: bytes, value: bytes, lengths: list[int], planted: str) -> None:
    """Note what one header line says. Raises Refused."""
    request.names.append(name)
    if name == b"Content-Length":
        lengths.append(parse_length(value, planted))
    elif name == b"Transfer-Encoding":
        if value.lower() != b"chunked":
            raise Refused(400 if planted == "te-unknown" else 501)
        request.is_chunked = True
    elif name == b"Expect":
        request.expects_continue = value.lower() == b"100-continue"
    elif name == b"Connection":
        options = [option.strip().lower() for option in value.split(b",")]
        if planted == "connection-close" and len(options) > 1:
            return
        if b"close" in options:
            request.keeps_alive = False
        elif b"keep-alive" in options and planted != "http10-keep-alive":
            request.keeps_alive = True


def parse_length(value: bytes, planted: str) -> int:
    if planted == "cl-plus":
        value = value.removeprefix(b"+")
    if planted == "cl-negative" and value.startswith(b"-"):
        return 0
    if planted == "cl-not-a-number" and not value:
        return 0
    if not value.isdigit():
        raise Refused(400)
    length = int(value)
    if planted == "cl-overflow":
        return length % 2**64
    if len(value) > 18:
        raise Refused(400)
    return length


class Chunks:
    """A chunked body as it comes in. `feed` takes what it can from the data and returns whether the body is whole."""

    def __init__(self, planted: str):
        self.planted, self.body, self.left = (
            planted,
            bytearray(),
            -1,
        )  # left: with its CRLF; -1: no size yet
        self.is_last = False

    def feed(self, data: bytearray) -> bool:
        while True:
            if self.left > 2:
                taken = bytes(data[: self.left - 2])
                self.body += taken
                self.left -= len(taken)
                del data[: len(taken)]
                if self.left > 2:
                    return False
            if self.left > 0:
                if len(data) < 2:
                    return False
                if data[:2] != b"\r\n" and self.planted != "chunk-end-bad":
                    raise Refused(400)
                del data[:2]
                self.left = -1
            line, found, _ = data.partition(b"\n")
            if not found:
                if len(line) > HEAD_MOST:
                    raise Refused(400)
                return False
            del data[: len(line) + 1]
            if not line.endswith(b"\r"):
                raise Refused(400)
            if self.is_last and line == b"\r":
                return True
            if not self.is_last:
                self.begin_chunk(bytes(line[:-1]))

    def begin_chunk(self, line: bytes) -> None:
        digits, _, extension = line.partition(b";")
        if self.planted == "chunk-size-bad":
            digits = digits.removeprefix(b"+")
        if self.planted == "chunk-size-overflow" and len(digits) > 16:
            digits = digits[-8:]
        if re.fullmatch(rb"[0-9a-f]{9,16}", digits):
            raise Refused(413)
        if self.planted == "chunked-echo" and digits.lower() != digits:
            raise Refused(400)
        if not HEX.fullmatch(digits) or not VALUE.fullmatch(extension):
            raise Refused(400)
        size = int(digits, 16)
        if size > BODY_MOST or (len(self.body) + size > BODY_MOST and self.planted != "chunked-too-large"):
            raise Refused(413)
        self.left, self.is_last = (-1, True) if size == 0 else (size + 2, False)
