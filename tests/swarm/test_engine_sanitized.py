"""The whole engine under ASan with UBSan, and under TSan: no report and no leak, whatever the servers do.

c/engine_drive.c makes every call of engine.h while servers answer in the moods of moody.py.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.swarm.compiler import ENGINE, HERE, SANITIZED, compile_c
from tests.swarm.moody import MOODS, serve

KINDS = ("closed", "open", "hold", "storm")
THREADS = ("-O1", "-fno-omit-frame-pointer", "-fsanitize=thread")
WRAPPED = ("-Wl,--wrap=malloc", "-Wl,--wrap=calloc", "-Wl,--wrap=realloc")
MALFORMED, CLOSED, LENGTH, WRONG_BODY, TIMEOUT, UNANSWERED = "5002", "5001", "5003", "5004", "5000", "5005"
# What goes wrong with a server of each mood, in any phase.
EXPECTED = {
    "rightly": set(),
    "in_cuts": set(),
    "garbage": {MALFORMED},
    "too_much": {MALFORMED},
    "out_of_turn": {MALFORMED},
    "wrong_body": {LENGTH, WRONG_BODY},
    "redirect": {"6302"},
    "close_early": {CLOSED},
    "close_at_once": {CLOSED, str(errno.ECONNRESET), str(errno.EPIPE)},
    "reset": {str(errno.ECONNRESET)},
    "never": {TIMEOUT},
}
ANYWHERE = {
    TIMEOUT,
    UNANSWERED,
}  # the driver's patience is short, the machine may be slow, and half of the groups are ended


@dataclass(frozen=True)
class Driven:
    """What the driver ended with. rows: (kind, mood) -> its figures; errors as "phase/wrong"."""

    code: int
    stderr: str
    is_freed: bool
    rows: dict[tuple[str, str], Counter[str]]


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Mood -> the port of a server in that mood."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(serve(mood)) for name, mood in MOODS.items()}


def build(out: Path, engine: Path, flags: tuple[str, ...]) -> Path:
    return compile_c(out, HERE / "engine_drive.c", *sorted(engine.glob("*.c")), flags=(*flags, *WRAPPED))


def drive(program: Path, ports: dict[str, int], ms: int, nofile: int = 0, fail_every: int = 0) -> Driven:
    """Run the driver against every mood in every kind of load; bounded by a time far above its own."""
    done = subprocess.run(
        [str(program), str(ms), str(nofile), str(fail_every)]
        + [f"{kind}:{port}" for port in ports.values() for kind in KINDS],
        env=os.environ | {"ASAN_OPTIONS": "detect_leaks=1", "TSAN_OPTIONS": "halt_on_error=0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    moods = {str(port): mood for mood, port in ports.items()}
    rows = {
        (kind, moods[port]): Counter({key: int(value) for key, _, value in (word.partition("=") for word in figures)})
        for kind, port, *figures in (line.split() for line in done.stdout.splitlines() if line != "freed")
    }
    return Driven(done.returncode, done.stderr, done.stdout.endswith("freed\n"), rows)


def errors(row: Counter[str]) -> set[str]:
    """Return what went wrong, without the phases."""
    return {key.partition("/")[2] for key, count in row.items() if "/" in key and count}


@pytest.mark.parametrize("flags", [SANITIZED, THREADS], ids=["memory", "threads"])
def test_no_sanitizer_reports_anything(tmp_path: Path, ports: dict[str, int], flags: tuple[str, ...]) -> None:
    """Each mood is met in each kind of load, is counted as what it is, and leaves nothing behind."""
    done = drive(build(tmp_path / "drive", ENGINE, flags), ports, 1500)

    assert (0, "", True) == (done.code, done.stderr, done.is_freed)
    assert {(kind, mood) for kind in KINDS for mood in MOODS} == done.rows.keys()
    for (kind, mood), row in done.rows.items():
        assert row["opened"] > 0, (kind, mood)
        assert errors(row) <= EXPECTED[mood] | ANYWHERE, (kind, mood, row)
    for mood, expected in EXPECTED.items():
        rows = [done.rows[kind, mood] for kind in KINDS]
        if expected:
            assert expected & set().union(*map(errors, rows)), (mood, rows)
        else:
            assert all(row["answered"] > 0 for row in rows), (mood, rows)


def test_too_few_descriptors_are_an_error_by_name(tmp_path: Path, ports: dict[str, int]) -> None:
    """With 30 descriptors for some 180 connections most sockets fail with EMFILE; those that are open go on."""
    done = drive(build(tmp_path / "drive", ENGINE, SANITIZED), ports, 600, nofile=30)

    assert (0, "", True) == (done.code, done.stderr, done.is_freed)
    assert sum(row[f"0/{errno.EMFILE}"] for row in done.rows.values()) > 100
    assert sum(row["answered"] for row in done.rows.values()) > 0


@pytest.mark.parametrize("every", [11, 50, 997])
def test_no_memory_is_refused_and_nothing_leaks(tmp_path: Path, ports: dict[str, int], every: int) -> None:
    """Each 11th, 50th or 997th allocation of the engine fails: calls say so, nothing crashes, all is freed."""
    done = drive(build(tmp_path / "drive", ENGINE, SANITIZED), ports, 400, fail_every=every)

    assert (0, "", True) == (done.code, done.stderr, done.is_freed)
    assert any(row["records"] for row in done.rows.values())


@pytest.mark.parametrize(
    ("file", "right", "wrong", "flags", "report"),
    [
        ("group.c", "free(g->sources);", "", SANITIZED, "detected memory leaks"),
        ("group.c", "free(g->queue);", "free(g->queue), free(g->queue);", SANITIZED, "double-free"),
        ("calls.c", "engine_call(e, do_counts,", "do_counts(e,", THREADS, "data race"),
    ],
    ids=["leak", "double free", "race"],
)
def test_a_planted_fault_is_reported(
    tmp_path: Path, ports: dict[str, int], file: str, right: str, wrong: str, flags: tuple[str, ...], report: str
) -> None:
    """The driver reaches the code and the sanitizers tell: a fault put into a copy of the engine is found."""
    copy = tmp_path / "swarm" / "engine"
    shutil.copytree(ENGINE, copy, ignore=shutil.ignore_patterns("build", "fuzz", "*.py", "__pycache__"))
    text = (copy / file).read_text()
    assert right in text, "the engine changed: plant the fault elsewhere"
    (copy / file).write_text(text.replace(right, wrong))

    done = drive(build(tmp_path / "drive", copy, (*flags, "-w")), ports, 400)

    assert done.code != 0
    assert report in done.stderr
