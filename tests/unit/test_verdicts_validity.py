"""Each validity rule fires on its planted defect, and on nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.model import Gate
from orchestrator.verdicts.measured import Arrivals
from orchestrator.verdicts.others import LOADS, SERVERS
from orchestrator.verdicts.reconcile import Parties
from orchestrator.verdicts.validity import (
    CLOSED_LOOP,
    GENERATOR_LIMITED,
    Evidence,
    least_valid,
    measurement_notes,
    rules,
    void_reason,
)

# 50 users, 10,000 answers/s of 4.9 ms each: 49 busy users.
CLOSED = Evidence(
    kind="closed",
    workers_expected=2,
    workers_closed=2,
    requested=50,
    held=50,
    failed=0,
    answered=60_000,
    errors_total=0,
    window_s=6.0,
    throttled_s=0.0,
    p50_s=0.0045,
    p99_s=0.009,
    p999_s=0.011,
    mean_latency_s=0.0049,
    deviates=False,
    generator_cpu_ratio=0.5,
)
HOLD = replace(
    CLOSED,
    kind="hold",
    requested=2000,
    held=2000,
    failed=0,
    answered=2000,
    p50_s=5.01,
    p99_s=5.02,
    p999_s=5.02,
    mean_latency_s=5.01,
)


OPEN = replace(
    CLOSED,
    kind="open",
    failed=None,
    requested=200,
    held=200,
    answered=5_990,
    errors_total=4,
    arrivals=Arrivals(planned=6_000, sent=5_994, late=3, dropped=6, lag_us={20: 5_994}),
)
AGREED = Parties(swarm=2000, servers=2000, kernel=2000.0)


@pytest.mark.parametrize("evidence", [CLOSED, HOLD, OPEN, replace(HOLD, parties=AGREED)])
def test_clean_evidence_is_not_void(evidence: Evidence) -> None:
    """Without a planted defect no rule objects."""
    assert void_reason(evidence) is None


@pytest.mark.parametrize(
    ("start", "defect", "expected"),
    [
        (CLOSED, {"workers_closed": 1}, "1 of 2 workers reported the whole window"),
        (CLOSED, {"window_s": 0.0}, "the window was 0.000 s long"),
        (
            CLOSED,
            {"answered": 0, "errors_total": 7, "mean_latency_s": None},
            "not one right answer in the window (7 wrong or missing)",
        ),
        (
            CLOSED,
            {"answered": 0, "errors_total": 7, "mean_latency_s": None, "complaints": ("ECONNREFUSED in connect",)},
            "not one right answer in the window (7 wrong or missing: ECONNREFUSED in connect)",
        ),
        (CLOSED, {"held": 49}, "50 connections requested, but 49 held and 0 failed"),
        (HOLD, {"failed": 3}, "2000 connections requested, but 2000 held and 3 failed"),
        (HOLD, {"answered": 1999}, "2000 connections held, but 1999 right answers"),
        (
            HOLD,
            {"held": 1990, "answered": 1990, "failed": 10, "errors_total": 9},
            "10 connections failed, but 9 errors were counted",
        ),
        (
            HOLD,
            {"parties": replace(AGREED, servers=1990)},
            "connections open at the same time: the swarm counts 2,000, the servers' /stats 1,990, "
            "the kernel's sockets 2,000",
        ),
        (
            HOLD,
            {"parties": replace(AGREED, servers=None, kernel=2010.5)},
            "connections open at the same time: the swarm counts 2,000, the servers' /stats not known, "
            "the kernel's sockets 2,010.5",
        ),
        (OPEN, {"arrivals": Arrivals()}, "not one arrival was planned in the window"),
        (
            OPEN,
            {"arrivals": Arrivals(planned=6_000, sent=5_980, dropped=6)},
            "6,000 arrivals planned, but 5,980 sent, 6 dropped and 4 errors",
        ),
        (OPEN, {"answered": 5_980}, "5,994 requests sent, but only 5,980 right answers and 4 errors"),
        (OPEN, {"answered": 5_995}, "5,994 requests sent, but 5,995 right answers"),
        (CLOSED, {"throttled_s": 0.2}, "the server was throttled for 0.20 s of a 6.00 s window"),
        (
            CLOSED,
            {"stolen_ratio": 0.08},
            "the hypervisor took 8.0% of the machine's CPU time; gate.stolen in lab.yaml allows 5%",
        ),
        (
            CLOSED,
            {"stolen_ratio": 0.08, "gate": Gate(stolen_ratio=0.075)},
            "the hypervisor took 8.0% of the machine's CPU time; gate.stolen in lab.yaml allows 7.5%",
        ),
        (
            CLOSED,
            {"others": {SERVERS: 0.06, LOADS: 0.363}},
            "other programs took at least 36.3% of the load's CPUs; gate.others in lab.yaml allows 10%",
        ),
        (
            OPEN,
            {"others": {SERVERS: 0.06}, "gate": Gate(others_ratio=0.055)},
            "other programs took at least 6.0% of the server's CPUs; gate.others in lab.yaml allows 5.5%",
        ),
        (CLOSED, {"p99_s": 0.004}, "p99 (0.004000 s) is below p50 (0.004500 s)"),
        (CLOSED, {"p99_s": None, "p999_s": 0.001}, "p99.9 (0.001000 s) is below p50 (0.004500 s)"),
        (
            CLOSED,
            {"mean_latency_s": 0.002},
            "Little's law: rate x mean latency gives 20.0 busy users, but 50 were asked for",
        ),
        (
            CLOSED,
            {"mean_latency_s": 0.006},
            "Little's law: rate x mean latency gives 60.0 busy users, but 50 were asked for",
        ),
        (
            CLOSED,
            {"mean_latency_s": 0.006, "generator_cpu_ratio": 0.99},
            "Little's law: rate x mean latency gives 60.0 busy users, but 50 were asked for",
        ),
    ],
)
def test_planted_defect_is_named(start: Evidence, defect: dict[str, Any], expected: str) -> None:
    """One defect gives exactly its own reason."""
    assert expected == void_reason(replace(start, **defect))


@pytest.mark.parametrize(
    ("start", "change"),
    [
        # errors are a finding: the variant failed, the trial did not
        (HOLD, {"held": 1200, "answered": 1200, "failed": 800, "errors_total": 800}),
        (CLOSED, {"errors_total": 500, "mean_latency_s": 0.001}),
        # a specimen that gives no right answer shows its signature
        (HOLD, {"held": 0, "answered": 0, "failed": 2000, "errors_total": 2000, "deviates": True}),
        # what is not known is not judged
        (CLOSED, {"held": None, "failed": None, "throttled_s": None, "mean_latency_s": None}),
        (CLOSED, {"p50_s": None, "p99_s": None, "p999_s": None, "generator_cpu_ratio": None}),
        # 1 % of the window is tolerated
        (CLOSED, {"throttled_s": 0.06}),
        # some steal is every virtual machine's lot; it is noted
        (CLOSED, {"stolen_ratio": 0.05}),
        (CLOSED, {"stolen_ratio": 0.3, "gate": Gate(stolen_ratio=0.3)}),
        (CLOSED, {"others": {SERVERS: 0.1}}),
        (CLOSED, {"others": {SERVERS: 0.9}, "gate": Gate(others_ratio=0.9)}),
        # a hold mostly waits
        (HOLD, {"others": {SERVERS: 0.9}}),
        # a saturated generator keeps its users idle: a lower bound, with its note
        (CLOSED, {"mean_latency_s": 0.002, "generator_cpu_ratio": 0.95}),
        # one user of one worker: half its time is the worker's own
        (CLOSED, {"requested": 1, "held": 1, "workers_expected": 1, "workers_closed": 1, "mean_latency_s": 0.00005}),
        # Little's law says nothing of a hold
        (HOLD, {"mean_latency_s": 0.1}),
    ],
)
def test_what_is_no_defect_is_not_void(start: Evidence, change: dict[str, Any]) -> None:
    """Findings, specimens and unknowns pass."""
    assert void_reason(replace(start, **change)) is None


def test_first_rule_that_objects_gives_the_reason() -> None:
    """A lost worker explains the rest, so it is named before disordered quantiles."""
    assert "1 of 2 workers reported the whole window" == void_reason(replace(CLOSED, workers_closed=1, p99_s=0.0))


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (CLOSED, (CLOSED_LOOP,)),
        (HOLD, ()),
        (replace(CLOSED, generator_cpu_ratio=0.9), (CLOSED_LOOP, GENERATOR_LIMITED)),
        (replace(CLOSED, stolen_ratio=0.02), (CLOSED_LOOP, "the hypervisor took 2.0% of the CPU time")),
        (replace(CLOSED, stolen_ratio=0.002), (CLOSED_LOOP,)),
        (
            replace(CLOSED, others={SERVERS: 0.05, LOADS: 0.123}),
            (
                CLOSED_LOOP,
                "other programs took at least 5.0% of the server's CPUs",
                "other programs took at least 12.3% of the load's CPUs",
            ),
        ),
        (replace(CLOSED, others={SERVERS: 0.049}), (CLOSED_LOOP,)),
        (replace(HOLD, generator_cpu_ratio=None), ("the generator's CPU is not known: it may have been the limit",)),
    ],
)
def test_notes_say_how_to_read_valid_numbers(evidence: Evidence, expected: tuple[str, ...]) -> None:
    """Closed loops and saturated or unknown generators are noted, nothing else."""
    assert expected == measurement_notes(evidence)


def test_a_specimen_may_lose_track_of_its_connections() -> None:
    """Losing them is its known defect; the figures show it."""
    assert void_reason(replace(HOLD, deviates=True, parties=replace(AGREED, servers=7))) is None


def test_workers_that_fill_their_cpus_together_are_the_limit() -> None:
    """Seven workers at a seventh of the only core leave the server waiting although none of them is full."""
    shared = replace(CLOSED, generator_cpu_ratio=0.14, load_cpus_ratio=0.98)

    assert (CLOSED_LOOP, GENERATOR_LIMITED) == measurement_notes(shared)
    assert (CLOSED_LOOP,) == measurement_notes(replace(shared, load_cpus_ratio=0.5))


def test_where_server_and_load_share_cpus_nobody_can_tell_the_limit() -> None:
    """Workers that wait for the server's turn are slow without being full."""
    found = measurement_notes(replace(CLOSED, shared_cpus="0-1"))

    assert (CLOSED_LOOP, "server and load share CPU 0-1: whether the load was the limit is not known") == found


def test_a_ramp_says_itself_what_bound() -> None:
    """Its steps go on until something binds, the generator perhaps; its figures are of the last step that held."""
    ramp = replace(CLOSED, kind="ramp", failed=None, generator_cpu_ratio=0.97)

    assert () == measurement_notes(ramp)
    assert void_reason(ramp) is None


def test_dropped_arrivals_are_noted_and_void_nothing() -> None:
    """A server that cannot keep up is a finding; that the latencies are those of the rest must be said."""
    assert "6 arrivals were never sent: latency is that of the others" in measurement_notes(OPEN)


def test_each_rule_says_once_why_it_is_there() -> None:
    """What a report prints of them; no two say the same."""
    told = rules()

    assert all(one.endswith(".") for one in told), told
    assert len(told) == len(set(told)) >= 12


def test_a_run_for_verdicts_needs_as_many_valid_trials_as_a_verdict() -> None:
    """Smaller ones half of their plan."""
    assert [1, 1, 2, 3, 6, 6] == [least_valid(planned) for planned in (1, 2, 3, 5, 6, 10)]
