"""Turn pieces of the record into Locust's statistics and into metric buckets, many requests at a time.

One Locust event per request would cost more than the request. Nothing here imports Locust: its objects come in, and
their fields (locust 2.47, stats.py) are written as `StatsEntry.log` would write them one by one.
A failure counts as a request without a response time (`num_none_requests`), so that a refused connection's 50 µs do
not sink the percentiles. A dropped arrival is a failure on Locust's page; the lab's own books keep it apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from swarm.kinds import DROPPED
from swarm.row import AnyRow, Histogram, Piece

# Seconds, upper edges: 100 µs to the 60 s handler of the seed plus slack.
LADDER_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 65.0,
)  # fmt: skip
LADDER_US = tuple(round(edge * 1e6) for edge in LADDER_S)
KEYS_PER_SLICE = 256  # ~0.1 ms of work; a fold of thousands in one go would show in the p99.9 of what it measures


def bucket_ms(response_ms: float) -> float:
    """Return the key under which Locust keeps a response time: 10 µs steps below 1 ms, 100 µs below 100 ms.

    Locust's own bucket is a whole millisecond there, so that 0.3 ms would read 0. From 100 ms on it is Locust's.
    """
    if response_ms < 1:
        return round(response_ms, 2)
    if response_ms < 100:
        return round(response_ms, 1)
    if response_ms < 1000:
        return int(round(response_ms, -1))
    if response_ms < 10000:
        return int(round(response_ms, -2))
    return int(round(response_ms, -3))


def install_fine_rounding(locust_stats: Any) -> None:
    """Make Locust keep and show parts of a millisecond, in the master and in the workers.

    `proper_round` without digits is what the web UI's JSON puts minimum and maximum through.
    """
    whole = locust_stats.proper_round

    def round_finely(value: float, digits: int = 2) -> float:
        rounded = whole(value, digits)
        return int(rounded) if rounded == int(rounded) else rounded

    locust_stats.bucket_response_time = bucket_ms
    locust_stats.proper_round = round_finely


class Fold:
    """One row's piece, worked through in slices so that load goes on in between.

    `steps` yields after each slice; afterwards `to_stats` and `delta` hand over the result.
    """

    def __init__(self, row: AnyRow, piece: Piece):
        self.row = row
        self.piece = piece
        self.answered = 0
        self.sum_us = 0
        self.least_us: int | None = None
        self.most_us = 0
        self.response_times: dict[float, int] = {}
        self.answered_buckets: dict[int, int] = {}
        self.failed_buckets: dict[int, int] = {}
        self.failed_sum_us = 0
        self.lag_buckets: dict[int, int] = {}
        self.lag_sum_us = 0
        self.page_errors = dict(piece.errors) | ({DROPPED: piece.dropped} if piece.dropped else {})

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.answered or self.page_errors or self.piece.planned or self.piece.sent)

    def steps(self) -> Iterator[None]:
        """Work through the piece; each yield is a place to let others run."""
        response_times, buckets = self.response_times, self.answered_buckets
        least_us, most_us = self.least_us, 0
        for done, (latency_us, count) in enumerate(self.piece.histogram_us.items(), 1):
            self.answered += count
            self.sum_us += latency_us * count
            key, rung = _places.get(latency_us) or _place(latency_us)
            response_times[key] = response_times.get(key, 0) + count
            buckets[rung] = buckets.get(rung, 0) + count
            if least_us is None or latency_us < least_us:
                least_us = latency_us
            if latency_us > most_us:
                most_us = latency_us
            if done % KEYS_PER_SLICE == 0:
                yield
        self.least_us, self.most_us = least_us, most_us
        for histogram, buckets in ((self.piece.failed_us, self.failed_buckets), (self.piece.lag_us, self.lag_buckets)):
            yield from _bucket(histogram, buckets)
        self.failed_sum_us = self.failed_buckets.pop(SUM, 0)
        self.lag_sum_us = self.lag_buckets.pop(SUM, 0)

    def to_stats(self, stats: Any, stats_error: Any, at_s: float) -> None:
        """Add the piece to a Locust RequestStats. stats_error: Locust's class; at_s: wall time."""
        row, failed = self.row, sum(self.page_errors.values())
        if row.is_logged or not (self.answered or failed):
            return
        for entry in (stats.total, stats.entries[(row.title, row.method)]):
            self._to_entry(entry, failed, at_s)
        for kind, count in self.page_errors.items():
            key = stats_error.create_key(row.method, row.title, kind)
            if key not in stats.errors:
                stats.errors[key] = stats_error(row.method, row.title, kind, 0, at_s, at_s)
            stats.errors[key].occurrences += count
            stats.errors[key].last_seen = at_s

    def _to_entry(self, entry: Any, failed: int, at_s: float) -> None:
        second = int(at_s)
        last = entry.last_request_timestamp
        if entry.use_response_times_cache and last and second > int(last):
            entry._cache_response_times(second - 1)
        entry.num_requests += self.answered + failed
        entry.num_none_requests += failed
        entry.num_failures += failed
        entry.num_reqs_per_sec[second] += self.answered + failed
        if failed:
            entry.num_fail_per_sec[second] += failed
        entry.last_request_timestamp = at_s
        entry.total_content_length += self.answered * self.row.body_bytes
        if not self.answered:
            return
        entry.total_response_time += self.sum_us / 1000
        for key, count in self.response_times.items():
            entry.response_times[key] += count
        least_ms, most_ms = (self.least_us or 0) / 1000, self.most_us / 1000
        if entry.min_response_time is None or least_ms < entry.min_response_time:
            entry.min_response_time = least_ms
        entry.max_response_time = max(entry.max_response_time, most_ms)

    def delta(self) -> dict[str, Any]:
        """Return what the metrics add: sparse buckets per outcome, their sums, bytes, errors, the schedule's counts."""
        piece = self.piece
        return {
            "variant": self.row.variant,
            "name": self.row.name,
            "method": self.row.method,
            "answered": self.answered_buckets,
            "answered_sum_us": self.sum_us,
            "failed": self.failed_buckets,
            "failed_sum_us": self.failed_sum_us,
            "body_bytes": self.answered * self.row.body_bytes if piece.body_bytes is None else piece.body_bytes,
            "errors": dict(piece.errors),
            "lag": self.lag_buckets,
            "lag_sum_us": self.lag_sum_us,
            "planned": piece.planned,
            "sent": piece.sent,
            "late": piece.late,
            "dropped": piece.dropped,
        }


KEPT_US = 8192  # below, the fastest servers' latencies come again and again: looking them up halves a fold's cost
_places: dict[int, tuple[float, int]] = {}


def _place(latency_us: int) -> tuple[float, int]:
    """Return Locust's key and the ladder's rung of a latency."""
    place = bucket_ms(latency_us / 1000), bisect_left(LADDER_US, latency_us)
    if latency_us < KEPT_US:
        _places[latency_us] = place
    return place


SUM = -1  # beside the rungs, which count from 0


def _bucket(histogram: Histogram, buckets: dict[int, int]) -> Iterator[None]:
    """Count a histogram into the ladder's rungs, and its sum under SUM, in slices."""
    for done, (value_us, count) in enumerate(histogram.items(), 1):
        rung = bisect_left(LADDER_US, value_us)
        buckets[rung] = buckets.get(rung, 0) + count
        buckets[SUM] = buckets.get(SUM, 0) + value_us * count
        if done % KEYS_PER_SLICE == 0:
            yield
