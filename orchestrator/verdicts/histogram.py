"""Turn sparse latency histograms into counts, means and quantiles.

A histogram maps a latency in whole µs to how many right answers took that long. Empty ones raise: a quantile of
nothing is not a number. Rounding for people is the report's work.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction

Histogram = Mapping[int, int]

_US_PER_S = 1_000_000


class EmptyHistogram(ValueError):
    """A figure was asked of a histogram in which nothing was counted."""


def merge(hists: Iterable[Histogram]) -> dict[int, int]:
    """Return one histogram with every answer of all of them; the only right way to combine percentiles."""
    merged: Counter[int] = Counter()
    for hist in hists:
        merged.update(hist)
    return {us: merged[us] for us in sorted(merged)}


def count(hist: Histogram) -> int:
    """Return how many answers the histogram holds."""
    return sum(hist.values())


def quantile_s(hist: Histogram, q: float) -> float:
    """Return the latency in seconds that a fraction `q` of the answers did not exceed.

    q: fraction in (0, 1]; 0.99 is p99. It is read as the decimal it is written as, so that 0.07 of 100 is rank 7 and
    not the 8 that binary fractions would give.
    Returns a latency that was really seen, never one between two.
    Raises EmptyHistogram when nothing was counted, ValueError when q lies outside its range.
    Source: nearest rank, Hyndman & Fan 1996, type 1.
    """
    if not 0.0 < q <= 1.0:
        raise ValueError(f"quantile {q}: expected a fraction above 0 and at most 1, such as 0.99")
    rank = math.ceil(Fraction(str(q)) * _counted(hist))
    seen = 0
    for us in sorted(hist):
        seen += hist[us]
        if seen >= rank:
            return us / _US_PER_S
    raise AssertionError("a rank never exceeds the count")


def mean_s(hist: Histogram) -> float:
    """Return the mean latency in seconds; needed for Little's law, never shown to a person.

    Raises EmptyHistogram when nothing was counted.
    """
    total = _counted(hist)
    return sum(us * n for us, n in hist.items()) / total / _US_PER_S


def _counted(hist: Histogram) -> int:
    total = count(hist)
    if total == 0:
        raise EmptyHistogram("no answer was counted, so there is no quantile or mean to give")
    return total
