"""The suite's instruments: reading a reply, the tape, what the kernel shows, the judgement of an end."""

from __future__ import annotations

import os
import socket
import sys
import time

import pytest

from orchestrator.contract import crowd
from orchestrator.contract.check import Site
from orchestrator.contract.drain import judge_exit
from orchestrator.contract.kernel import descriptors, listeners, parse_dump, read_aborts, server_processes
from orchestrator.contract.malformed import REFUSED
from orchestrator.contract.talk import TAPE_MAX, Broken, Talk
from orchestrator.contract.told import Told
from tests.contract.answering import Answering


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "one Content-Length in the reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "a reply's body of 9 bytes"),
        (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "a whole reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", "a header line"),
        (b"HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\nhello", "a status line"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "a chunk size"),
    ],
)
def test_a_reply_is_read_strictly(reply: bytes, expected: str) -> None:
    """What another client might not understand is no right reply."""
    server = Answering(reply)
    try:
        with Talk("127.0.0.1", server.port, 2.0) as talk, pytest.raises(Broken) as caught:
            talk.ask("/plain")
    finally:
        server.close()

    assert expected == caught.value.expected


def test_a_tape_keeps_the_beginning_and_the_count() -> None:
    """A 1 MiB request does not make a 1 MiB report."""
    server = Answering(b"x" * 100_000)
    try:
        with Talk("127.0.0.1", server.port, 2.0) as talk:
            talk.send(b"hello")
            talk.rest()
    finally:
        server.close()

    assert (b"hello", 5) == (talk.sent.kept, talk.sent.total)
    assert (TAPE_MAX, 100_000) == (len(talk.received.kept), talk.received.total)


def test_the_kernel_shows_the_backlog_of_ones_own_listener_and_whose_it_is() -> None:
    """A known listener calibrates the instrument: its backlog, its process, its descriptor."""
    with socket.create_server(("127.0.0.1", 0), backlog=23) as listener:
        port = listener.getsockname()[1]
        (seen,) = listeners("127.0.0.1", port)
        elsewhere = listeners("127.0.0.9", port)
        with socket.create_connection(("127.0.0.1", port)):
            (queued,) = listeners("127.0.0.1", port)

        assert ("127.0.0.1", port, 0, 23) == seen[:4]
        assert 1 == queued.queued
        assert [] == elsewhere
        assert f"socket:[{seen.inode}]" in (descriptors(os.getpid()) or [])
        assert [] == server_processes("127.0.0.1", port)  # never the suite's own process


def test_the_kernels_refusal_is_an_error() -> None:
    """NLMSG_ERROR with -EPERM, as a namespace without the right answers."""
    refusal = (20).to_bytes(4, sys.byteorder) + (2).to_bytes(2, sys.byteorder) + bytes(10)
    refusal += (-1).to_bytes(4, sys.byteorder, signed=True)

    with pytest.raises(OSError, match="sock_diag refused"):
        parse_dump(refusal)


def test_the_abort_counters_are_found() -> None:
    """None found would prove nothing."""
    seen = read_aborts()

    assert {"TCPAbortOnData", "TCPAbortOnClose"} <= set(seen)


@pytest.mark.parametrize(
    ("code", "took_s", "right"), [(0, 1.0, True), (0, 60.0, False), (1, 1.0, False), (137, 5.0, False)]
)
def test_a_servers_end_is_judged_by_code_and_time(code: int, took_s: float, right: bool) -> None:
    """0 within LAB_DRAIN_S; a kill or an error is neither."""
    assert right == judge_exit(code, took_s, 5.0)[0]


def test_malformed_requests_of_a_check_differ() -> None:
    """A case written twice would prove half of what it seems to."""
    for status, requests in REFUSED.values():
        assert len(requests) == len(set(requests))
        assert status in (None, 431, 501)


def test_processes_that_go_one_after_the_other_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that falls again and again is settled at its last value."""
    begun_s = time.monotonic()

    def measure(site: Site, key: str) -> dict[str, int]:
        return {"/proc": 40 - min(3, int((time.monotonic() - begun_s) / 0.3))}

    monkeypatch.setattr(crowd, "measure", measure)
    monkeypatch.setattr(crowd, "STEADY_S", 0.9)
    monkeypatch.setattr(crowd, "server_processes", lambda host, port: [1, 2])
    site = Site(Told("127.0.0.1", 1, "one"), {}, print)

    assert {"/proc": 37} == crowd.settle(site, "threads", {})
