"""A fold into Locust's real statistics is what Locust itself would have counted, one request after another."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import locust.stats
import pytest
from locust.stats import RequestStats, StatsEntry, StatsError

from swarm.bulk import Fold, install_fine_rounding
from swarm.engine.binding import CELL, Cells
from swarm.kinds import DROPPED
from swarm.row import Piece, Row

BODY_BYTES = 13
QUANTILES = (0.001, 0.25, 0.5, 0.66, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0)
WHOLE_MS = locust.stats.bucket_response_time  # Locust's own rounding, before the lab's is put in its place


@pytest.fixture(autouse=True)
def fine_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the swarm; Locust's own is back afterwards."""
    for name in ("bucket_response_time", "proper_round"):
        monkeypatch.setattr(locust.stats, name, getattr(locust.stats, name))
    install_fine_rounding(locust.stats)


def draw_latencies(seed: int, count: int) -> list[int]:
    """Return latencies in whole µs from some tens of µs to some ten seconds, every range of Locust's rounding in it."""
    rng = random.Random(seed)
    return [max(20, round(rng.lognormvariate(8.5, 2.2))) for _ in range(count)]


def make_piece(latencies_us: list[int], errors: dict[str, int], dropped: int, *, is_engines: bool) -> Piece:
    """Return what a row hands over: a dict as Python users fill it, or the engine's cells in no order."""
    counted: Any = Counter(latencies_us)
    cells = list(counted.items())
    random.Random(1).shuffle(cells)
    histogram = Cells(b"".join(CELL.pack(*cell) for cell in cells)) if is_engines else counted
    return Piece(histogram, {900: sum(errors.values())}, errors, dropped=dropped)


def fold(stats: RequestStats, row: Row, piece: Piece, at_s: float) -> None:
    folded = Fold(row, piece)
    list(folded.steps())
    folded.to_stats(stats, StatsError, at_s)


def log_each(stats: RequestStats, row: Row, latencies_us: list[int], errors: dict[str, int]) -> None:
    """Have Locust count each request on its own; one without an answer has no response time."""
    for latency_us in latencies_us:
        stats.log_request(row.method, row.title, latency_us / 1000, BODY_BYTES)  # type: ignore[arg-type]
    for kind, count in errors.items():
        for _ in range(count):
            stats.log_request(row.method, row.title, None, 0)  # type: ignore[arg-type]  # what Locust takes for none
            stats.log_error(row.method, row.title, kind)


def entries(stats: RequestStats) -> list[StatsEntry]:
    return [stats.total, *(entry for _, entry in sorted(stats.entries.items()))]


def figures(entry: StatsEntry) -> dict[str, Any]:
    """Return all of an entry's sums and what Locust makes of them; seconds apart, which are those of the clock."""
    return {
        "name": (entry.name, entry.method),
        "counts": (entry.num_requests, entry.num_none_requests, entry.num_failures),
        "per_s": (sum(entry.num_reqs_per_sec.values()), sum(entry.num_fail_per_sec.values())),
        "bounds": (entry.min_response_time, entry.max_response_time),
        "bytes": (entry.total_content_length, entry.avg_content_length),
        "response_times": dict(entry.response_times),
        "median": entry.median_response_time,
        "percentiles": [entry.get_response_time_percentile(q) for q in QUANTILES],
        "ratio": entry.fail_ratio,
    }


@pytest.mark.parametrize("is_engines", [True, False], ids=["engine", "python"])
def test_folds_are_what_locust_counts_one_by_one(is_engines: bool) -> None:
    """Several pieces of two rows, errors and dropped arrivals among them: every figure alike, the sum to a rounding."""
    folded, logged = RequestStats(use_response_times_cache=False), RequestStats(use_response_times_cache=False)
    rows = [Row("c-epoll", "/plain", body_bytes=BODY_BYTES), Row("go-nethttp", "/delay", body_bytes=BODY_BYTES)]
    for number in range(6):
        row, latencies_us = rows[number % 2], draw_latencies(number, 1500)
        errors = {"ECONNRESET in body": number, "status 302": 2} if number % 3 else {}
        fold(folded, row, make_piece(latencies_us, errors, number, is_engines=is_engines), 1000.0 + number)
        log_each(logged, row, latencies_us, errors | ({DROPPED: number} if number else {}))

    assert 9000 < logged.total.num_requests
    assert (2, True) == (len(folded.entries), 0 < (folded.total.min_response_time or 0) < 1)
    for ours, theirs in zip(entries(folded), entries(logged), strict=True):
        assert figures(theirs) == figures(ours)
        assert theirs.total_response_time == pytest.approx(ours.total_response_time, rel=1e-12)
        assert theirs.avg_response_time == pytest.approx(ours.avg_response_time, rel=1e-12)
    assert {key: error.occurrences for key, error in logged.errors.items()} == {
        key: error.occurrences for key, error in folded.errors.items()
    }
    assert {error.error for error in logged.errors.values()} == {error.error for error in folded.errors.values()}


def test_percentiles_differ_from_stock_locusts_by_its_rounding_only() -> None:
    """Below 100 ms by less than the half millisecond that Locust rounds away, above not at all."""
    latencies_us = draw_latencies(7, 8000)
    row, folded = Row("v", "/plain", body_bytes=BODY_BYTES), RequestStats(use_response_times_cache=False)
    fold(folded, row, make_piece(latencies_us, {}, 0, is_engines=True), 1000.0)
    locust.stats.bucket_response_time = WHOLE_MS
    stock = RequestStats(use_response_times_cache=False)
    log_each(stock, row, latencies_us, {})
    pairs = [
        (folded.total.get_response_time_percentile(q), stock.total.get_response_time_percentile(q)) for q in QUANTILES
    ]

    assert any(theirs < 100 for _, theirs in pairs)
    assert any(theirs > 1000 for _, theirs in pairs)
    for ours, theirs in pairs:
        assert theirs == pytest.approx(ours, abs=0.55 if theirs <= 100 else 0)  # 0.5, and 0.05 of the lab's own


def test_what_a_worker_folded_is_what_the_master_shows() -> None:
    """Locust's own report of two workers, put together by its master: again what one by one would have given."""
    row, both = Row("v", "/plain", body_bytes=BODY_BYTES), RequestStats(use_response_times_cache=False)
    master = RequestStats(use_response_times_cache=False)
    for number in range(2):
        worker, latencies_us = RequestStats(use_response_times_cache=False), draw_latencies(20 + number, 2000)
        fold(worker, row, make_piece(latencies_us, {"wrong body": 3}, 0, is_engines=True), 1000.0)
        log_each(both, row, latencies_us, {"wrong body": 3})
        for told in worker.serialize_stats():
            entry = StatsEntry.unserialize(told, master)
            master.entries[entry.name, entry.method].extend(entry)
    (theirs,), (ours,) = both.entries.values(), master.entries.values()

    assert figures(theirs) == figures(ours)
    assert theirs.total_response_time == pytest.approx(ours.total_response_time, rel=1e-12)
