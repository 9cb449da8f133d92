"""A suite asks for probe windows, its plan has them where a load can go on; the reader's buckets are what they say."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from orchestrator.model import Scenario
from orchestrator.planning.plan import make_plan
from tests.unit.lab_files import LAB, complaint_about, write_lab
from tests.unit.small_labs import HOLD, PLAIN, make_lab

TALLY = Path(__file__).parents[2] / "probes" / "tally.h"
BUCKETS = r"""
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include TALLY
int main(void)
{
    unsigned long long ns;
    while (scanf("%llu", &ns) == 1)
        printf("%u %llu\n", latency_bucket(ns), (unsigned long long)latency_above(latency_bucket(ns)));
    return 0;
}
"""


@pytest.mark.parametrize(("written", "seconds"), [("", 0.0), (", probe: 2s", 2.0), (", probe: 0s", 0.0)])
def test_a_suite_says_how_long_its_trials_are_probed(tmp_path: Path, written: str, seconds: float) -> None:
    """Left out, it is no time at all."""
    lab = load_lab(write_lab(tmp_path, "c-epoll", text=LAB.replace("seed: 7}", f"seed: 7{written}}}")))

    assert seconds == lab.suites["quick"].probe_s


def test_a_probe_without_a_unit_is_refused_with_what_to_write(tmp_path: Path) -> None:
    """The line, the key, and the remedy."""
    said = complaint_about(write_lab(tmp_path, "c-epoll", text=LAB.replace("seed: 7}", "seed: 7, probe: 2}")))

    assert "suites.quick.probe" in said
    assert "no unit" in said


def test_only_loads_that_go_on_are_probed() -> None:
    """Closed loops and arrivals by the clock; a hold ends with its last answer."""
    arrivals = Scenario("open-1k", "", "open", "/plain", 50, 0.0, 2.0, 6.0, 10.0, rate_per_s=1000.0)
    lab = make_lab(scenarios=(PLAIN, HOLD, arrivals))
    lab = replace(lab, suites={"quick": replace(lab.suites["quick"], probe_s=2.0)})
    specs = make_plan(lab, "quick", nofile_granted=1 << 20).trials

    assert {("plain", 2.0), ("open-1k", 2.0), ("hold-2k", 0.0)} == {(spec.scenario, spec.probe_s) for spec in specs}


def test_quick_is_probed() -> None:
    """The default suite shows what happens inside the kernel."""
    assert 2.0 == load_lab(Path(__file__).parents[2] / "lab.yaml").suites["quick"].probe_s


def test_a_bucket_holds_what_lies_below_its_edge_and_not_a_fifth_less(tmp_path: Path) -> None:
    """Compiled as the reader is: every value is below its bucket's edge, and at least four fifths of it."""
    (tmp_path / "buckets.c").write_text(BUCKETS)
    program = tmp_path / "buckets"
    subprocess.run(
        ["gcc", "-Wall", "-Werror", f'-DTALLY="{TALLY}"', "-o", str(program), str(tmp_path / "buckets.c")], check=True
    )
    values = [*range(1, 600), 10**6 - 1, 10**6, 2**30, 2**30 - 1, 2**40, 1_234_567_890_123]
    done = subprocess.run([program], input="\n".join(map(str, values)), capture_output=True, text=True, check=True)
    rows = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]

    assert len(values) == len(rows)
    for value, (_, above) in zip(values, rows, strict=True):
        assert value < above
        assert above <= max(value + 1, value * 1.25)
    assert sorted(bucket for bucket, _ in rows[:599]) == [bucket for bucket, _ in rows[:599]]
    # Powers of two are edges: Prometheus's histogram ends its buckets there.
    assert {2**10, 2**20} <= {above for value in (2**10 - 1, 2**20 - 1) for above in _edges(program, value)}


def _edges(program: Path, value: int) -> set[int]:
    done = subprocess.run([program], input=str(value), capture_output=True, text=True, check=True)
    return {int(done.stdout.split()[1])}
