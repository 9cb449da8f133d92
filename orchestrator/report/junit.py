"""Turn what the contract suite found into JUnit XML, for whatever collects test results.

One suite for each variant, one case for each check. Declared and skipped checks are skipped cases with their reason;
a variant that is unsupported here is one skipped case. What passed at the second attempt only is a flaky failure, as
Maven Surefire writes it: passed, with the first attempt inside.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TypeVar

from junitparser import Failure, JUnitXml, Skipped, TestSuite
from junitparser.xunit2 import FlakyFailure, TestCase

from orchestrator.report.verifytable import shown_bytes
from orchestrator.verdicts.conformance import CheckResult, Conformance

BYTES_SHOWN = 4000  # a file has more room than a terminal
_Kind = TypeVar("_Kind", Failure, Skipped, FlakyFailure)


def junit_xml(found: Sequence[Conformance]) -> bytes:
    """Return the document, UTF-8."""
    document = JUnitXml("lab verify")
    for one in found:
        suite = TestSuite(one.variant)
        for check in one.results:
            suite.add_testcase(_case(one.variant, check))
        if one.state == "unsupported" or not one.results:
            case = TestCase("supported", classname=one.variant, time=one.took_s)
            reason = one.reason()
            case.result = [_result(Skipped, reason, "") if one.unsupported else _result(Failure, reason, "")]
            suite.add_testcase(case)
        suite.add_property("image", one.image)
        suite.update_statistics()  # type: ignore[no-untyped-call]  # the package is typed in parts
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    output = io.BytesIO()
    document.write(output, pretty=True)
    return output.getvalue()


def _case(variant: str, check: CheckResult) -> TestCase:
    case = TestCase(check.id, classname=f"{variant}.{check.act}", time=check.took_s)
    if check.outcome == "failed":
        case.result = [_result(Failure, *_failure(check))]
    elif check.outcome != "passed":
        case.result = [_result(Skipped, f"{check.outcome}: {check.seen}", "")]
    elif check.first is not None:
        case.add_interim_result(_result(FlakyFailure, *_failure(check.first)))
    return case


def _failure(check: CheckResult) -> tuple[str, str]:
    """Return what a failed check says: its message, and the bytes behind it."""
    sent, received = (shown_bytes(data, BYTES_SHOWN) for data in (check.sent, check.received))
    return f"{check.title}: expected {check.expected}; seen {check.seen}", f"sent {sent}\nreceived {received}"


def _result(kind: type[_Kind], message: str, text: str) -> _Kind:
    made = kind(message=printable(message))
    made.text = text
    return made


def printable(text: str) -> str:
    """Return what a server said as XML 1.0 can carry it: most control characters have no form there, escaped or not."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
