"""The swarm's connection against small servers in threads: right answers, and each failure under its word."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from swarm import client
from swarm.http1 import render_get
from swarm.recorder import Recorder
from swarm.row import Row
from swarm.settings import Target

RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world!"


@contextmanager
def serve(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection with `handle` in a thread, until the block ends; gives the port."""

    def loop() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                handle(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=loop, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def connect(port: int) -> tuple[client.Connection, Row]:
    row = Recorder(lambda: 0).row("v", "/plain")
    target = Target("v", "127.0.0.1", port, "http", False)
    return client.Connection(target, row, render_get("/plain", "127.0.0.1", port)), row


def ask(port: int, times: int = 1, patience_s: float = 5.0, how: str = "ask") -> Row:
    """Open, exchange so often, close; in a greenlet beside the deadline watcher, as in a worker."""

    def exchange() -> Row:
        connection, row = connect(port)
        try:
            connection.open(patience_s)
            for _ in range(times):
                connection.started_ns = time.monotonic_ns()
                getattr(connection, how)(patience_s)
        finally:
            connection.close()
        return row

    watcher = gevent.spawn(client.watch_deadlines)
    try:
        row: Row = gevent.spawn(exchange).get(timeout=10)
    finally:
        watcher.kill()
    return row


def answering(*pieces: bytes) -> Callable[[socket.socket], None]:
    """A handler that answers each request with these pieces, a moment apart."""

    def handle(connection: socket.socket) -> None:
        while connection.recv(4096):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.002)

    return handle


def read_and_close(connection: socket.socket) -> None:
    connection.recv(4096)  # unread bytes would make the close a reset


def reset(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_one_connection_serves_many_requests() -> None:
    """23 requests, one connection opened, none left open."""
    with serve(answering(RIGHT)) as port:
        row = ask(port, times=23)

    assert (1, 0, 0) == (row.opened, row.established, len(row.open))


def test_answer_in_pieces_is_right() -> None:
    """Cut inside the head and inside the body, again and again on one connection."""
    with serve(answering(RIGHT[:9], RIGHT[9:-4], RIGHT[-4:])) as port:
        row = ask(port, times=5)

    assert 1 == row.opened


def test_client_comes_from_an_address_of_its_own() -> None:
    """Source addresses are in 127.64.0.0/10 and change from one connection to the next."""
    seen: list[Any] = []

    def handle(connection: socket.socket) -> None:
        seen.append(connection.getpeername()[0])
        answering(RIGHT)(connection)

    with serve(handle) as port:
        for _ in range(3):
            ask(port)

    assert 3 == len(set(seen))
    assert all(64 <= int(address.split(".")[1]) < 128 for address in seen)


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        (answering(RIGHT.replace(b"200", b"503")), "status 503"),
        (answering(RIGHT.replace(b"world", b"earth")), "wrong body"),
        (answering(RIGHT.replace(b"13", b"12")[:-1]), "wrong length"),
        (answering(RIGHT + b"more"), "malformed answer"),
        (answering(RIGHT[:-4]), "timeout in body"),
        (answering(b"garbage\r\n\r\n"), "malformed answer"),
        (read_and_close, "closed before the answer"),
        (reset, "ECONNRESET in first byte"),
        (lambda connection: time.sleep(1.0), "timeout in first byte"),
    ],
    ids=["503", "body", "length", "more", "half", "garbage", "closed", "reset", "silent"],
)
def test_failure_has_its_kind(handle: Callable[[socket.socket], None], kind: str) -> None:
    """And the connection is closed after it."""
    with serve(handle) as port, pytest.raises(client.Failed) as caught:
        ask(port, patience_s=0.3)

    assert kind == str(caught.value)


def test_refused_connection_has_its_kind() -> None:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(client.Failed, match="ECONNREFUSED in connect"):
        ask(port)


def test_full_accept_queue_times_out_in_connect() -> None:
    """A listener that nobody accepts from takes backlog + 1 connections; the next gets no answer to its SYN."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), pytest.raises(client.Failed, match="timeout in connect"):
            ask(port, patience_s=0.3)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (lambda got: got, ""),
        (lambda got: b"000000000000\n", "another client's answer"),
        (lambda got: got[:5], "closed before the answer"),
        (lambda got: got + b"x", "wrong body"),
    ],
    ids=["ours", "another's", "short", "long"],
)
def test_raw_exchange_is_checked_byte_by_byte(reply: Callable[[bytes], bytes], kind: str) -> None:
    """The seed's protocol: 13 bytes in, the same 13 out, then the end."""
    with serve(lambda connection: connection.sendall(reply(connection.recv(1024)))) as port:
        if not kind:
            assert 1 == ask(port, how="echo").opened
            return
        with pytest.raises(client.Failed) as caught:
            ask(port, how="echo")

    assert kind == str(caught.value)


def test_shared_sources_are_the_same_for_every_worker() -> None:
    """As many as asked for, none for 0: each worker has its own then."""
    assert ("", "127.64.0.1", "127.64.0.1 127.64.0.2 127.64.0.3") == tuple(map(client.shared_sources, (0, 1, 3)))
