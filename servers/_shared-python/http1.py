"""Turn bytes into requests (RFC 9112). No I/O.

Strict where a lenient reading could be read differently by another program on the way: what is ambiguous gets 400,
not a guess. Bodies are handed out whole, so they are limited to 64 KiB.
"""

import re

HEAD_MAX, BODY_MAX = 16 * 1024, 64 * 1024


class Broken(Exception):
    """What follows cannot be told apart: reply with `status`, then close."""

    def __init__(self, status: int) -> None:
        self.status = status


class Request:
    """What a head says. Never changed once it is parsed, but for `route`: reply.py's own, kept with it."""

    __slots__ = (
        "expects_continue", "is_chunked", "is_http_1_0", "keep_alive", "length", "method", "path", "query", "route",
    )  # fmt: skip


# Heads without a body that were seen before. A client sends the same bytes again and again, and they mean the same
# each time, so the strict reading below is paid for once. Bounded: who sends ever new heads gains nothing.
KNOWN: dict[bytes, Request] = {}
KNOWN_MOST, KNOWN_BYTES_MOST = 256, 1024


TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (?:(?i:http)://[^/?\s]*)?([!-~]+) HTTP/(\d\.\d)\r\n")
FIELD = re.compile(rb"(" + TOKEN + rb"):([^\x00-\x08\x0a-\x1f\x7f]*)\r\n")  # a folded line begins with no token
BARE_LF = re.compile(rb"(?<!\r)\n")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")


def parse_head(head: bytes) -> Request:
    """head: from the request line to the empty line, inclusive. Raises Broken."""
    line = REQUEST_LINE.match(head)
    if not line:
        raise Broken(400)
    r = Request()
    r.route = None
    r.method, target, version = line[1], line[2], line[3]
    r.path, _, r.query = target.partition(b"?")
    if version not in (b"1.1", b"1.0"):
        raise Broken(505)
    r.is_http_1_0 = version == b"1.0"
    r.keep_alive = not r.is_http_1_0
    r.is_chunked = r.expects_continue = False
    hosts, length, options = 0, None, []
    at, end = line.end(), len(head) - 2
    while at < end:
        field = FIELD.match(head, at, end)
        if not field:
            raise Broken(400)
        at = field.end()
        name, value = field[1].lower(), field[2].strip(b" \t")
        if name == b"host":
            hosts += 1
        elif name == b"connection":
            options += [option.strip(b" \t").lower() for option in value.split(b",")]
        elif name == b"content-length":
            if not value.isdigit() or len(value) > 18 or length not in (None, int(value)):
                raise Broken(400)
            length = int(value)
        elif name == b"transfer-encoding":
            if r.is_chunked:
                raise Broken(400)
            if value.lower() != b"chunked":
                raise Broken(501)
            r.is_chunked = True
        elif name == b"expect":
            r.expects_continue = value.lower() == b"100-continue" and not r.is_http_1_0  # RFC 9110, 10.1.1
    if options:
        r.keep_alive = b"close" not in options and (r.keep_alive or b"keep-alive" in options)
    if hosts > 1 or (hosts == 0 and not r.is_http_1_0):
        raise Broken(400)
    if r.is_chunked and (length is not None or r.is_http_1_0):  # two framings: the classic way to smuggle a request
        raise Broken(400)
    r.length = length or 0
    if r.length > BODY_MAX:
        raise Broken(413)
    return r


class Chunks:
    """Decodes a chunked body step by step; what is decoded is taken off the input."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.left = 0  # of the present chunk, with its closing CRLF
        self.trailer_bytes = -1  # -1: not there yet

    def feed(self, data: bytearray) -> bool:
        """True when the body is complete. Raises Broken."""
        while True:
            if self.left > 2:
                take = data[: self.left - 2]
                self.body += take
                self.left -= len(take)
                del data[: len(take)]
                if self.left > 2:
                    return False
            if self.left:
                if data[:2] != b"\r\n"[: len(data)]:
                    raise Broken(400)
                if len(data) < 2:
                    return False
                del data[:2]
                self.left = 0
            limit = 256 if self.trailer_bytes < 0 else HEAD_MAX - self.trailer_bytes
            end = data.find(b"\n", 0, limit) + 1
            if not end:
                if len(data) >= limit:
                    raise Broken(400 if self.trailer_bytes < 0 else 431)
                return False
            line = bytes(data[:end])
            del data[:end]
            if self.trailer_bytes < 0:
                size = CHUNK_LINE.fullmatch(line)
                if not size:
                    raise Broken(400)
                self.left = int(size[1], 16) + 2
                if len(self.body) + self.left - 2 > BODY_MAX:
                    raise Broken(413)
                if self.left == 2:
                    self.left, self.trailer_bytes = 0, 0
            elif line == b"\r\n":
                return True
            elif FIELD.fullmatch(line):
                self.trailer_bytes += end
            else:
                raise Broken(400)


class Input:
    """What a client has sent and nobody has taken yet."""

    __slots__ = ("chunks", "data", "head", "scanned")

    def __init__(self) -> None:
        self.data = bytearray()
        self.scanned = 0  # of an incomplete head
        self.head: Request | None = None  # its body is still coming
        self.chunks: Chunks | None = None

    def is_empty(self) -> bool:
        return not (self.data or self.head)

    def next_request(self, replies: list[bytes]) -> tuple[Request, bytes] | None:
        """One whole request off the input, or None. May add an interim reply. Raises Broken."""
        r, data = self.head, self.data
        if r is None:
            if not data:
                return None
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
            r = self.take_head(end)
            if r.expects_continue and not data and (r.length or r.is_chunked):
                replies.append(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.head, self.chunks = r, Chunks() if r.is_chunked else None
        if self.chunks:
            if not self.chunks.feed(data):
                return None
            body = bytes(self.chunks.body)
        elif len(data) < r.length:
            return None
        elif r.length:
            body = bytes(data[: r.length])
            del data[: r.length]
        else:
            body = b""
        self.head = self.chunks = None
        return r, body

    def take_head(self, end: int) -> Request:
        head = bytes(self.data[:end])
        r = KNOWN.get(head)
        if r is None:
            r = parse_head(head)
            if not r.length and not r.is_chunked and end <= KNOWN_BYTES_MOST:
                if len(KNOWN) >= KNOWN_MOST:
                    KNOWN.clear()
                KNOWN[head] = r
        del self.data[:end]
        return r
