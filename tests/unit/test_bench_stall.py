"""The arithmetic of a stall, against cases worked out by hand and against a server played step by step."""

from __future__ import annotations

import pytest

from bench.stall import Stall, constant_arrivals, expected, latency_s, quantile, worst_deviation

LONG = Stall(5.0, 6.0)  # one second, longer than the delay of 200 ms
SHORT = Stall(5.0, 5.1)  # shorter than the delay


@pytest.mark.parametrize(
    ("arrival_s", "stall", "latency"),
    [
        (4.7, LONG, 0.2),  # answered before the stall
        (4.9, LONG, 1.1),  # due at 5.1, within it
        (5.0, LONG, 1.2),  # read when it is over, answered a delay later
        (5.75, LONG, 0.45),
        (6.0, LONG, 0.2),
        (4.85, SHORT, 0.25),  # due at 5.05, within it
        (4.95, SHORT, 0.2),  # due at 5.15, after it
        (5.05, SHORT, 0.25),
    ],
)
def test_an_arrival_waits_as_long_as_the_arithmetic_says(arrival_s: float, stall: Stall, latency: float) -> None:
    """Each of the five cases, for a stall longer and one shorter than the delay."""
    assert latency == pytest.approx(latency_s(arrival_s, 0.2, stall))


@pytest.mark.parametrize("stall", [LONG, SHORT, Stall(5.0, 5.2)])
def test_the_arithmetic_is_that_of_a_server_played_in_steps(stall: Stall) -> None:
    """A server that works in every millisecond but the stall's, reads what came and answers what is due."""
    delay_ms, arrivals_ms = 200, list(range(4000, 7000, 7))
    began_ms, ended_ms = round(stall.began_s * 1000), round(stall.ended_s * 1000)
    due: dict[int, int] = {}
    played: dict[int, int] = {}
    unread = list(arrivals_ms)
    for now_ms in range(4000, 9000):
        if began_ms <= now_ms < ended_ms:
            continue
        while unread and unread[0] <= now_ms:
            due[unread.pop(0)] = now_ms + delay_ms
        for arrival in [a for a, at in due.items() if at <= now_ms]:
            played[arrival] = now_ms - arrival
            del due[arrival]

    assert played == {a: round(latency_s(a / 1000, delay_ms / 1000, stall) * 1000) for a in arrivals_ms}


def test_the_issues_own_figures_follow() -> None:
    """A stall of 1 s in 10 s of 1,000/s: ranks 5,000, 9,000, 9,900 and 9,990 of 10,000, counted by hand."""
    found = expected(constant_arrivals(0.0, 10.0, 1000.0), 0.2, LONG)

    # 8,800 wait 200 ms; above that 1,000 per second of latency up to 1 s, and 2,000 per second from there to 1.2 s.
    assert found == pytest.approx({0.5: 0.2, 0.9: 0.4, 0.99: 1.15, 0.999: 1.195}, abs=0.0011)


def test_arrivals_of_a_constant_rate_fill_the_window_and_not_its_end() -> None:
    """1,000/s for 3 s are 3,000 arrivals, the last of them a millisecond before the end."""
    arrivals = constant_arrivals(100.0, 103.0, 1000.0)

    assert 3000 == len(arrivals)
    assert pytest.approx([100.0, 102.999]) == [arrivals[0], arrivals[-1]]


def test_a_quantile_is_the_nearest_rank() -> None:
    """The same rule as verdicts/histogram.py: a value that was seen, never one between two."""
    assert 3 == quantile([5, 1, 3, 2, 4], 0.5)
    assert 5 == quantile([5, 1, 3, 2, 4], 0.999)


def test_the_worst_deviation_is_relative_to_what_was_expected() -> None:
    """3 ms beyond 200 ms weigh more than 10 ms beyond 1.2 s."""
    assert pytest.approx(0.015) == worst_deviation({0.5: 0.203, 0.999: 1.21}, {0.5: 0.2, 0.999: 1.2})
