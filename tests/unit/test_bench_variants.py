"""When a variant's rounds beside nginx must not count."""

from __future__ import annotations

from bench.variants import Shot, spoilt_by

GOOD = Shot(100_000.0, 8.0)


def test_rounds_without_wrong_answers_count() -> None:
    """Nothing void, nothing wrong: no reason."""
    assert "" == spoilt_by("c-uring", [GOOD, GOOD])


def test_one_wrong_answer_spoils_and_says_where() -> None:
    """Round and variant are named."""
    assert "round 2, nginx: 3 wrong or missing answers" == spoilt_by("nginx", [GOOD, Shot(100_000.0, 8.0, wrong=3)])


def test_a_void_trial_spoils_with_its_reason() -> None:
    """A pod that did not come up is no zero."""
    void = Shot(None, None, void="no 200 from GET /healthz after 30 s")

    assert "round 1, c-epoll: void: no 200 from GET /healthz after 30 s" == spoilt_by("c-epoll", [void, GOOD])
