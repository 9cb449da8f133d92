"""Draw what the contract suite found: a row for each variant, then every failure with the bytes behind it.

Bytes are shown as Python shows them, cut in the middle, so that both how they began and how they ended can be seen.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.report import figures
from orchestrator.report.text import plain_table
from orchestrator.verdicts.conformance import OUTCOMES, CheckResult, Conformance

BYTES_SHOWN = 240  # characters, of each direction
_STYLES = {"kept": "green", "failed": "red", "unsupported": "yellow"}


def conformance_table(found: Sequence[Conformance]) -> Table:
    """Each variant: how many checks ended how, which passed at the second attempt only, the time, and the verdict."""
    right, wrap = {*OUTCOMES, "took"}, {"at 2nd attempt", "verdict"}
    table = plain_table("Contract", "variant", *OUTCOMES, "at 2nd attempt", "took", "verdict", right=right, wrap=wrap)
    for one in found:
        counts = [Text(str(one.count(o)), style="red" if o == "failed" and one.count(o) else "") for o in OUTCOMES]
        verdict = one.state if one.state != "unsupported" else f"unsupported here: {one.unsupported}"
        again = Text(", ".join(check.id for check in one.at_second), style="yellow")
        took = Text(figures.duration(one.took_s))
        table.add_row(Text(one.variant), *counts, again, took, Text(verdict, style=_STYLES[one.state]))
    return table


def failure_lines(found: Iterable[Conformance]) -> list[str]:
    """Return for each failure a line with what was expected and seen, then lines with the bytes there were."""
    lines = []
    for one in found:
        for check in one.failures:
            lines.append(f"{one.variant} {check.id}: {check.title}: expected {check.expected}; seen {check.seen}")
            lines += _bytes_of(check)
        if one.state == "failed" and not one.failures:
            lines.append(f"{one.variant}: {one.reason()}")
    return lines


def second_attempt_lines(found: Iterable[Conformance]) -> list[str]:
    """Return for each check that passed at the second attempt only what the first saw, with the bytes there were."""
    lines = []
    for one in found:
        for check in one.at_second:
            if (first := check.first) is not None:
                lines.append(f"{one.variant} {check.id}, kept at the second attempt only; at the first: {first.seen}")
                lines += _bytes_of(first)
    return lines


def second_attempt_sentence(found: Iterable[Conformance]) -> str:
    """Return who needed a second attempt and for what, in one sentence; "" where nobody did."""
    whose = [f"{one.variant} ({', '.join(check.id for check in one.at_second)})" for one in found if one.at_second]
    return f"kept at the second attempt only: {', '.join(whose)}" if whose else ""


def declared_lines(found: Iterable[Conformance]) -> list[str]:
    """Return a line for each check not simply kept: skipped, or declared (with what the variant says)."""
    lines = []
    for one in found:
        lines += [f"{one.variant} {c.id}, skipped: {c.seen}" for c in one.results if c.outcome == "skipped"]
        declared = [check for check in one.results if check.outcome == "declared"]
        lines += [f"{one.variant} {check.id}, declared: {check.title}; seen {check.seen}" for check in declared]
        if declared:
            lines += [f"{one.variant} says: {text}" for text in one.deviations]
    return lines


def checks_table(checks: Iterable[tuple[str, str, str, str]]) -> Table:
    """The checks there are: (act, id, title, the contract's sentence)."""
    table = plain_table("Checks", "act", "check", "proves", "contract", wrap={"proves", "contract"})
    for row in checks:
        table.add_row(*map(Text, row))
    return table


def conformance_document(found: Sequence[Conformance], suite: str) -> dict[str, object]:
    """Return the same as plain values; bytes as base64. suite: its digest."""
    return {
        "suite": suite,
        "kept": all(one.state != "failed" for one in found),
        "variants": [
            {
                "variant": one.variant,
                "image": one.image,
                "state": one.state,
                "reason": one.reason(),
                "unsupported": one.unsupported or None,
                "deviations": list(one.deviations),
                "took_s": round(one.took_s, 3),
                "counts": {outcome: one.count(outcome) for outcome in OUTCOMES},
                "at_second_attempt": [check.id for check in one.at_second],
                "checks": [_check(check) for check in one.results],
            }
            for one in found
        ],
    }


def shown_bytes(data: bytes, most: int = BYTES_SHOWN) -> str:
    """Return bytes in one readable line of about `most` characters, with how many are left out of the middle."""
    if len(repr(data)) <= most:
        return repr(data)
    head, tail = _fitting(data, most * 3 // 4), _fitting(data[::-1], most // 4)[::-1]
    return f"{head!r} ... {len(data) - len(head) - len(tail):,} bytes ... {tail!r}"


def _fitting(data: bytes, most: int) -> bytes:
    """Return as much of the beginning as is shown within so many characters; a byte takes one to four."""
    taken = most
    while taken and len(repr(data[:taken])) > most:
        taken -= 1
    return data[:taken]


def _bytes_of(check: CheckResult) -> list[str]:
    directions = (("sent", check.sent), ("received", check.received))
    if not check.sent and not check.received:
        return []
    return [f"    {word:8} {shown_bytes(data)}" for word, data in directions]


def _check(check: CheckResult) -> dict[str, object]:
    return {
        "id": check.id,
        "title": check.title,
        "act": check.act,
        "outcome": check.outcome,
        "expected": check.expected,
        "seen": check.seen,
        "sent_b64": base64.b64encode(check.sent).decode(),
        "received_b64": base64.b64encode(check.received).decode(),
        "took_s": round(check.took_s, 3),
        "first_attempt": None if check.first is None else _check(check.first),
    }
