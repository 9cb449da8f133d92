"""What was found is shown: a table, lines with bytes, JSON, JUnit that parses back; and each end has its exit code."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from junitparser import Failure, JUnitXml, Skipped
from junitparser.xunit2 import JUnitXml as FlakyXml
from rich.console import Console

from orchestrator import cli
from orchestrator.errors import EnvironmentMissing
from orchestrator.report.junit import junit_xml
from orchestrator.report.verifytable import (
    conformance_document,
    conformance_table,
    declared_lines,
    failure_lines,
    second_attempt_lines,
    second_attempt_sentence,
    shown_bytes,
)
from orchestrator.verdicts.conformance import Conformance, second_attempt
from orchestrator.verifying.suite import Verified
from tests.unit.conformances import check, found
from tests.unit.lab_command import ROOT, SOUND, Command, lab, raising

__all__ = ["lab"]  # the fixture

BAD = check("te-with-cl", "failed", sent=b"POST /echo\r\n\0", received=b"HTTP/1.1 200 OK\r\n\x1b[31m")
BOTH = (
    found(check("plain"), BAD, check("bare-lf", "declared"), check("backlog", "skipped")),
    found(unsupported="io_uring_setup: Operation not permitted", variant="c-uring"),
)

LATE = check("tcp-nodelay", "failed", seen="39 ms", received=b"HTTP\0")
SLOW = second_attempt(LATE, check("tcp-nodelay", seen="3 ms"))
DOUBTFUL = found(check("plain"), SLOW, variant="erlang")


def drawn(conformances: Sequence[Conformance]) -> list[list[str]]:
    """Return the table's rows as words."""
    out = StringIO()
    Console(file=out, width=140).print(conformance_table(conformances))
    return [line.split() for line in out.getvalue().splitlines()]


def test_the_table_counts_outcomes() -> None:
    """One row for each variant, verdict last."""
    rows = drawn(BOTH)

    assert ["c-epoll", "1", "1", "1", "1", "12.5", "s", "failed"] == rows[2]
    assert rows[3][:1] + rows[3][-5:] == ["c-uring", "here:", "io_uring_setup:", "Operation", "not", "permitted"]


def test_a_failure_shows_what_was_sent_and_received() -> None:
    """Escaped, so that no terminal obeys a server."""
    assert [
        "c-epoll te-with-cl: GET /plain: expected 200; seen 500",
        r"    sent     b'POST /echo\r\n\x00'",
        r"    received b'HTTP/1.1 200 OK\r\n\x1b[31m'",
    ] == failure_lines(BOTH)
    assert [
        "c-epoll backlog, skipped: 500",
        "c-epoll bare-lf, declared: GET /plain; seen 500",
    ] == declared_lines(BOTH)


def test_what_needed_a_second_attempt_is_named_in_every_form() -> None:
    """Table, lines with the first attempt's bytes, one sentence, JSON, and a flaky failure in JUnit."""
    row = next(words for words in drawn([DOUBTFUL]) if words[:1] == ["erlang"])
    shown: dict[str, Any] = conformance_document([DOUBTFUL], "5u1t3")
    (document,) = shown["variants"]
    cases: list[Any] = [case for suite in FlakyXml.fromstring(junit_xml([DOUBTFUL]).decode()) for case in suite]
    plain, slow = cases

    assert ["erlang", "2", "0", "0", "0", "tcp-nodelay", "12.5", "s", "kept"] == row
    assert [
        "erlang tcp-nodelay, kept at the second attempt only; at the first: 39 ms",
        r"    sent     b'GET /plain\x00'",
        r"    received b'HTTP\x00'",
    ] == second_attempt_lines([*BOTH, DOUBTFUL])
    assert "kept at the second attempt only: erlang (tcp-nodelay)" == second_attempt_sentence([*BOTH, DOUBTFUL])
    assert "" == second_attempt_sentence(BOTH)
    assert ["tcp-nodelay"] == document["at_second_attempt"]
    assert (None, "39 ms") == (
        document["checks"][0]["first_attempt"],
        document["checks"][1]["first_attempt"]["seen"],
    )
    assert (False, True, []) == (plain.is_flaky, slow.is_flaky, slow.result)
    assert "GET /plain: expected 200; seen 39 ms" == slow.flaky_failures()[0].message


@pytest.mark.parametrize("data", [b"a" * 100_000, b"\0" * 100_000, b"'\"" * 50_000])
def test_bytes_are_bounded_with_their_number(data: bytes) -> None:
    """However they are escaped, the line stays short and says how many are missing."""
    text = shown_bytes(data, 200)

    assert len(text) < 260
    head, middle, tail = text.split(" ... ")
    left = int(middle.removesuffix(" bytes").replace(",", ""))
    assert len(data) == len(eval(head)) + left + len(eval(tail))


def test_the_document_is_json_with_every_byte() -> None:
    """Counts, verdicts, and bytes in base64."""
    document: dict[str, Any] = json.loads(json.dumps(conformance_document(BOTH, "5u1t3")))
    epoll, uring = document["variants"]

    assert (False, "5u1t3") == (document["kept"], document["suite"])
    assert ("failed", {"passed": 1, "failed": 1, "declared": 1, "skipped": 1}) == (epoll["state"], epoll["counts"])
    assert "UE9TVCAvZWNobw0KAA==" == epoll["checks"][1]["sent_b64"]
    assert ("unsupported", []) == (uring["state"], uring["checks"])


def test_junit_parses_back() -> None:
    """A failure keeps its bytes, a declared check is skipped with its reason, control characters do not break XML."""
    odd = check("nul", "failed", seen="a\0b\x1b\u2028", received=b"\0\x01")
    document = JUnitXml.fromstring(junit_xml([*BOTH, found(odd, variant="odd")]).decode())
    suites = {suite.name: list(suite) for suite in document}
    cases = {case.name: case for case in suites["c-epoll"]}

    assert (6, 2, 3) == (document.tests, document.failures, document.skipped)
    assert ["c-epoll.wire"] * 4 == [case.classname for case in suites["c-epoll"]]
    assert [] == cases["plain"].result
    (failure,) = cases["te-with-cl"].result
    assert isinstance(failure, Failure)
    assert r"b'POST /echo\r\n\x00'" in str(failure.text)
    (declared,) = cases["bare-lf"].result
    assert isinstance(declared, Skipped)
    assert "declared: 500" == declared.message
    (unsupported,) = suites["c-uring"][0].result
    assert "io_uring_setup: Operation not permitted" == unsupported.message
    assert r"seen a\x00b\x1b\u2028" in str(suites["odd"][0].result[0].message)


# --- the command -----------------------------------------------------------------------------------------------------


def finding(*conformances: Conformance) -> Any:
    """Return a story function that found this."""
    return lambda *_, **__: Verified(conformances, "5u1t3", True)


def test_a_failure_ends_with_1_and_names_the_variant(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table goes to stdout, the sentence to stderr; the others' fate changes nothing."""
    monkeypatch.setattr(cli.verify, "verify_variants", finding(*BOTH))
    done = lab("--file", SOUND, "verify", "c-epoll")

    assert 1 == done.code
    assert "te-with-cl" in done.out
    assert "lab: c-epoll: contract not kept; runs leave it out\n" == done.err


def test_declared_and_unsupported_end_with_0(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a failure."""
    monkeypatch.setattr(cli.verify, "verify_variants", finding(found(check("x", "declared")), BOTH[1]))

    assert 0 == lab("--file", SOUND, "verify", "--all").code


def test_json_goes_alone_to_stdout_and_junit_to_its_file(
    lab: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both at once, and the exit code stays the verdict's."""
    monkeypatch.setattr(cli.verify, "verify_variants", finding(*BOTH))
    done = lab("--file", SOUND, "verify", "--all", "--json", "--junit", str(tmp_path / "v.xml"))

    assert 1 == done.code
    assert "5u1t3" == json.loads(done.out)["suite"]
    assert 5 == JUnitXml.fromfile(str(tmp_path / "v.xml")).tests


def test_a_second_attempt_is_named_at_the_end_and_is_no_failure(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Last on stderr, with --json as well: whoever reads only the end learns of it."""
    monkeypatch.setattr(cli.verify, "verify_variants", finding(found(check("plain")), DOUBTFUL))

    for more in ([], ["--json"]):
        done = lab("--file", SOUND, "verify", "--all", *more)
        assert (0, "kept at the second attempt only: erlang (tcp-nodelay)\n") == (done.code, done.err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify"], "name a variant, or write --all"),
        (["verify", "--all", "c-epoll"], "exclude each other"),
        (["verify", "nobody"], "'nobody' is not a variant"),
        (["verify", "--all", "--only", "plane"], "'plane' is no check"),
        (["verify", "--all", "--junit", "no/such/folder/v.xml"], "there is no folder"),
    ],
)
def test_bad_input_ends_with_2_and_touches_no_engine(lab: Command, arguments: list[str], words: str) -> None:
    """One line, before anything is built."""
    done = lab("--file", SOUND, *arguments)

    assert 2 == done.code
    assert words in done.err
    assert 1 == len(done.err.strip().splitlines())
    assert not lab.engine_was_called


@pytest.mark.parametrize(
    ("junit", "code", "words"),
    [
        ("/proc/v.xml", 3, "lab: /proc/v.xml: expected to write the JUnit file, but No such file or directory;"),
        ("locked/v.xml", 3, "lab: locked/v.xml: expected to write the JUnit file, but Permission denied; nothing was"),
        ("file/v.xml", 2, "lab: file/v.xml: expected to write the JUnit file, but there is no folder"),
        ("", 2, "expected the name of a file, saw an empty one"),
        (".", 2, "is a directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_the_suite_runs(
    lab: Command, monkeypatch: pytest.MonkeyPatch, junit: str, code: int, words: str
) -> None:
    """Not after the minutes that it takes; and what is there stays as it is."""
    monkeypatch.setattr(cli.verify, "verify_variants", raising(AssertionError("it ran")))
    Path("file").write_text("as it was")
    if junit.startswith("locked"):  # root may write anywhere, so the kernel's word is put into its mouth
        Path("locked").mkdir()
        monkeypatch.setattr(Path, "touch", raising(PermissionError(errno.EACCES, "Permission denied")))
    done = lab("--file", SOUND, "verify", "--all", "--junit", junit)

    assert (code, "") == (done.code, done.out)
    assert words in done.err
    assert "as it was" == Path("file").read_text()


def test_nothing_is_left_where_a_file_may_be_written(
    lab: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A suite that is interrupted has written none, and an earlier one is the old one."""
    monkeypatch.setattr(cli.verify, "verify_variants", raising(KeyboardInterrupt()))
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.xml").write_text("earlier")

    for name in ("new.xml", "old.xml"):
        assert 130 == lab("--file", SOUND, "verify", "--all", "--junit", str(out / name)).code
    assert {"old.xml": "earlier"} == {path.name: path.read_text() for path in out.iterdir()}


def test_no_engine_ends_with_3_and_an_interrupt_with_130(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every verb of the lab."""
    monkeypatch.setattr(cli.verify, "verify_variants", raising(EnvironmentMissing("no engine")))
    assert 3 == lab("--file", SOUND, "verify", "c-epoll").code

    monkeypatch.setattr(cli.verify, "verify_variants", raising(KeyboardInterrupt()))
    assert 130 == lab("--file", SOUND, "verify", "c-epoll").code


def test_the_list_needs_neither_lab_nor_engine(lab: Command) -> None:
    """Each check with the sentence it guards."""
    done = lab("verify", "--list", "--json")

    assert 0 == done.code
    assert {"act", "id", "title", "contract"} == set(json.loads(done.out)[0])
    assert "pipelined-ten" in lab("verify", "--list").out
    assert not lab.engine_was_called


def test_a_runtime_without_sanitizers_is_refused(lab: Command) -> None:
    """By name, with those that have them."""
    done = lab("--file", str(ROOT / "lab.yaml"), "verify", "py-asyncio", "--sanitize")

    assert 2 == done.code
    assert "--sanitize: py-asyncio is written for runtime 'python'; sanitizers are known for: c, go" in done.err
    assert not lab.engine_was_called
