"""A source that fails, is absent, is dear or is read apart: what is missing has its reason, and is never a number."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from orchestrator.observe.exporter.errors import Absent, Unavailable
from orchestrator.observe.exporter.look import Look, Value
from orchestrator.observe.exporter.pace import Budget, Pace
from orchestrator.observe.exporter.reading import Ledger, take
from orchestrator.observe.exporter.source import Source
from orchestrator.observe.exporter.sources import SOURCES
from orchestrator.observe.exporter.taskstats import TaskCounts, Taskstats
from tests.unit.known_process import ROOT, Known, known, number, read

__all__ = ["known"]  # pytest finds the fixture by this name

pytestmark = pytest.mark.skipif(not ROOT.exists(), reason="no /sys/fs/cgroup: this is not Linux with cgroups mounted")


def test_without_taskstats_the_threads_are_walked_and_the_reading_says_so(known: Known) -> None:
    """The fallback gives the same switches, a note, and a counted error."""

    class Refused(Taskstats):
        def read(self, tgid: int) -> TaskCounts:
            raise PermissionError(1, "TASKSTATS: Operation not permitted")

    ledger = Ledger()
    reading = read(known.watched(), ledger, Refused())

    assert number(reading, "context_switches_voluntary") >= 100
    assert "Operation not permitted" in reading.notes["context_switches_voluntary"]
    assert "delay accounting" in reading.missing["timeslices"]
    assert 1 == ledger.totals()[1]["taskstats"]


def test_a_failed_source_is_missing_counted_and_gives_no_value(known: Known) -> None:
    """One broken source takes only its own values away."""

    def broken(look: Look) -> dict[str, Value]:
        raise Unavailable("broken on purpose")

    ledger = Ledger()
    sources = (*SOURCES[:1], Source("status", ("rss_bytes",), broken))
    reading = take(known.watched(), Taskstats(), ledger, fresh=True, sources=sources)

    assert "rss_bytes" not in reading.values
    assert "broken on purpose" == reading.missing["rss_bytes"]
    assert 8 == number(reading, "threads")
    assert 1 == ledger.totals()[1]["status"]


def test_what_is_absent_is_missing_and_no_failure(known: Known) -> None:
    """A host without pressure files is in order; its reason stands where the number would."""

    def absent(look: Look) -> dict[str, Value]:
        raise Absent("not on this kernel")

    ledger = Ledger()
    sources = (*SOURCES[:1], Source("status", ("rss_bytes",), absent))
    reading = take(known.watched(), Taskstats(), ledger, fresh=True, sources=sources)

    assert "not on this kernel" == reading.missing["rss_bytes"]
    assert not any(ledger.totals()[1].values())


def test_a_dear_source_rests_and_a_reading_says_how_old_its_value_is(known: Known) -> None:
    """Read once, kept after that, in samples and in readings alike; what failed stays missing as long."""
    reads: list[float] = []

    def dear(look: Look) -> dict[str, Value]:
        reads.append(time.monotonic())
        look.missing["uss_bytes"] = "not told"
        return {"pss_bytes": len(reads)}

    pace, ledger, watched = Pace(), Ledger(), known.watched()
    sources = (*SOURCES[:1], Source("smaps_rollup", ("pss_bytes", "uss_bytes"), dear, Budget(0.001, least_s=60.0)))
    first, sample, asked = (
        take(watched, Taskstats(), ledger, fresh=fresh, pace=pace, sources=sources) for fresh in (False, False, True)
    )

    assert 1 == len(reads)
    assert [1, 1, 1] == [number(each, "pss_bytes") for each in (first, sample, asked)]
    assert "pss_bytes" not in sample.notes
    assert "s ago" in asked.notes["pss_bytes"]
    assert {} == sample.due_in_s
    assert pytest.approx({"pss_bytes": 60.0}, abs=5.0) == asked.due_in_s
    assert "not told" == asked.missing["uss_bytes"]


def test_a_source_read_apart_is_shown_once_it_is_done_and_begun_once(known: Known) -> None:
    """The first read is at once; the next ones are begun, and samples show the old value until they are over."""
    reads: list[int] = []

    def dump(look: Look) -> dict[str, Value]:
        reads.append(len(look.members))
        return {"pss_bytes": len(reads)}

    pace, ledger, watched = Pace(), Ledger(), known.watched()
    waiting: list[Callable[[], None]] = []
    sources = (*SOURCES[:1], Source("smaps_rollup", ("pss_bytes",), dump, Budget(0.5, least_s=0.0, is_apart=True)))

    def sample() -> float:
        reading = take(
            watched, Taskstats(), ledger, fresh=False, pace=pace, sources=sources, later=waiting.append
        )  # fmt: skip
        return number(reading, "pss_bytes")

    assert [1, 1, 1] == [sample() for _ in range(3)]
    assert 1 == len(waiting)
    waiting.pop()()
    assert [1, 1] == reads
    assert 2 == sample()

    watched.is_let_go = True
    waiting.pop()()
    assert [1, 1] == reads  # who was forgotten meanwhile is not looked at any more
