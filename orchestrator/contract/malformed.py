"""Requests that are none: each is answered by 4xx or a close, the one behind it by nothing, the next client as ever."""

from __future__ import annotations

import time
from collections.abc import Callable

from .check import Site, keeps
from .talk import Broken, Talk, render

GET = b"GET /plain HTTP/1.1\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: lab\r\n"
HOST = b"Host: lab\r\n"
KIB = 1024
# A client's first TLS record (RFC 8446, 5.1): handshake, version, length 512, hello, length 508, version, random, ...
TLS_HELLO = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200, 232)) + b"\x20" + bytes(range(32)) + bytes(443)
)


def chunked(body: bytes) -> bytes:
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + body


def length(*values: bytes) -> bytes:
    return POST + b"".join(b"Content-Length: %b\r\n" % value for value in values) + b"\r\nhello"


# id -> each request to be refused, and with which status; None: any 4xx, or a close.
REFUSED: dict[str, tuple[int | None, tuple[bytes, ...]]] = {
    "te-with-cl": (
        None,
        (
            POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 10\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
    ),
    "te-unknown": (
        501,
        (
            POST + b"Transfer-Encoding: gzip\r\n\r\n",
            POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ),
    ),
    "cl-differ": (None, (length(b"5", b"6"), length(b"6", b"5"), POST + b"Content-Length: 5, 6\r\n\r\nhello")),
    "cl-plus": (None, (length(b"+5"),)),
    "cl-negative": (None, (length(b"-1"), length(b"-5"), length(b"-0"))),
    "cl-not-a-number": (
        None,
        (length(b"5x"), length(b"0x5"), length(b"5.0"), length(b"five"), length(b""), length(b"5 5")),
    ),
    "cl-overflow": (None, tuple(length(b"%d" % number) for number in (2**64, 2**64 + 5, 2**128 + 5, 10**40))),
    "bare-lf": (
        None,
        (
            b"GET /plain HTTP/1.1\nHost: lab\n\n",
            b"GET /plain HTTP/1.1\nHost: lab\r\n\r\n",
            GET + b"Host: lab\nX-A: b\r\n\r\n",
        ),
    ),
    "space-before-colon": (
        None,
        (GET + HOST + b"X-A : b\r\n\r\n", POST + b"Content-Length : 5\r\n\r\nhello", GET + b"Host\t: lab\r\n\r\n"),
    ),
    "obs-fold": (
        None,
        (
            GET + HOST + b"X-A: b\r\n c\r\n\r\n",
            GET + HOST + b"X-A: b\r\n\tc\r\n\r\n",
            GET + b" X-A: b\r\n" + HOST + b"\r\n",
        ),
    ),
    "nul": (
        None,
        (
            GET + HOST + b"X-A: b\0c\r\n\r\n",
            GET + HOST + b"X\0A: b\r\n\r\n",
            b"GET /pl\0ain HTTP/1.1\r\n" + HOST + b"\r\n",
        ),
    ),
    "chunk-size-bad": (
        None,
        tuple(
            chunked(text)
            for text in (
                b"zz\r\n",
                b"\r\nhello\r\n0\r\n\r\n",
                b"-5\r\nhello\r\n0\r\n\r\n",
                b"+5\r\nhello\r\n0\r\n\r\n",
                b"0x5\r\nhello\r\n0\r\n\r\n",
                b"5 5\r\nhello\r\n0\r\n\r\n",
                b";a=b\r\nhello\r\n0\r\n\r\n",
            )
        ),
    ),
    # Eight bytes hold sixteen digits. What fits them is a large chunk, not a malformed one: chunked-too-large.
    "chunk-size-overflow": (
        None,
        tuple(
            chunked(text + b"\r\nhello\r\n0\r\n\r\n")
            for text in (b"10000000000000005", b"fffffffffffffffff", b"1" + b"0" * 31 + b"5")
        ),
    ),
    "chunk-end-bad": (
        None,
        (chunked(b"5\r\nhelloX\r\n0\r\n\r\n"), chunked(b"5\r\nhello!!0\r\n\r\n"), chunked(b"3\r\nhello\r\n0\r\n\r\n")),
    ),
    "host-missing": (None, (GET + b"\r\n", GET + b"X-Host: lab\r\n\r\n")),
    "host-double": (None, (GET + HOST + b"Host: other\r\n\r\n", GET + HOST + HOST + b"\r\n")),
    "request-line-bad": (
        None,
        (
            b"nonsense\r\n\r\n",
            b"GET /plain\r\n" + HOST + b"\r\n",
            b"GET  /plain HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET /plain HTTP/1.1 \r\n" + HOST + b"\r\n",
            b"GET /pla in HTTP/1.1\r\n" + HOST + b"\r\n",
            b"G(T /plain HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET /plain HTTX/1.1\r\n" + HOST + b"\r\n",
            bytes(range(128, 256)) + b"\r\n\r\n",
        ),
    ),
    "header-16k": (
        431,
        (
            GET + HOST + b"X-Long: " + b"a" * 17 * KIB + b"\r\n\r\n",
            GET + HOST + b"".join(b"X-%d: %b\r\n" % (number, b"b" * 1000) for number in range(17)) + b"\r\n",
        ),
    ),
    "header-1m": (None, (GET + HOST + b"X-Long: " + b"a" * KIB * KIB + b"\r\n\r\n",)),
    "headers-10000": (None, (GET + HOST + b"".join(b"X-%d: b\r\n" % number for number in range(10000)) + b"\r\n",)),
    "tls-hello": (None, (TLS_HELLO,)),
}
BEHIND = render("/echo", "POST", body=b"smuggled")


def refuses(id_: str) -> Callable[[Site], str]:
    """Return the check that each of a line's requests is refused."""

    def check(site: Site) -> str:
        status, requests = REFUSED[id_]
        seen = []
        for request in requests:
            with site.talk() as talk:
                # What does not go at once may meet a server that has refused already and reads no more.
                talk.try_send(request + (b"" if id_ == "tls-hello" else BEHIND))
                # A server that waits for more, until the body's time is over, has not refused anything. A TLS hello
                # need not be told from a head that is still to end: that has its own time.
                within_s = min(talk.patience_s, site.told.body_timeout_s / 2)
                if id_ == "tls-hello":
                    within_s = site.told.head_timeout_s + site.told.late_s
                seen.append(refusal(talk, status, within_s))
            site.still_serves()
        return ", ".join(sorted(set(seen)))

    check.__name__ = id_.replace("-", "_")
    return check


def refusal(talk: Talk, status: int | None, within_s: float) -> str:
    """Return the one reply's status, or "closed". Raises Broken for another answer, for a second one, or for none."""
    wanted = f"{status}, and the end" if status else "4xx and the end, or the end alone"
    deadline_s = time.monotonic() + within_s
    while (data := talk.receive(deadline_s)) != b"":
        if data is None:
            raise Broken(wanted, f"still open after {within_s:g} s, {talk.data[:40]!r} received", talk)
        talk.data += data
    if not talk.data:
        if status:
            raise Broken(wanted, "the end alone", talk)
        return "closed"
    whole = talk.data
    reply = talk.reply()
    if reply.status != status if status else not 400 <= reply.status < 500:
        raise Broken(wanted, str(reply), talk)
    if talk.data:
        raise Broken("nothing behind the refusal", f"{len(whole)} bytes, {talk.data[:80]!r} among them", talk)
    return str(reply.status)


for _id in REFUSED:
    keeps(_id)(refuses(_id))
