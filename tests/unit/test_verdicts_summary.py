"""One row from several trials, worked out by hand."""

from typing import Any

import pytest

from orchestrator.model import Metrics, Plan, ReadBack, Run, TrialResult, TrialSpec
from orchestrator.verdicts.summary import NOT_RECORDED, summarise, summarise_run
from orchestrator.verdicts.timing import Timing, time_run
from orchestrator.verdicts.validity import CLOSED_LOOP, GENERATOR_LIMITED

FULL: dict[str, Any] = {
    "throughput_per_s": 1000.0,
    "p50_s": 0.001,
    "p99_s": 0.001,
    "p999_s": 0.001,
    "requests": 100,
    "connections_requested": 50,
    "connections_held": 50,
    "connections_failed": 0,
    "threads_peak": 4,
    "memory_bytes": 50_000.0,
    "memory_user_bytes": 20_000.0,
    "memory_kernel_bytes": 25_000.0,
    "memory_socket_bytes": 5_000.0,
    "memory_bytes_per_connection": 1000.0,
    "cpu_s_per_10k_requests": 1.0,
    "context_switches_per_request": 2.0,
    "established_s": 0.5,
    "planned": 1000,
    "sent": 990,
    "late": 20,
    "dropped": 10,
    "lag_p99_s": 0.002,
    "breaking_point": 3000.0,
    "generator_memory_bytes": 80_000.0,
}


def trial(
    block: int = 0,
    *,
    variant: str = "c-epoll",
    scenario: str = "plain",
    void: str | None = None,
    missing: dict[str, str] | None = None,
    hist: dict[int, int] | None = None,
    notes: tuple[str, ...] = (),
    read_backs: tuple[ReadBack, ...] = (),
    **metrics: Any,
) -> TrialResult:
    """A valid trial of 100 answers at 1 ms, but for what is said."""
    return TrialResult(
        spec=TrialSpec(
            block, block, variant, scenario, "hold" if scenario == "hold" else "closed", "default", 1, 1, "one suffices"
        ),
        void=void,
        metrics=Metrics(**{**FULL, **metrics}),
        missing=missing or {},
        histogram_us={1000: 100} if hist is None else hist,
        read_backs=read_backs,
        notes=notes,
        started_at="2026-11-23T08:20:36Z",
        loaded_s=8.0,
        overhead_s=4.0 + block,
    )


def test_figures_combine_as_documented() -> None:
    """Geometric mean of rates, merged percentiles, sums, highest peak, costs per total work."""
    row = summarise(
        "c-epoll",
        "plain",
        "closed",
        3,
        [
            trial(0, throughput_per_s=1000.0, hist={1000: 98, 2000: 2}, errors={"timeout": 2}, threads_peak=4),
            trial(
                1,
                throughput_per_s=4000.0,
                hist={500: 300},
                requests=305,
                errors={"timeout": 1, "wrong body": 4},
                threads_peak=9,
                connections_held=150,
                connections_requested=150,
                memory_bytes=350_000.0,
                memory_bytes_per_connection=2000.0,
                cpu_s_per_10k_requests=3.0,
                context_switches_per_request=0.0,
            ),
        ],
    )

    assert 2000.0 == pytest.approx(row.metrics.throughput_per_s)
    assert (0.0005, 0.001, 0.002) == (row.metrics.p50_s, row.metrics.p99_s, row.metrics.p999_s)
    assert 405 == row.metrics.requests
    assert {"timeout": 3, "wrong body": 4} == row.metrics.errors
    assert 9 == row.metrics.threads_peak
    assert (200_000.0, 20_000.0) == (row.metrics.memory_bytes, row.metrics.memory_user_bytes)
    assert 1750.0 == pytest.approx(row.metrics.memory_bytes_per_connection)  # (50 x 1000 + 150 x 2000) / 200
    assert 2.5 == pytest.approx(row.metrics.cpu_s_per_10k_requests)  # (100 x 1 + 300 x 3) / 400
    assert 0.5 == pytest.approx(row.metrics.context_switches_per_request)  # (100 x 2 + 300 x 0) / 400
    assert (3, 2, 2, 0) == (row.planned, row.finished, row.valid, row.void)
    assert {} == row.missing


def test_void_trial_counts_but_gives_no_figure() -> None:
    """A void trial's numbers, errors and notes stay out; its reason is kept with its repetition."""
    row = summarise(
        "c-epoll",
        "plain",
        "closed",
        2,
        [
            trial(0),
            trial(
                1, void="1 of 2 workers", throughput_per_s=9.0, hist={9: 10**6}, errors={"timeout": 5}, notes=("late",)
            ),
        ],
    )

    assert 1000.0 == pytest.approx(row.metrics.throughput_per_s)
    assert (0.001, {}, ()) == (row.metrics.p50_s, row.metrics.errors, row.notes)
    assert (2, 1, 1, ("trial 2: 1 of 2 workers",)) == (row.finished, row.valid, row.void, row.void_reasons)


def test_without_a_valid_trial_every_figure_is_missing_with_the_reason() -> None:
    """Nothing becomes 0: every figure says why it is not there."""
    row = summarise("c-epoll", "plain", "closed", 1, [trial(0, void="no worker")])

    assert dict.fromkeys(FULL, "no valid trial (trial 1: no worker)") == row.missing
    assert Metrics() == row.metrics


def test_pairing_that_never_ran_says_so() -> None:
    """A planned pairing without trials has the reason "no trial finished" on every figure."""
    row = summarise("c-epoll", "plain", "closed", 1, [])

    assert {"no trial finished"} == set(row.missing.values())
    assert (1, 0, 0) == (row.planned, row.finished, row.valid)


def test_missing_metric_keeps_the_trials_reasons_once() -> None:
    """Two trials with the same reason give it once; a null without a reason shows as a defect."""
    row = summarise(
        "c-epoll",
        "plain",
        "closed",
        2,
        [trial(n, threads_peak=None, p50_s=None, missing={"threads_peak": "no exporter"}) for n in range(2)],
    )

    assert {"threads_peak": "no exporter", "p50_s": NOT_RECORDED} == row.missing


def test_figure_from_some_trials_says_from_how_many() -> None:
    """Threads known in one of two trials are shown and noted."""
    row = summarise(
        "c-epoll",
        "plain",
        "closed",
        2,
        [trial(0), trial(1, threads_peak=None, missing={"threads_peak": "no exporter"})],
    )

    assert 4 == row.metrics.threads_peak
    assert ("threads_peak: from 1 of 2 trials; the others: no exporter",) == row.notes


def test_held_is_that_of_the_worst_trial() -> None:
    """2000 of 2000 and 1990 of 2000 is 1990 of 2000, never 2000 by rounding."""
    row = summarise(
        "c-epoll",
        "hold",
        "hold",
        2,
        [
            trial(0, connections_requested=2000, connections_held=2000),
            trial(1, connections_requested=2000, connections_held=1990, connections_failed=10),
        ],
    )

    assert (2000, 1990, 10) == (
        row.metrics.connections_requested,
        row.metrics.connections_held,
        row.metrics.connections_failed,
    )


def test_arrivals_add_up_and_the_worst_trial_stands_for_the_rest() -> None:
    """Sums of arrivals; the slowest opening, the longest lag, the largest generator, the lowest breaking point."""
    row = summarise(
        "c-epoll",
        "open",
        "open",
        2,
        [
            trial(0, scenario="open"),
            trial(1, scenario="open", established_s=0.9, planned=500, sent=500, late=1, dropped=0, lag_p99_s=0.001,
                  breaking_point=2000.0, generator_memory_bytes=70_000.0),
        ],
    )  # fmt: skip
    metrics = row.metrics

    assert (1500, 1490, 21, 10) == (metrics.planned, metrics.sent, metrics.late, metrics.dropped)
    assert (0.9, 0.002) == (metrics.established_s, metrics.lag_p99_s)
    assert (2000.0, 80_000.0) == (metrics.breaking_point, metrics.generator_memory_bytes)


def test_one_trial_without_an_answer_makes_the_geometric_mean_zero() -> None:
    """A measured rate of 0 is a rate, and no logarithm is taken of it."""
    row = summarise("c-epoll", "plain", "closed", 2, [trial(0), trial(1, throughput_per_s=0.0)])

    assert 0.0 == row.metrics.throughput_per_s


def test_notes_are_united_and_refused_limits_are_among_them() -> None:
    """Each note once, in order; a best-effort limit that did not take is a note."""
    refused = ReadBack("sysctl net.core.somaxconn", "holder", "65535", "4096")
    taken = ReadBack("nofile", "server", "1024", "1024")
    row = summarise(
        "c-epoll",
        "plain",
        "closed",
        2,
        [
            trial(0, notes=(CLOSED_LOOP,), read_backs=(taken, refused)),
            trial(1, notes=(CLOSED_LOOP, GENERATOR_LIMITED), read_backs=(taken, refused)),
        ],
    )

    assert (
        CLOSED_LOOP,
        "sysctl net.core.somaxconn in the holder: wanted 65535, got 4096",
        GENERATOR_LIMITED,
    ) == row.notes
    assert row.is_at_least


def test_run_gives_a_row_for_every_planned_pairing() -> None:
    """Rows come scenario by scenario in the plan's order, also those without a finished trial."""
    finished = (trial(0), trial(1, variant="seed-c", scenario="hold", requests=50))
    plan = Plan(
        "quick",
        1,
        (
            *(result.spec for result in finished),
            TrialSpec(2, 0, "c-threads", "plain", "closed", "default", 1, 1, ""),
            TrialSpec(3, 1, "c-epoll", "plain", "closed", "default", 1, 1, ""),
        ),
        (),
    )
    run = Run("r", "quick", "now", None, {}, plan, finished)

    assert [
        ("plain", "c-epoll", "closed", 2, 1),
        ("plain", "c-threads", "closed", 1, 0),
        ("hold", "seed-c", "hold", 1, 1),
    ] == [(row.scenario, row.variant, row.kind, row.planned, row.finished) for row in summarise_run(run)]


def test_timing_adds_up_what_each_trial_took() -> None:
    """8 + 8 s under load, 4 + 5 s around it: 4.5 s per trial; nothing per trial where there is none."""
    plan = Plan("quick", 1, (), ())

    assert Timing(2, 16.0, 9.0, 4.5) == time_run(Run("r", "q", "", None, {}, plan, (trial(0), trial(1))))
    assert Timing(0, 0, 0, None) == time_run(Run("r", "q", "", None, {}, plan, ()))


def test_an_unsupported_pairing_is_neither_void_nor_valid() -> None:
    """The row has no figures, and its reason is the server's own."""
    row = summarise("c-uring", "plain", "closed", 1, [trial(variant="c-uring", void="unsupported: io_uring: EPERM")])

    assert ("io_uring: EPERM", (), 0) == (row.unsupported, row.void_reasons, row.valid)
    assert "no valid trial (unsupported: io_uring: EPERM)" == row.missing["throughput_per_s"]
    assert "" == summarise("c-epoll", "plain", "closed", 1, [trial(void="refused: no")]).unsupported
