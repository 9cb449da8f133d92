"""When a variant's rounds beside nginx must not count."""

from __future__ import annotations

from bench.throughput import Slot
from bench.variants import spoilt_by

GOOD = Slot("wrk", 100_000.0, 100_100.0, 0)


def test_rounds_without_wrong_answers_count() -> None:
    """Nothing missing, nothing wrong: no reason."""
    assert "" == spoilt_by("c-uring", [GOOD, GOOD])


def test_one_wrong_answer_spoils_and_says_where() -> None:
    """Round and variant are named."""
    wrong = Slot("wrk", 100_000.0, 100_100.0, 3)

    assert "round 2, nginx: 3 wrong or missing answers" == spoilt_by("nginx", [GOOD, wrong])


def test_a_round_that_could_not_be_counted_spoils_with_its_reason() -> None:
    """A pod that did not come up is no zero."""
    missing = Slot("wrk", None, None, 0, "no 50 connections within 30 s")

    assert "round 1, c-epoll: no 50 connections within 30 s" == spoilt_by("c-epoll", [missing, GOOD])
