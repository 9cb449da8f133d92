"""The swarm's HTTP parser: every segmentation of an answer gives the same answer, and wrong bytes are named."""

from __future__ import annotations

import pytest

from swarm.http1 import Answer, AnswerReader, ClosedEarly, Malformed, render_get

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nHello\r\n8;note=x\r\n, world!\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + LENGTH
CLOSED = b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nHello, world!"


def read(*pieces: bytes, ends: bool = False) -> Answer | None:
    """Feed the pieces to a new reader; then end the connection, if asked."""
    reader = AnswerReader()
    answer = None
    for piece in pieces:
        assert answer is None, "an answer came before the last piece"
        answer = reader.feed(piece)
    return reader.end() if ends and answer is None else answer


@pytest.mark.parametrize("wire", [LENGTH, CHUNKED, INTERIM], ids=["length", "chunked", "interim"])
def test_cutting_in_two_anywhere_gives_the_same_answer(wire: bytes) -> None:
    """One cut at any byte leaves status, body and keep-alive as they are."""
    for cut in range(1, len(wire)):
        answer = read(wire[:cut], wire[cut:])

        assert answer is not None
        assert (200, b"Hello, world!", True) == (answer.status, answer.body, answer.keeps_alive), cut


@pytest.mark.parametrize("wire", [LENGTH, CHUNKED, INTERIM], ids=["length", "chunked", "interim"])
def test_byte_by_byte_gives_the_same_answer(wire: bytes) -> None:
    """The answer is complete with its last byte and not before."""
    answer = read(*[wire[place : place + 1] for place in range(len(wire))])

    assert answer is not None
    assert b"Hello, world!" == answer.body


def test_an_answer_without_length_ends_with_the_connection() -> None:
    """Close-delimited: complete only at the end, and the connection is gone."""
    for cut in range(1, len(CLOSED)):
        answer = read(CLOSED[:cut], CLOSED[cut:], ends=True)

        assert answer is not None
        assert (b"Hello, world!", False) == (answer.body, answer.keeps_alive)


@pytest.mark.parametrize("wire", [LENGTH, CHUNKED], ids=["length", "chunked"])
def test_a_connection_that_ends_inside_an_answer_is_closed_early(wire: bytes) -> None:
    """Every proper prefix followed by the end raises ClosedEarly, the empty one included."""
    for cut in range(len(wire)):
        with pytest.raises(ClosedEarly):
            read(wire[:cut], ends=True)


def test_what_follows_an_answer_is_kept() -> None:
    """Pipelined answers come apart at the right byte."""
    reader = AnswerReader()

    first = reader.feed(LENGTH + CHUNKED)

    assert first is not None
    assert CHUNKED == reader.rest


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 204\r\n\r\n", True),
    ],
)
def test_keep_alive_follows_version_and_connection(head: bytes, keeps: bool) -> None:
    """RFC 9112, 9.3."""
    answer = read(head)

    assert answer is not None
    assert keeps == answer.keeps_alive


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-x",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
)
def test_wrong_bytes_are_malformed(wire: bytes) -> None:
    """No wrong answer is taken for a right or an incomplete one."""
    with pytest.raises(Malformed):
        read(wire)


def test_request_names_its_host() -> None:
    """The request is the least HTTP/1.1 allows."""
    assert b"GET /plain HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n" == render_get("/plain", "127.0.0.1", 8080)
    assert b"Host: [::1]:8080\r\n" in render_get("/plain", "::1", 8080)
