"""Histograms against quantiles worked out by hand."""

import pytest

from orchestrator.verdicts.histogram import EmptyHistogram, count, mean_s, merge, quantile_s

ONE_TO_HUNDRED = dict.fromkeys(range(1, 101), 1)


@pytest.mark.parametrize(
    ("q", "expected_us"),
    [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.01, 1), (0.001, 1), (0.07, 7), (0.29, 29), (0.57, 57)],
)
def test_quantile_of_one_to_hundred_is_its_rank(q: float, expected_us: int) -> None:
    """With the values 1..100 the nearest rank is the value itself, also where q has no exact binary form."""
    assert expected_us / 1_000_000 == quantile_s(ONE_TO_HUNDRED, q)


def test_quantile_counts_answers_and_not_distinct_latencies() -> None:
    """Nine answers at 10 µs and one at 1 s: p90 is still 10 µs, p91 is the second."""
    hist = {1_000_000: 1, 10: 9}

    assert (0.00001, 1.0) == (quantile_s(hist, 0.90), quantile_s(hist, 0.91))


def test_quantile_of_one_answer_is_that_answer() -> None:
    """Every quantile of a single answer is its latency."""
    assert {0.000312} == {quantile_s({312: 1}, q) for q in (0.001, 0.5, 0.999, 1.0)}


@pytest.mark.parametrize("q", [0.0, -0.1, 1.01, 99.0])
def test_quantile_refuses_what_is_no_fraction(q: float) -> None:
    """99 instead of 0.99 is an error and not the maximum."""
    with pytest.raises(ValueError, match="fraction"):
        quantile_s(ONE_TO_HUNDRED, q)


@pytest.mark.parametrize("hist", [{}, {5: 0}])
def test_nothing_counted_has_no_quantile_and_no_mean(hist: dict[int, int]) -> None:
    """An empty histogram raises instead of answering 0."""
    with pytest.raises(EmptyHistogram):
        quantile_s(hist, 0.5)
    with pytest.raises(EmptyHistogram):
        mean_s(hist)


def test_merging_keeps_every_answer() -> None:
    """Merged counts add up per latency, ascending."""
    merged = merge([{30: 1, 10: 2}, {}, {10: 5, 20: 1}])

    assert [(10, 7), (20, 1), (30, 1)] == list(merged.items())
    assert 9 == count(merged)


def test_merged_percentile_is_not_the_mean_of_percentiles() -> None:
    """99 fast answers and one slow trial of 1: p50 of all is fast, though the mean of both p50 is not."""
    assert 0.0001 == quantile_s(merge([{100: 99}, {900_000: 1}]), 0.5)


def test_mean_weighs_by_count() -> None:
    """(3 x 100 + 1 x 500) / 4 = 200 µs."""
    assert 0.0002 == pytest.approx(mean_s({100: 3, 500: 1}))
