"""What the contract suite says becomes results, and results a verdict."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import BadInput
from orchestrator.model import Lab
from orchestrator.verdicts.conformance import CheckResult, Conformance, judged, read_result, second_attempt
from orchestrator.verifying.acts import Asked
from orchestrator.verifying.suite import all_checks, chosen, require_checks
from tests.unit.conformances import LINE, check, found, lab

__all__ = ["lab"]  # pytest finds the fixture by this name


def test_a_line_of_the_suite_becomes_a_result() -> None:
    """Its bytes decoded, its act added; what the suite says besides is let through."""
    assert CheckResult(
        "plain", "GET /plain", "wire", "failed", "200", "500", b"GET /plain\0", b"", 0.25
    ) == read_result(LINE, "wire")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outcome": "fine"}, "outcome 'fine': expected one of passed, failed, declared, skipped"),
        ({"id": None}, "id None: expected text"),
        ({"took_s": "long"}, "took_s 'long': expected seconds"),
        ({"sent_b64": "not base64!"}, "expected base64"),
    ],
)
def test_a_garbled_line_is_named(changes: dict[str, Any], words: str) -> None:
    """A suite of another version must not pass for one that found nothing."""
    with pytest.raises(ValueError, match="expected") as caught:
        read_result({**LINE, **changes}, "wire")

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (found(check("plain"), check("echo", "declared"), check("nul", "skipped")), "kept"),
        (found(check("plain"), check("echo", "failed")), "failed"),
        (found(), "failed"),
        (found(unsupported="io_uring_setup: EPERM"), "unsupported"),
    ],
)
def test_only_what_was_checked_and_did_not_fail_is_kept(one: Conformance, state: str) -> None:
    """Nothing checked is no verdict in favour; a declared deviation is none against."""
    assert state == one.state


def test_a_reason_names_the_first_failures() -> None:
    """Five by name, the rest by number."""
    one = found(*(check(f"check-{n}", "failed") for n in range(7)))

    assert "7 checks failed: check-0, check-1, check-2, check-3, check-4 and 2 more" == one.reason()
    assert "1 check failed: nul" == found(check("nul", "failed")).reason()
    assert "no check was reached" == found().reason()


@pytest.mark.parametrize(
    ("is_kept", "is_declared", "outcome"),
    [(True, False, "passed"), (False, False, "failed"), (False, True, "declared"), (True, True, "failed")],
)
def test_what_is_declared_must_be_lacking(is_kept: bool, is_declared: bool, outcome: str) -> None:
    """Declared and kept all the same is a failure that says what to remove."""
    one = judged(
        "x", "X", "process", is_kept=is_kept, is_declared=is_declared, expected="a", seen="b", took_s=0.0
    )  # fmt: skip

    assert outcome == one.outcome
    assert ("remove it from `lacks`" in one.seen) == (is_kept and is_declared)


def test_what_passes_at_the_second_attempt_says_so() -> None:
    """Passed, with the first attempt beside it; alone in that among those that passed."""
    first, second = check("tcp-nodelay", "failed", seen="39 ms"), check("tcp-nodelay", seen="3 ms")
    one = second_attempt(first, second)

    assert ("passed", "3 ms", first, 0.5) == (one.outcome, one.seen, one.first, one.took_s)
    assert ("kept", (one,)) == (found(check("plain"), one).state, found(check("plain"), one).at_second)


def test_acts_hand_out_their_own_checks_only() -> None:
    """`only` and the acts wanted both narrow it down."""
    asked = Asked(only=frozenset({"plain", "quiet-log"}), acts=("wire", "drain"))

    assert {"plain"} == asked.wants("wire")
    assert frozenset() == asked.wants("drain") == asked.wants("process")
    assert {"quiet-log"} == Asked(only=frozenset({"quiet-log"})).wants("process")
    assert {"drain-exit", "drain-idle"} <= Asked().wants("drain")


def test_every_check_is_listed_once() -> None:
    """Those beside the server and those from outside."""
    ids = [row[1] for row in all_checks()]

    assert len(ids) == len(set(ids))
    assert {"te-with-cl", "drain-exit", "bad-environment", "quiet-log"} <= set(ids)


def test_unknown_names_are_refused(lab: Lab) -> None:
    """A variant, a check, nothing at all, and everything twice."""
    with pytest.raises(BadInput, match="'c-spoll' is not a variant; write one of: "):
        chosen(lab, ["c-spoll"], every=False)
    with pytest.raises(BadInput, match="name a variant, or write --all"):
        chosen(lab, [], every=False)
    with pytest.raises(BadInput, match="exclude each other"):
        chosen(lab, ["c-epoll"], every=True)
    with pytest.raises(BadInput, match="'plane' is no check"):
        require_checks(["plane"])
