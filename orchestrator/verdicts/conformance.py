"""Judge what the contract suite saw of one variant: JSON lines -> results -> kept, failed or unsupported.

A variant keeps the contract when no check failed; what it declares not to keep (`lacks` in its manifest) is no failure,
unless it keeps that after all.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

Outcome = Literal["passed", "failed", "declared", "skipped"]
State = Literal["kept", "failed", "unsupported"]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
KEPT_AFTER_ALL = "declared but kept: remove it from `lacks`"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of one check."""

    id: str
    title: str
    act: str  # the part of the suite it belongs to
    outcome: Outcome
    expected: str
    seen: str
    sent: bytes  # to the server, as far as it was kept
    received: bytes
    took_s: float
    first: CheckResult | None = None  # the attempt that failed, where only the second one passed


@dataclass(frozen=True, slots=True)
class Conformance:
    """What the suite found of one variant."""

    variant: str
    image: str
    results: tuple[CheckResult, ...]
    unsupported: str  # the server's own words where kernel or sandbox refuse what its technique needs; "": supported
    took_s: float
    deviations: tuple[str, ...] = ()  # the manifest's, for people

    @property
    def state(self) -> State:
        if self.unsupported:
            return "unsupported"
        return "kept" if self.results and not self.failures else "failed"

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        return tuple(r for r in self.results if r.outcome == "failed")

    @property
    def at_second(self) -> tuple[CheckResult, ...]:
        """Return what passed, but at the second attempt only: a busy machine, or a server that keeps it at times."""
        return tuple(r for r in self.results if r.outcome == "passed" and r.first is not None)

    def count(self, outcome: Outcome) -> int:
        """Return how many checks ended so."""
        return Counter(r.outcome for r in self.results)[outcome]

    def reason(self) -> str:
        """Return why it does not keep the contract, in words; "" where it does."""
        if self.unsupported:
            return self.unsupported
        if not self.results:
            return "no check was reached"
        ids = [r.id for r in self.failures]
        if not ids:
            return ""
        shown = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        return f"{len(ids)} check{'s' if len(ids) > 1 else ''} failed: {shown}"


def read_result(line: Mapping[str, object], act: str) -> CheckResult:
    """Return one line of the suite as a result. Raises ValueError naming what is wrong with it."""
    outcome = line.get("outcome")
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome {outcome!r}: expected one of {', '.join(OUTCOMES)}")
    for key in ("id", "title", "expected", "seen"):
        if not isinstance(line.get(key), str):
            raise ValueError(f"{key} {line.get(key)!r}: expected text")
    took_s = line.get("took_s")
    if not isinstance(took_s, int | float):
        raise ValueError(f"took_s {took_s!r}: expected seconds")
    return CheckResult(
        id=str(line["id"]),
        title=str(line["title"]),
        act=act,
        outcome=outcome,
        expected=str(line["expected"]),
        seen=str(line["seen"]),
        sent=_bytes(line.get("sent_b64")),
        received=_bytes(line.get("received_b64")),
        took_s=float(took_s),
    )


def judged(
    ident: str, title: str, act: str, *, is_kept: bool, is_declared: bool, expected: str, seen: str, took_s: float,
    received: bytes = b"",
) -> CheckResult:  # fmt: skip
    """Return the result of a check, with regard to whether the variant declares that it does not keep it."""
    outcome: Outcome = "passed" if is_kept else "failed"
    if is_declared:
        outcome = "failed" if is_kept else "declared"
        seen = KEPT_AFTER_ALL if is_kept else seen
    return CheckResult(ident, title, act, outcome, expected, seen, b"", received, took_s)


def second_attempt(first: CheckResult, second: CheckResult) -> CheckResult:
    """Return a check that failed and then passed: passed, with its first attempt beside it, bytes and all."""
    return replace(second, first=first, took_s=first.took_s + second.took_s)


def _bytes(text: object) -> bytes:
    if text is None:
        return b""
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"bytes {str(text)[:40]!r}: expected base64 ({error})") from None
