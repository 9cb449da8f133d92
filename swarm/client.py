"""One client's connection: connect, send, receive, over gevent's loop and without its socket layer.

Three calls into the kernel per exchange and no exception on the common path: a plain non-blocking socket, and one
watcher that stays armed while the connection is open (gevent's own socket makes and drops a waiter for each receive,
which halves the throughput). Deadlines are watched by one greenlet for all connections (`watch_deadlines`), so they
fire up to SWEEP_S late (above 2,000 connections: 50 us for each).

Every failure is a `Failed` whose text is one of a few kinds, named by phase: "ECONNRESET in first byte".
"""

from __future__ import annotations

import _socket
import errno
import functools
import ipaddress
import itertools
import os
import time
import zlib
from collections.abc import Iterator
from typing import Any

import gevent
from gevent import get_hub, getcurrent

from swarm import http1, kinds
from swarm.recorder import NEVER_NS
from swarm.row import Row
from swarm.settings import Target

IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; the kernel then picks the port at connect, per pair of addresses
SOURCES = 16  # x 28,232 ports each: more connections than one process has descriptors, and short port searches
SWEEP_S = 0.1
SWEEP_OF_EACH_S = (
    5e-5  # a look costs 50 ns: so the watch takes a thousandth of a core, however many connections are open
)
READ, WRITE = 1, 2  # libev's

_now_ns = time.monotonic_ns
_open: set[Connection] = set()


class Failed(Exception):
    """An exchange went wrong; its text is the kind under which it is counted."""


class TimedOut(Exception):
    """Thrown into the greenlet that waits past its deadline."""


def source_addresses(worker: str) -> Iterator[str]:
    """Return an endless round of this worker's own addresses: 127.64.0.0/10 is nobody's but the swarm's."""
    seed = zlib.crc32(worker.encode())
    net = f"127.{64 + (seed >> 8) % 64}.{seed % 256}"
    return itertools.cycle([f"{net}.{last}" for last in range(1, SOURCES + 1)])


def shared_sources(count: int) -> str:
    """Return so many addresses, the same for every worker; "" for none."""
    return " ".join(f"127.64.0.{last}" for last in range(1, count + 1))


def unique_messages(worker: str) -> Iterator[bytes]:
    """Return 13-byte messages; no two workers with different names begin alike, up to chance (1 in 10,000)."""
    first = zlib.crc32(worker.encode()) % 10_000 * 10**8
    return (b"%012d\n" % ((first + count) % 10**12) for count in itertools.count())


ME = os.environ.get("LAB_WORKER_ID") or str(os.getpid())
_sources = source_addresses(ME)
_messages = unique_messages(ME)


@functools.lru_cache
def _place(host: str) -> tuple[int, bool]:
    """Return a literal address's family, and whether the swarm's own source addresses can reach it."""
    address = ipaddress.ip_address(host)
    return (_socket.AF_INET, address.is_loopback) if address.version == 4 else (_socket.AF_INET6, False)


def _is_connected(sock: _socket.socket) -> bool:
    """Whether a connect is done already: on loopback it is, when connect() returns. Waiting for it in the loop costs
    a watcher and two switches for each connection."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def watch_deadlines() -> None:
    """Wake, for ever, whoever waits past its deadline. One greenlet per process runs this."""
    loop = get_hub().loop
    while True:
        gevent.sleep(max(SWEEP_S, len(_open) * SWEEP_OF_EACH_S))
        now_ns = _now_ns()
        for connection in [late for late in _open if late.deadline_ns <= now_ns]:
            loop.run_callback(connection.expire, connection.deadline_ns)


class Connection:
    """One connection to one target, used by one greenlet.

    started_ns: when the exchange under way began, 0 between exchanges. After a Failed it is closed.
    """

    __slots__ = (
        "_good",
        "_hub",
        "_sock",
        "_watcher",
        "deadline_ns",
        "greenlet",
        "request",
        "row",
        "started_ns",
        "target",
    )

    def __init__(self, target: Target, row: Row, request: bytes = b""):
        self.target, self.row, self.request = target, row, request
        self.started_ns = 0
        self.deadline_ns = NEVER_NS
        self.greenlet: Any = None
        self._hub = get_hub()
        self._sock: _socket.socket | None = None
        self._watcher: Any = None
        self._good = b""  # the last answer that was right, byte for byte: an equal one needs no parsing

    @property
    def is_open(self) -> bool:
        return self._sock is not None

    def open(self, patience_s: float) -> None:
        """Connect. Raises Failed."""
        row = self.row
        family, has_sources = _place(self.target.host)
        try:
            sock = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        except OSError as error:
            raise Failed(kinds.name_errno(error.errno, "socket")) from None
        self._sock, self.greenlet = sock, getcurrent()
        row.first_connect_ns = row.first_connect_ns or _now_ns()
        row.connecting += 1
        row.open.add(self)
        _open.add(self)
        connected = False
        try:
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            if has_sources:
                sock.setsockopt(_socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((next(_sources), 0))
            code = sock.connect_ex((self.target.host, self.target.port))
            if code == errno.EINPROGRESS:
                if not _is_connected(sock):
                    self._wait(WRITE, patience_s)
                code = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
            if code:
                raise Failed(kinds.name_errno(code, "connect"))
            self._watcher = self._hub.loop.io(sock.fileno(), READ)
            connected = True
        except TimedOut:
            raise Failed("timeout in connect") from None
        except OSError as error:
            raise Failed(kinds.name_errno(error.errno, "connect")) from None
        finally:
            row.connecting -= 1
            if connected:
                row.established += 1
                row.opened += 1
                row.last_established_ns = _now_ns()
            else:
                row.open.discard(self)
                _open.discard(self)
                self._sock = None
                sock.close()

    def close(self) -> None:
        """Close if open; may be called twice."""
        sock, self._sock = self._sock, None
        self.started_ns = 0
        if sock is None:
            return
        _open.discard(self)
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        sock.close()
        self.row.established -= 1
        self.row.open.discard(self)

    def ask(self, patience_s: float) -> int:
        """Send the request and check its answer; return when the last byte came (ns).

        The caller has set started_ns. Closes itself when the server will not keep the connection. Raises Failed.
        """
        try:
            self._send(self.request)
            data = self._receive(patience_s)
            if data == self._good and data:
                return _now_ns()
            reader = http1.AnswerReader()
            answer = None
            first = data
            pieces = 1
            while answer is None:
                if not data:
                    answer = reader.end()
                    break
                answer = reader.feed(data)
                if answer is None:
                    data = self._receive(patience_s, "body")
                    pieces += 1
            done_ns = _now_ns()
        except http1.Malformed:
            raise self._failed(kinds.MALFORMED) from None
        except http1.ClosedEarly:
            raise self._failed(kinds.CLOSED) from None
        if kind := kinds.judge_answer(answer, reader.rest, self.target.body):
            raise self._failed(kind)
        if not answer.keeps_alive:
            self.close()
        elif pieces == 1:
            self._good = first
        return done_ns

    def echo(self, patience_s: float) -> int:
        """Send a message of our own, expect it back and then the end; return when its last byte came (ns).

        This is the raw protocol of the seed servers: one message in, 13 bytes out, close. Raises Failed.
        """
        message = next(_messages)
        self._send(message)
        got = b""
        while len(got) < len(message):
            data = self._receive(patience_s, "body" if got else "first byte")
            if not data:
                raise self._failed(kinds.judge_echo(message, got, has_ended=True))
            got += data
        done_ns = _now_ns()
        if kind := kinds.judge_echo(message, got, has_ended=False):
            raise self._failed(kind)
        if self._receive(patience_s, "close"):
            raise self._failed(kinds.WRONG_BODY)
        return done_ns

    def _send(self, data: bytes) -> None:
        assert self._sock is not None
        try:
            sent = self._sock.send(data)
        except OSError as error:
            raise self._failed(kinds.name_errno(error.errno, "send")) from None
        self.row.sent += 1
        if sent != len(data):
            # A request is far smaller than an empty send buffer; a server that does not read cannot cause this.
            raise self._failed("short send")

    def expire(self, deadline_ns: int) -> None:
        """Throw TimedOut into the waiting greenlet, unless what it waited for came in the meantime. Runs in the hub."""
        if self.deadline_ns == deadline_ns and self.greenlet is not None:
            self.deadline_ns = NEVER_NS
            self.greenlet.throw(TimedOut)

    def _receive(self, patience_s: float, phase: str = "first byte") -> bytes:
        """Wait for bytes and return them; b"" when the peer closed."""
        assert self._sock is not None
        watcher = self._watcher
        self.deadline_ns = (self.started_ns or _now_ns()) + int(patience_s * 1e9)
        try:
            # Armed from the first wait to the close. Safe because this greenlet sleeps nowhere else while it is open.
            if not watcher.active:
                watcher.start(self.greenlet.switch)
            while True:
                self._hub.switch()
                try:
                    data = self._sock.recv(4096)
                except BlockingIOError:
                    continue
                self.deadline_ns = NEVER_NS
                return data
        except TimedOut:
            raise self._failed(f"timeout in {phase}") from None
        except OSError as error:
            raise self._failed(kinds.name_errno(error.errno, phase)) from None

    def _wait(self, events: int, patience_s: float) -> None:
        assert self._sock is not None
        watcher = self._hub.loop.io(self._sock.fileno(), events)
        self.deadline_ns = _now_ns() + int(patience_s * 1e9)
        try:
            self._hub.wait(watcher)
        finally:
            self.deadline_ns = NEVER_NS
            watcher.close()

    def _failed(self, kind: str) -> Failed:
        self.close()
        return Failed(kind)
