"""The engine against servers that answer rightly, wrongly, late, in pieces or not at all: each outcome counts once."""

from __future__ import annotations

import errno
import itertools
import socket
import threading
import time
from collections.abc import Callable

import pytest

from tests.swarm.loose import (
    ANSWER,
    BODY,
    CLOSE,
    CLOSED,
    CONNECT,
    ENDED,
    FIRST_BYTE,
    HOLD,
    IN_BODY,
    LENGTH,
    MALFORMED,
    OPEN,
    RESET,
    SEND,
    STATUS,
    TIMEOUT,
    WRONG_BODY,
    Loose,
    Serve,
    eventually,
    saying,
    silence,
)


def test_closed_loop_counts_what_the_server_counts(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Every request the server answered is an answer or still under way; the connections are those asked for."""
    served: list[int] = []

    def serve(connection: socket.socket) -> None:
        count = 0
        try:
            while connection.recv(4096):
                count += 1
                connection.sendall(ANSWER)
        finally:
            served.append(count)

    row = engine.row()
    group = engine.group(row, CLOSED, server(serve), 4)
    eventually(lambda: engine.counts(row)["answered"] > 200)
    assert (4, 4, 0) == tuple(engine.counts(row)[key] for key in ("established", "opened", "failed"))
    engine.end(group)
    eventually(lambda: len(served) == 4)

    counts, taken = engine.counts(row), engine.take(row)
    assert counts["answered"] == sum(taken["answered"].values())
    assert counts["sent"] == sum(served)
    assert 0 <= sum(served) - counts["answered"] <= 4
    assert ({}, 0, 0) == (taken["errors"], counts["established"], counts["waiting"])
    assert {} == engine.take(row)["answered"]


@pytest.mark.parametrize(
    ("pieces", "reset", "expected"),
    [
        ((b"HTTP/1.1 302 Found\r\nLocation: //x/\r\nContent-Length: 0\r\n\r\n",), False, (IN_BODY, STATUS + 302)),
        ((b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",), False, (IN_BODY, STATUS + 500)),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello",), False, (IN_BODY, LENGTH)),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHallo, world!",), False, (IN_BODY, WRONG_BODY)),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), False, (IN_BODY, MALFORMED)),
        ((ANSWER + b"more",), False, (IN_BODY, MALFORMED)),
        ((), False, (FIRST_BYTE, ENDED)),
        ((ANSWER[:20],), False, (IN_BODY, ENDED)),
        ((ANSWER[:-1],), False, (IN_BODY, ENDED)),
        ((), True, (FIRST_BYTE, errno.ECONNRESET)),
        ((ANSWER[:45],), True, (IN_BODY, errno.ECONNRESET)),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_named_by_phase_and_kind(
    engine: Loose,
    server: Callable[[Serve], int],
    pieces: tuple[bytes, ...],
    reset: bool,
    expected: tuple[int, int],
) -> None:
    """One exchange, one error, and no second connection for somebody who asks once."""
    row = engine.row(by_start=True)
    engine.group(row, HOLD, server(saying(*pieces, reset=reset)), 1, once=1)
    eventually(lambda: engine.counts(row)["failed"] == 1)
    assert {expected: 1} == engine.take(row)["errors"]
    assert (1, 0) == tuple(engine.counts(row)[key] for key in ("opened", "answered"))


def resetting(go: threading.Event, first: int) -> Serve:
    """Return a server whose first connections are reset, unasked, once `go` is set; later ones are left alone."""
    order = itertools.count()

    def serve(connection: socket.socket) -> None:
        if next(order) < first:
            go.wait(20)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        else:
            silence(connection)

    return serve


@pytest.mark.parametrize(("reset", "errors"), [(True, {(CLOSE, errno.ECONNRESET): 1}), (False, {})])
def test_a_reset_after_the_answer_is_an_error_of_the_close_and_an_end_in_order_is_none(
    engine: Loose, server: Callable[[Serve], int], reset: bool, errors: dict[tuple[int, int], int]
) -> None:
    """The exchange stays answered and nothing else is missing: the error is the connection's, not an answer's."""
    row = engine.row(by_start=True)
    engine.window(time.monotonic_ns(), time.monotonic_ns() + 60 * 10**9)
    engine.group(row, HOLD, server(saying(ANSWER, reset=reset)), 1, once=1, stays=1)
    eventually(lambda: engine.counts(row)["answered"] == 1 and engine.counts(row)["established"] == 0)

    assert errors == engine.take(row)["errors"]
    assert {} == engine.scored(row)["errors"]
    assert (1, 0) == tuple(engine.counts(row)[key] for key in ("opened", "failed"))


def test_a_pool_that_is_reset_while_idle_is_opened_again(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Three idle connections, three resets, three errors of the close; no arrival was due, so none failed."""
    go, row = threading.Event(), engine.row()
    first_ns = time.monotonic_ns() + 3600 * 10**9
    engine.group(row, OPEN, server(resetting(go, 3)), 3, rate_per_s=1.0, first_ns=first_ns)
    eventually(lambda: engine.counts(row)["established"] == 3)
    go.set()
    eventually(lambda: engine.counts(row)["opened"] == 6 and engine.counts(row)["established"] == 3)

    assert {(CLOSE, errno.ECONNRESET): 3} == engine.take(row)["errors"]
    assert (0, 0) == tuple(engine.counts(row)[key] for key in ("failed", "planned"))


def test_a_server_that_resets_what_the_engine_closes_makes_no_error(
    engine: Loose, server: Callable[[Serve], int]
) -> None:
    """The end of a trial: the engine ends first, whatever the server says to that."""
    ended: list[int] = []

    def serve(connection: socket.socket) -> None:
        while connection.recv(4096):
            connection.sendall(ANSWER)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
        ended.append(1)

    row = engine.row(by_start=True)
    group = engine.group(row, HOLD, server(serve), 5, once=1, stays=1)
    eventually(lambda: engine.counts(row)["answered"] == 5)
    engine.end(group, count_unanswered=True)
    eventually(lambda: len(ended) == 5)

    assert ({}, 0) == (engine.take(row)["errors"], engine.counts(row)["failed"])


@pytest.mark.parametrize(
    "pieces",
    [
        tuple(ANSWER[i : i + 1] for i in range(len(ANSWER))),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n8;x=y\r\n, world!\r\n0\r\nA: b\r\n\r\n",),
        (b"HTTP/1.0 200 OK\r\n\r\nHello, ", b"world!"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ANSWER),
    ],
)
def test_every_framing_of_the_right_answer_is_right(
    engine: Loose, server: Callable[[Serve], int], pieces: tuple[bytes, ...]
) -> None:
    """Pieces, chunks, an interim answer, and a body that ends with the connection."""
    row = engine.row(by_start=True)
    engine.group(row, HOLD, server(saying(*pieces)), 1, once=1)
    eventually(lambda: engine.counts(row)["answered"] + engine.counts(row)["failed"] == 1)
    assert {} == engine.take(row)["errors"]


def test_nobody_listens(engine: Loose) -> None:
    """Each connect is refused, is counted, and is tried again after a pause that grows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    row = engine.row()
    engine.group(row, CLOSED, port, 10)
    eventually(lambda: engine.counts(row)["failed"] >= 40)
    assert {(CONNECT, errno.ECONNREFUSED)} == set(engine.take(row)["errors"])
    time.sleep(0.2)
    assert engine.counts(row)["failed"] < 200, "ten connections that never pause would have failed thousands of times"


def test_patience_ends_in_the_phase_it_was_lost_in(engine: Loose, server: Callable[[Serve], int]) -> None:
    """A silent server and one that stops in the middle."""

    def half(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(ANSWER[:30])
        silence(connection)

    for serve, phase in ((silence, FIRST_BYTE), (half, IN_BODY)):
        row = engine.row(by_start=True)
        engine.group(row, HOLD, server(serve), 3, once=1, patience_ns=50 * 10**6)
        eventually(lambda row=row: engine.counts(row)["failed"] == 3)  # type: ignore[misc]
        taken = engine.take(row)
        assert {(phase, TIMEOUT): 3} == taken["errors"]
        assert min(taken["failed"]) >= 50_000


@pytest.mark.parametrize(("resets", "wrong"), [(True, errno.ECONNRESET), (False, TIMEOUT)])
def test_a_request_that_nobody_reads_fails_in_the_send(
    engine: Loose, server: Callable[[Serve], int], resets: bool, wrong: int
) -> None:
    """More than both windows hold: connected, part of it under way, and then a reset or no patience left."""
    go = threading.Event()

    def serve(connection: socket.socket) -> None:
        go.wait(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    row = engine.row(by_start=True)
    engine.group(row, HOLD, server(serve), 1, once=1, request=b"GET /" + b"x" * (64 << 20) + b" HTTP/1.1\r\n\r\n",
                 patience_ns=10**10 if resets else 50 * 10**6)  # fmt: skip
    if resets:
        eventually(lambda: engine.counts(row)["established"] == 1)
        go.set()
    eventually(lambda: engine.counts(row)["failed"] == 1)
    go.set()

    assert {(SEND, wrong): 1} == engine.take(row)["errors"]
    assert (1, 0) == tuple(engine.counts(row)[key] for key in ("opened", "sent"))


@pytest.mark.parametrize(
    ("sample", "body", "errors"),
    [
        (16, b"Hallo, world!", {(IN_BODY, WRONG_BODY): 3}),
        (1, b"Hallo, world!", {(IN_BODY, WRONG_BODY): 48}),
        (0, b"Hallo, world!", {}),
        (16, b"Hello, world", {(IN_BODY, LENGTH): 48}),
        (0, b"Hello, world!!", {(IN_BODY, LENGTH): 48}),
        (16, BODY, {}),
    ],
)
def test_the_body_is_compared_on_a_sample_and_the_length_always(
    engine: Loose, server: Callable[[Serve], int], sample: int, body: bytes, errors: dict[tuple[int, int], int]
) -> None:
    """Of 48 wrong bodies every 16th is found; of 48 wrong lengths each one."""
    row = engine.row(by_start=True)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    engine.group(row, HOLD, server(saying(answer)), 48, once=1, sample=sample)
    eventually(lambda: engine.counts(row)["answered"] + engine.counts(row)["failed"] == 48)

    assert errors == engine.take(row)["errors"]
    assert 48 - sum(errors.values()) == engine.counts(row)["answered"]
