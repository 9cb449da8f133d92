"""What the suite says about itself: the question it understands, what a variant lacks, results as JSON lines."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contract import run as runner
from orchestrator.contract.check import CHECKS, Site, Skipped, counted
from orchestrator.contract.table import ACTS, BY_ID, ITEMS, ROUTES
from orchestrator.contract.talk import Broken
from orchestrator.contract.told import BadQuestion, Told, read_told
from tests.contract.answering import HELLO, Answering

ROOT = Path(__file__).parents[2]
ASKED: dict[str, Any] = {"host": "127.0.0.1", "port": 8080, "variant": "one"}


def told(**more: Any) -> Told:
    return read_told(json.dumps(ASKED | more))


# ---- the table ----


def test_every_line_of_the_table_has_a_check_and_every_check_a_line() -> None:
    """A check without a line would never run, a line without a check would end in an error."""
    assert {item.id for item in ITEMS} == set(CHECKS)
    assert len(ITEMS) == len(BY_ID)


def test_the_table_is_well_formed() -> None:
    """Ids are kebab-case, acts and routes exist, titles and sentences are there."""
    for item in ITEMS:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", item.id)
        assert item.act in ACTS
        assert set(item.needs) <= set(ROUTES)
        assert item.title
        assert item.sentence


def test_each_act_but_wire_runs_its_checks_one_by_one() -> None:
    """Their counts are of the whole server."""
    assert [] == [item.id for item in ITEMS if item.act != "wire" and not item.alone]


# ---- the question ----


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected one JSON object, got '{'"),
        ("[1]", "expected one JSON object, got '[1]'"),
        ('{"port": 1, "variant": "x"}', "host: missing"),
        (json.dumps(ASKED | {"prot": 1}), "prot: not known; known are host, port"),
        (json.dumps(ASKED | {"port": "8080"}), "port: expected int, got '8080'"),
        (json.dumps(ASKED | {"port": True}), "port: expected int, got True"),
        (json.dumps(ASKED | {"backlog": 0}), "backlog: expected more than 0, got 0"),
        (json.dumps(ASKED | {"act": "wires"}), "act: expected one of wire, crowd, starve, drain, linger, got 'wires'"),
        (json.dumps(ASKED | {"only": "plain"}), "only: expected a list of check ids, got 'plain'"),
        (json.dumps(ASKED | {"only": ["plane"]}), "only: 'plane' is no check"),
        (json.dumps(ASKED | {"lacks": ["plane"]}), "lacks: 'plane' is no check"),
        (json.dumps(ASKED | {"crowd": None}), "crowd: expected int, got None"),
    ],
)
def test_a_question_that_is_not_understood_is_refused_in_a_line(text: str, message: str) -> None:
    """The line begins with the key and says what was expected and seen."""
    with pytest.raises(BadQuestion) as caught:
        read_told(text)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_null_means_not_checked_and_a_route_may_be_lacking() -> None:
    """What verify has no number for it passes as null."""
    seen = told(backlog=None, nofile=None, pid=None, only=None, nonce=None, processes=None, lacks=["hold", "slow-body"])

    assert (None, None, None, None, None, 1) == (
        seen.backlog, seen.nofile, seen.pid, seen.only, seen.nonce, seen.processes,
    )  # fmt: skip
    assert {"hold", "slow-body"} == seen.lacks
    assert "" == told().nonce


# ---- results ----


@pytest.fixture
def hello() -> Iterator[Answering]:
    server = Answering(HELLO)
    yield server
    server.close()


def outcomes(server: Answering, **asked: Any) -> dict[str, str]:
    lines = list(runner.run(told(port=server.port, patience_s=2, **asked)))
    return {line["id"]: line["outcome"] for line in lines}


def test_what_is_declared_lacking_is_declared_where_it_is(hello: Answering) -> None:
    """/plain is kept and not-found is not: only the second may be declared."""
    assert {"plain": "passed", "not-found": "failed"} == outcomes(hello, only=["plain", "not-found"])
    assert {"plain": "passed", "not-found": "declared"} == outcomes(
        hello, only=["plain", "not-found"], lacks=["not-found"]
    )


def test_what_is_declared_lacking_but_kept_fails(hello: Answering) -> None:
    """A declaration that is no longer true is removed, not carried along."""
    (line,) = runner.run(told(port=hello.port, patience_s=2, only=["plain"], lacks=["plain"]))

    assert ("failed", "declared but kept: remove it from lacks") == (line["outcome"], line["seen"])


def test_a_lacking_route_takes_along_the_checks_that_need_it(hello: Answering) -> None:
    """Without /hold there is nothing to release; /hold itself is still looked at, lest it be kept."""
    lines = {
        line["id"]: line
        for line in runner.run(told(port=hello.port, patience_s=1, only=["hold", "release"], lacks=["hold"]))
    }

    assert "declared" == lines["release"]["outcome"]
    assert "needs /hold, which it declares lacking" == lines["release"]["seen"]
    assert "declared" == lines["hold"]["outcome"]
    assert "HTTP/1.1 200 OK" in lines["hold"]["seen"]


def test_a_server_that_is_not_there_fails_every_check_in_a_line_each() -> None:
    """Nothing hangs, nothing passes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    lines = list(runner.run(told(port=port, only=["plain", "tls-hello", "stats-requests", "slow-body"])))

    assert ["failed"] * 4 == [line["outcome"] for line in lines]
    assert {"a connection"} == {line["expected"] for line in lines}


def test_a_check_that_never_ends_is_reported_and_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of the suite, or a server that dribbles for ever, does not keep the others from their results."""
    never = threading.Event()
    monkeypatch.setattr(runner, "CHECK_MOST_S", 0.2)
    monkeypatch.setitem(CHECKS, "plain", lambda site: str(never.wait(30)))
    monkeypatch.setitem(CHECKS, "head", lambda site: "seen")
    begun_s = time.monotonic()
    lines = {line["id"]: line for line in runner.run(told(only=["plain", "head"]))}
    took_s = time.monotonic() - begun_s
    never.set()

    assert ("failed", "not ended after 0.2 s") == (lines["plain"]["outcome"], lines["plain"]["seen"])
    assert "passed" == lines["head"]["outcome"]
    assert took_s < 25


def test_an_error_in_a_check_is_a_failure_and_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not pass for a kept promise, nor end the act."""

    def broken(site: Site) -> str:
        raise ZeroDivisionError("no")

    monkeypatch.setitem(CHECKS, "plain", broken)
    (line,) = runner.run(told(only=["plain"]))

    assert ("failed", "the check itself failed: ZeroDivisionError: no") == (line["outcome"], line["seen"])


def test_a_count_that_is_null_skips_and_one_that_is_none_fails() -> None:
    """ "Cannot be counted" is honest; a string is a defect."""
    assert 3 == counted({"active": 3}, "active")
    with pytest.raises(Skipped):
        counted({"active": None}, "active")
    with pytest.raises(Broken):
        counted({"active": "3"}, "active")


@pytest.mark.parametrize(
    ("runtime", "stats", "outcome"),
    [
        ("node", {"loop_lag_s": 0.0, "gc_cycles": 3, "gc_pause_s": 0.01}, "passed"),
        ("node", {"loop_lag_s": 0.0, "gc_cycles": 3}, "failed"),
        ("java", {"jvm_threads": 9, "gc_cycles": 0, "gc_pause_s": 0, "heap_bytes": -1}, "failed"),
        ("python", {"loop_lag_s": None, "gc_cycles": 3}, "failed"),
        ("go", {"goroutines": "5", "gc_cycles": 3, "gc_pause_s": 0.0, "sched_latency_p99_s": 0.0}, "failed"),
        ("c", {}, "passed"),
    ],
)
def test_the_numbers_of_a_runtime_are_all_there(runtime: str, stats: dict[str, Any], outcome: str) -> None:
    """None missing, none negative, none null without a reason; C has none to tell."""
    body = json.dumps(stats).encode()
    server = Answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    try:
        found = outcomes(server, only=["stats-runtime"], runtime=runtime, technique="one loop")
    finally:
        server.close()

    assert {"stats-runtime": outcome} == found


def test_the_command_prints_json_lines_and_done(hello: Answering) -> None:
    """The interface that verify reads; exit code 1 because one failed."""
    asked = ASKED | {"port": hello.port, "only": ["plain", "not-found"], "patience_s": 2}
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.contract", json.dumps(asked)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]

    assert 1 == done.returncode
    assert {"done": True} == lines.pop()
    assert {"plain", "not-found"} == {line["id"] for line in lines}
    for line in lines:
        assert {"id", "title", "outcome", "expected", "seen", "sent_b64", "received_b64", "took_s"} <= set(line)


def test_the_command_refuses_in_a_line() -> None:
    """Exit code 2, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.contract", '{"host": 1}'],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (2, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))
