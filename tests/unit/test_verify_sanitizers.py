"""Sanitizers: who has which, where they cannot start, and what a report in a log means."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.model import Lab
from orchestrator.verifying.sanitizers import ASAN, RACE, TSAN, judge_log, sanitizers_of, why_not_here
from orchestrator.verifying.suite import chosen
from tests.unit.conformances import lab

__all__ = ["lab"]  # pytest finds the fixture by this name

RACY = """seed-c: listening, backlog 100
==================
WARNING: ThreadSanitizer: data race (pid=1)
  Write of size 4 at 0x7ffebe8eb168 by main thread:
    #0 main /src/server.c:95 (seed-tsan+0xd1a6d)
"""


@pytest.mark.parametrize(
    ("sanitizer", "log", "first"),
    [
        (TSAN, RACY, "WARNING: ThreadSanitizer: data race (pid=1)"),
        (ASAN, "x: listening\n==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x60\n", "ERROR: AddressS"),
        (ASAN, "==1==ERROR: LeakSanitizer: detected memory leaks\n", "ERROR: LeakSanitizer: detected memory leaks"),
        (ASAN, "server.c:9:3: runtime error: signed integer overflow\n", "runtime error: signed integer overflow"),
        (RACE, "WARNING: DATA RACE\nRead at 0x00c000\n", "WARNING: DATA RACE"),
    ],
)
def test_a_report_in_the_log_fails(sanitizer: Any, log: str, first: str) -> None:
    """Its beginning is named, its text kept as the bytes received."""
    one = judge_log(sanitizer, cast("Any", SimpleNamespace(lacks=())), log, 0.0)

    assert ("failed", f"no-{sanitizer.name}-report") == (one.outcome, one.id)
    assert one.seen.startswith(f"1 reports, the first: {first}")
    assert first.encode() in one.received


def test_a_quiet_log_passes_and_a_declared_race_is_declared() -> None:
    """The specimen's races are its signature; without one the declaration is wrong."""
    quiet, specimen = (cast("Any", SimpleNamespace(lacks=lacks)) for lacks in ((), ("no-tsan-report",)))

    assert "passed" == judge_log(TSAN, quiet, "x: listening on 127.0.0.1:8080\n", 0.0).outcome
    assert "declared" == judge_log(TSAN, specimen, RACY, 0.0).outcome
    assert "failed" == judge_log(TSAN, specimen, "seed-c: listening, backlog 100\n", 0.0).outcome


def test_a_kernel_with_too_much_randomness_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ThreadSanitizer cannot start there; the others can."""
    bits = tmp_path / "mmap_rnd_bits"
    monkeypatch.setattr("orchestrator.verifying.sanitizers._RANDOM_BITS", bits)

    assert "" == why_not_here(TSAN)  # no such file: not Linux as we know it, and it may try
    bits.write_text("32\n")
    assert "this kernel has 32. Try: sudo sysctl vm.mmap_rnd_bits=28" in why_not_here(TSAN)
    assert "" == why_not_here(ASAN) == why_not_here(RACE)
    bits.write_text("28\n")
    assert "" == why_not_here(TSAN)


def test_of_all_variants_those_with_sanitizers_are_sanitized(lab: Lab) -> None:
    """The others are no fault of who asked for all."""
    assert {"c", "go"} == {variant.runtime for variant in chosen(lab, [], every=True, sanitize=True)}


def test_sanitizers_go_by_runtime(lab: Lab) -> None:
    """Two builds for C, one for Go, none for Python."""
    names = ("c-epoll", "go-nethttp", "py-asyncio")

    assert [["asan", "tsan"], ["race"], []] == [[s.name for s in sanitizers_of(lab.variants[n])] for n in names]
