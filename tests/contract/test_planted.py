"""The suite finds what it is there to find: a server with one planted defect fails that check, and no other.

Each run is one act against one server in a network namespace of its own (alone.py); all of them run side by side, since
they mostly wait. A defect is judged within its act.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contract.run import WAITS_LONG
from orchestrator.contract.table import ACTS, BY_ID, ITEMS

ROOT = Path(__file__).parents[2]
SIDE_BY_SIDE = 12
# What an act is told beside the planted server's own, shorter limits; fewer connections, for what leaks sooner.
TOLD: dict[str, dict[str, Any]] = {
    "wire": {"patience_s": 4, "late_s": 3, "runtime": "go", "technique": "goroutine per connection"},
    # The crowd is not slow on purpose, but the machine may be: the limits are the contract's own.
    "crowd": {"connections": 1500, "patience_s": 10, "head_timeout_s": 10, "body_timeout_s": 30},
    "starve": {"nofile": 50},
    "linger": {"late_s": 2},
    "drain": {},
}
# A defect that cannot but fail a second check: the planted id -> the other, and why.
INHERENT: dict[str, tuple[str, str]] = {}
# These defects are in reading, where time plays no part: the checks that wait long are left out.
READING = frozenset({"te-with-cl", "te-unknown",
                     "cl-differ", "cl-plus", "cl-negative", "cl-not-a-number", "cl-overflow",
                     "bare-lf", "space-before-colon", "obs-fold", "nul", "chunk-size-bad", "chunk-size-overflow",
                     "chunk-end-bad", "host-missing", "host-double", "request-line-bad"})  # fmt: skip
NAMESPACE_COUNTERS = ("no-aborts", "no-abort-on-refusal")

Lines = list[dict[str, Any]]


def run_alone(**asked: Any) -> Lines:
    """Return what the suite says about a planted server."""
    told = TOLD[asked["act"]] | asked
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.alone", json.dumps(told)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def run_planted(id_: str) -> Lines:
    act = BY_ID[id_].act
    if id_ in READING:
        return run_alone(
            act=act, planted=id_, only=[item.id for item in ITEMS if item.act == act and item.id not in WAITS_LONG]
        )
    return run_alone(act=act, planted=id_)


@pytest.fixture(scope="module")
def runs() -> dict[str, Lines]:
    """Return the lines of every run: by act without a defect, by check id with one."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        sound = {act: pool.submit(run_alone, act=act) for act in ACTS}
        planted = {item.id: pool.submit(run_planted, item.id) for item in ITEMS}
        return {name: future.result() for name, future in (sound | planted).items()}


def results(lines: Lines) -> dict[str, str]:
    return {line["id"]: line["outcome"] for line in lines if "id" in line}


def shown(lines: Lines) -> str:
    return "\n".join(f"{line['id']}: {line['seen']}" for line in lines if line.get("outcome") == "failed")


@pytest.mark.parametrize("act", ACTS)
def test_a_server_that_keeps_the_contract_passes_every_check(act: str, runs: dict[str, Lines]) -> None:
    """Nothing fails and nothing is skipped, so that no check passes for want of being made."""
    if {"shared": True} in runs[act] and act in ("crowd", "linger"):
        pytest.skip("no network namespace may be made here: its counters are everybody's")
    wanted = {item.id: "passed" for item in ITEMS if item.act == act}

    assert wanted == results(runs[act]), shown(runs[act])


@pytest.mark.parametrize("id_", [item.id for item in ITEMS])
def test_a_planted_defect_fails_its_check_and_no_other(id_: str, runs: dict[str, Lines]) -> None:
    """Every line of the table has a defect, and every defect one line (but for INHERENT)."""
    if {"shared": True} in runs[id_] and BY_ID[id_].act in ("crowd", "linger"):
        pytest.skip("no network namespace may be made here: its counters are everybody's")
    also = {INHERENT[id_][0]} if id_ in INHERENT else set()
    failed = {name for name, outcome in results(runs[id_]).items() if outcome != "passed"}

    assert {id_} | also == failed, shown(runs[id_])


def test_a_server_with_several_tables_of_descriptors_is_starved_too() -> None:
    """c-uring's limit is each ring's: who serves more than `nofile` is sent as many clients as eight would hold."""
    lines = run_alone(act="starve", nofile=20, server_nofile=100)

    assert {item.id: "passed" for item in ITEMS if item.act == "starve"} == results(lines), shown(lines)


def test_a_reset_that_is_not_counted_fails() -> None:
    """Who has errors in /stats counts the ECONNRESET of clients that left so; nothing else was wrong."""
    lines = run_alone(act="wire", planted="reset-uncounted", only=["delay-left-rst"])
    (line,) = [line for line in lines if "id" in line]

    assert ("failed", "ECONNRESET 0, 5 s later") == (line["outcome"], line["seen"])


def test_a_failure_carries_the_bytes_sent_and_received(runs: dict[str, Lines]) -> None:
    """Whoever reads the report sees the request and the reply, and a very long one is cut."""
    import base64

    failure = next(line for line in runs["cl-plus"] if line.get("id") == "cl-plus")
    long = next(line for line in runs["header-1m"] if line.get("id") == "header-1m")

    assert b"Content-Length: +5\r\n" in base64.b64decode(failure["sent_b64"])
    assert base64.b64decode(failure["received_b64"]).startswith(b"HTTP/1.1 200 OK\r\n")
    assert 4096 == len(base64.b64decode(long["sent_b64"]))
    assert long["sent_bytes"] > 4096


def test_every_wait_that_is_left_out_for_reading_defects_is_a_check() -> None:
    """A renamed check would silently be run again, or never."""
    assert WAITS_LONG | READING <= set(BY_ID)
