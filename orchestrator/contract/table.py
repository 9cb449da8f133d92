"""Every check: its id, the act it belongs to, a title, and the sentence of servers/CONTRACT.md it guards.

Ids are stable: manifests name them in `lacks`, reports and JUnit show them.
"""

from __future__ import annotations

from typing import NamedTuple

ROUTES = ("plain", "delay", "hold", "release", "echo", "healthz", "stats")
ACTS = ("wire", "crowd", "starve", "drain", "linger")


class Item(NamedTuple):
    """One check. needs: the routes it uses. alone: nothing else may talk to the server meanwhile."""

    id: str
    act: str
    title: str
    sentence: str
    needs: tuple[str, ...] = ("plain",)
    alone: bool = False


_GREETING = "GET /plain -> 200, text/plain, 13 bytes, Server, Date."
_DELAY = "GET /delay?ms=N -> the same after N ms, 0-120000; missing, out of range or not a number: 400."
_LEAVING = "A client that disconnects during /delay or /hold frees its connection, thread and timer at once."
_ECHO = "POST /echo -> 200 and the body, up to 65536 bytes, with Content-Length or chunked; more: 413."
_STATS = "GET /stats: accepted, active, held, requests, errors, open_fds, threads; what cannot be counted is null."
_PIECES = "A request may arrive in any pieces, several in one piece."
_ORDER = "Pipelined requests are answered in order. An earlier reply does not wait for a later /delay."
_CLOSING = (
    "Keep-alive by default in HTTP/1.1, Connection: close honoured; HTTP/1.0 closes unless it asks for keep-alive."
)
_LIMITS = "A head must be complete 10 s after accept or, later, after its first byte."
_BODY = "A body has 30 s; so has a client to take what is sent to it."
_REFUSED = "Malformed: 400 (or close) and still serving afterwards."
_HEAD_SIZE = "A head over 16 KiB: 431."
_LINGER = "After a refused request whatever the client still sends is discarded for up to 2 s before close."
_EMFILE = "EMFILE at accept: leave the listener alone for 100 ms, count it. Never spin, never exit."
_DRAIN = "SIGTERM: close the listener and idle connections, finish what is in flight within LAB_DRAIN_S, exit 0."

ITEMS = (
    # What one request shows.
    Item("plain", "wire", "exact bytes and headers of GET /plain", _GREETING),
    Item("server-name", "wire", "Server is the variant's name", "Server: <name>."),
    Item("date-advances", "wire", "Date is right and advances", "Date: not older than a second or so."),
    Item("no-cache", "wire", "no answer comes from a cache", "Each request is answered for itself.", ("plain", "echo")),
    Item("healthz", "wire", "GET /healthz shows the run's nonce, and only it does",
         "With LAB_NONCE, and only then, the header Lab-Nonce.", ("healthz", "plain")),
    Item("head", "wire", "HEAD is GET without the body", "HEAD is answered as GET without the body."),
    Item("not-found", "wire", "another path is 404", "Another path: 404."),
    Item("method-not-allowed", "wire", "another method is 405", "Another method: 405.", ("plain", "echo")),
    Item("header-forms", "wire", "header names in any case, spaces around values", "HTTP/1.1 (RFC 9112, 5.1).",
         ("plain", "echo")),
    Item("head-below-16k", "wire", "a head of 16,000 bytes is served", _HEAD_SIZE),
    # Connections.
    Item("keep-alive", "wire", "HTTP/1.1 keeps the connection", _CLOSING),
    Item("connection-close", "wire", "Connection: close closes after the reply", _CLOSING),
    Item("http10-closes", "wire", "HTTP/1.0 closes after the reply", _CLOSING),
    Item("http10-keep-alive", "wire", "HTTP/1.0 with keep-alive keeps the connection", _CLOSING),
    Item("tcp-nodelay", "wire", "small replies are not held back", "TCP_NODELAY on.", ("plain", "delay")),
    Item("backlog", "wire", "the kernel shows the backlog", "LAB_BACKLOG is passed to listen(2) as it is.", (), True),
    # Framing.
    Item("echo", "wire", "POST /echo with Content-Length, 0 to 65,536 bytes", _ECHO, ("echo",)),
    Item("echo-too-large", "wire", "65,537 bytes with Content-Length are 413", _ECHO, ("echo", "plain")),
    Item("chunked-echo", "wire", "chunked bodies: many chunks, extensions, trailers, 65,536 bytes", _ECHO, ("echo",)),
    Item("chunked-too-large", "wire", "65,537 bytes in chunks are 413", _ECHO, ("echo", "plain")),
    Item("unwanted-body", "wire", "a body nobody asked for is not taken for a request", _PIECES),
    Item("expect-continue", "wire", "Expect: 100-continue is answered before the body",
         "Expect: 100-continue is answered.", ("echo",)),
    Item("pipelined-ten", "wire", "ten requests in one segment, answered in order", _ORDER, ("plain", "echo")),
    Item("pipelined-delay", "wire", "an earlier reply does not wait for a later /delay", _ORDER, ("echo", "delay")),
    Item("byte-by-byte", "wire", "one byte per segment", _PIECES, ("plain", "echo")),
    Item("split-anywhere", "wire", "a request split at each of its bytes", _PIECES, ("plain", "echo")),
    # Waiting.
    Item("delay", "wire", "GET /delay waits as long as asked", _DELAY, ("delay",)),
    Item("delay-bounds", "wire", "GET /delay refuses what is no number of 0-120000", _DELAY, ("delay",)),
    Item("delay-left-fin", "wire", "end of input cancels /delay", _LEAVING, ("delay",), True),
    Item("delay-left-rst", "wire", "a reset cancels /delay", _LEAVING, ("delay", "stats"), True),
    Item("hold", "wire", "GET /hold waits for POST /release", "GET /hold -> the same after somebody's POST /release.",
         ("hold", "release"), True),
    Item("release", "wire", "POST /release says how many it released", 'POST /release -> 200, {"released": n}.',
         ("hold", "release"), True),
    Item("hold-left", "wire", "leaving /hold by FIN or RST is noticed", _LEAVING, ("hold", "release", "stats"), True),
    # Counts.
    Item("stats", "wire", "GET /stats has its keys", _STATS, ("stats",)),
    Item("stats-connections", "wire", "accepted, active and held are true", _STATS, ("stats", "plain"), True),
    Item("stats-requests", "wire", "requests counts the well-formed ones exactly", _STATS, ("stats", "plain"), True),
    Item("stats-runtime", "wire", "its runtime's own numbers are there and follow the load",
         "Go adds goroutines, ...; Java jvm_threads, ...", ("stats", "hold"), True),
    # Malformed.
    Item("te-with-cl", "wire", "Transfer-Encoding with Content-Length", _REFUSED, ("echo", "plain")),
    Item("te-unknown", "wire", "a transfer coding other than chunked", "A transfer coding other than chunked: 501.",
         ("echo", "plain")),
    Item("cl-differ", "wire", "Content-Lengths that differ", _REFUSED, ("echo", "plain")),
    Item("cl-plus", "wire", "Content-Length: +5", _REFUSED, ("echo", "plain")),
    Item("cl-negative", "wire", "Content-Length: -1", _REFUSED, ("echo", "plain")),
    Item("cl-not-a-number", "wire", "Content-Length: 5x, 0x5, 5.0 or nothing", _REFUSED, ("echo", "plain")),
    Item("cl-overflow", "wire", "Content-Length beyond 64 bits", _REFUSED, ("echo", "plain")),
    Item("bare-lf", "wire", "a bare line feed", _REFUSED),
    Item("space-before-colon", "wire", "a space before a colon", _REFUSED),
    Item("obs-fold", "wire", "a folded header line", _REFUSED),
    Item("nul", "wire", "NUL in a header", _REFUSED),
    Item("chunk-size-bad", "wire", "a chunk size that is no number", _REFUSED, ("echo", "plain")),
    Item("chunk-size-overflow", "wire", "a chunk size beyond 64 bits", _REFUSED, ("echo", "plain")),
    Item("chunk-end-bad", "wire", "a chunk longer than its size", _REFUSED, ("echo", "plain")),
    Item("host-missing", "wire", "no Host in HTTP/1.1", _REFUSED),
    Item("host-double", "wire", "two Hosts", _REFUSED),
    Item("request-line-bad", "wire", "no HTTP request line", _REFUSED),
    Item("header-16k", "wire", "a head of 17 KiB is 431", _HEAD_SIZE),
    Item("header-1m", "wire", "a header line of 1 MiB", _HEAD_SIZE),
    Item("headers-10000", "wire", "10,000 header lines", _HEAD_SIZE),
    Item("tls-hello", "wire", "a TLS hello", _REFUSED),
    # Slow clients.
    Item("silent-client", "wire", "who never asks has 10 s", _LIMITS),
    Item("slowloris", "wire", "a head that dribbles in has 10 s", _LIMITS),
    Item("slow-second-head", "wire", "so has the second head, from its first byte", _LIMITS),
    Item("idle-stays", "wire", "between requests a client may stay silent",
         "Between two requests a client may stay silent for ever."),
    Item("slow-body", "wire", "a body that dribbles in has 30 s", _BODY, ("echo", "plain")),
    Item("slow-chunks", "wire", "so has a chunked one", _BODY, ("echo", "plain")),
    Item("slow-reader", "wire", "a client that takes nothing has 30 s", _BODY, ("echo", "plain")),
    # Crowds.
    Item("echo-crowd", "crowd", "1,000 at once each get their own bytes back", _ECHO, ("echo",), True),
    Item("descriptors-back", "crowd", "descriptors are given back after 10,000 connections",
         "A client that disconnects frees its connection.", ("plain", "stats"), True),
    Item("threads-back", "crowd", "threads are given back after 10,000 connections",
         "A client that disconnects frees its thread.", ("plain", "stats"), True),
    Item("no-aborts", "crowd", "a clean run aborts no connection",
         "In a clean run the kernel's TCPAbortOn* counters stay 0.",
         ("plain", "echo"), True),
    # Without descriptors.
    Item("emfile-survived", "starve", "serves again when descriptors are free", _EMFILE, ("plain",), True),
    Item("emfile-counted", "starve", "counts EMFILE, at most once in 100 ms", _EMFILE, ("plain", "stats"), True),
    Item("emfile-no-spin", "starve", "takes next to no CPU time meanwhile", _EMFILE, ("plain",), True),
    # Refused, politely.
    Item("lingering-close", "linger", "a refused client can send on and read why", _LINGER, ("echo",), True),
    Item("linger-ends", "linger", "but not for ever", _LINGER, ("plain",), True),
    Item("no-abort-on-refusal", "linger", "a refusal aborts no connection", _LINGER, ("plain", "echo"), True),
    # Stopping.
    Item("drain-listener", "drain", "nobody new is let in after SIGTERM", _DRAIN, ("delay",), True),
    Item("drain-idle", "drain", "idle connections are closed at once", _DRAIN, ("delay", "plain"), True),
    Item("drain-in-flight", "drain", "what is in flight is finished, and closed", _DRAIN, ("delay",), True),
    Item("drain-body", "drain", "a request half sent is finished too", _DRAIN, ("delay", "echo"), True),
    Item("drain-exit", "drain", "exits 0 within LAB_DRAIN_S", _DRAIN, ("delay",), True),
)  # fmt: skip

BY_ID = {item.id: item for item in ITEMS}
