"""Errors of the swarm's clients are counted under the right words."""

from __future__ import annotations

import errno

import pytest

from swarm.http1 import Answer
from swarm.kinds import judge_answer, judge_echo, name_errno

MESSAGE = b"123400000001\n"


@pytest.mark.parametrize(
    ("code", "phase", "kind"),
    [
        (errno.ECONNRESET, "first byte", "ECONNRESET in first byte"),
        (errno.ECONNREFUSED, "connect", "ECONNREFUSED in connect"),
        (errno.ETIMEDOUT, "connect", "ETIMEDOUT in connect"),
        (errno.EPIPE, "send", "EPIPE in send"),
        (99_999, "send", "errno 99999 in send"),
    ],
)
def test_errno_is_named_by_phase(code: int, phase: str, kind: str) -> None:
    """A number nobody knows stays a number."""
    assert kind == name_errno(code, phase)


@pytest.mark.parametrize(
    ("status", "body", "rest", "kind"),
    [
        (200, b"Hello, world!", b"", ""),
        (503, b"Hello, world!", b"", "status 503"),
        (200, b"Hello, world?", b"", "wrong body"),
        (200, b"Hello, world", b"", "wrong length"),
        (200, b"Hello, world!", b"x", "malformed answer"),
    ],
)
def test_answer_must_be_right_in_all_its_parts(status: int, body: bytes, rest: bytes, kind: str) -> None:
    """Status, length, bytes, and nothing after them."""
    assert kind == judge_answer(Answer(status, {}, body, True), rest)


@pytest.mark.parametrize(
    ("got", "has_ended", "kind"),
    [
        (MESSAGE, False, ""),
        (b"", True, "closed before the answer"),
        (b"1234", True, "closed before the answer"),
        (b"9", True, "wrong body"),
        (b"123400000002\n", False, "another client's answer"),
        (b"Hello, world!", False, "wrong body"),
        (MESSAGE + b"x", False, "wrong body"),
    ],
)
def test_echo_tells_another_clients_answer_from_a_wrong_one(got: bytes, has_ended: bool, kind: str) -> None:
    """The seed's C server mixes clients up; that must not read as success or as noise."""
    assert kind == judge_echo(MESSAGE, got, has_ended=has_ended)


def test_an_image_may_answer_something_else() -> None:
    """What it declared, and nothing but that."""
    declared = b"hi"

    assert "" == judge_answer(Answer(200, {}, b"hi", True), b"", declared)
    assert "wrong body" == judge_answer(Answer(200, {}, b"ho", True), b"", declared)
    assert "wrong length" == judge_answer(Answer(200, {}, b"Hello, world!", True), b"", declared)
