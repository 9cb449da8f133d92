"""The arithmetic of a server that stands still for a while, under arrivals that do not wait for it.

Pure. The server answers each request `delay_s` after it read it, by a clock that goes on while it stands still. For an
arrival at a, a stall from s to e = s + l and a delay d:
    a + d < s            d              answered before the stall
    a <  s, a + d >= e   d              its time comes after the stall
    a <  s otherwise     e - a          its time came within the stall
    s <= a < e           e - a + d      read when the stall is over, answered d later
    a >= e               d
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

QUANTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Stall:
    """When the server stood still, on the clock the arrivals are planned by."""

    began_s: float
    ended_s: float


def latency_s(arrival_s: float, delay_s: float, stall: Stall) -> float:
    """Return how long after its planned arrival a request is answered."""
    if stall.began_s <= arrival_s < stall.ended_s:
        return stall.ended_s - arrival_s + delay_s
    due_s = arrival_s + delay_s
    if arrival_s < stall.began_s <= due_s < stall.ended_s:
        return stall.ended_s - arrival_s
    return delay_s


def quantile(values: Sequence[float], q: float) -> float:
    """Return the value that a fraction `q` did not exceed: nearest rank, as verdicts/histogram.py takes it."""
    return sorted(values)[math.ceil(Fraction(str(q)) * len(values)) - 1]


def expected(arrivals_s: Iterable[float], delay_s: float, stall: Stall) -> dict[float, float]:
    """Return quantile -> latency in seconds that the arithmetic gives for these planned arrivals."""
    latencies = [latency_s(a, delay_s, stall) for a in arrivals_s]
    return {q: quantile(latencies, q) for q in QUANTILES}


def constant_arrivals(start_s: float, end_s: float, rate_per_s: float) -> list[float]:
    """Return the planned instants of a constant rate within [start_s, end_s).

    The swarm's own phase against the window is not known; it shifts every arrival by less than 1 / rate_per_s.
    """
    return [start_s + n / rate_per_s for n in range(math.ceil((end_s - start_s) * rate_per_s - 1e-9))]


def worst_deviation(seen: dict[float, float], wanted: dict[float, float]) -> float:
    """Return the largest relative difference over the quantiles, as a ratio of what was wanted."""
    return max(abs(seen[q] - wanted[q]) / wanted[q] for q in wanted)
