"""Rounding, done once."""

import pytest

from orchestrator.report import figures


@pytest.mark.parametrize(
    ("s", "expected"),
    [
        (None, "-"),
        (0.0, "0 µs"),
        (0.0000004, "0.4 µs"),
        (0.000312, "312 µs"),
        (0.0009994, "999 µs"),
        (0.0009996, "1.00 ms"),
        (0.0041, "4.10 ms"),
        (0.99951, "1.00 s"),
        (5.0119, "5.01 s"),
        (75.26, "75.3 s"),
    ],
)
def test_duration_takes_the_fitting_unit(s: float | None, expected: str) -> None:
    """Three digits, and never 1000 of a smaller unit."""
    assert expected == figures.duration(s)


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (None, "-"),
        (0.0, "0 B"),
        (812.4, "812 B"),
        (-300.0, "-300 B"),
        (1023.7, "1.00 KiB"),
        (1024.0, "1.00 KiB"),
        (12697.6, "12.4 KiB"),
        (1048300.0, "1.00 MiB"),
        (3.1 * 2**20, "3.10 MiB"),
        (2.0 * 2**30, "2.00 GiB"),
    ],
)
def test_size_takes_the_fitting_unit(n: float | None, expected: str) -> None:
    """Binary units, negative rises included."""
    assert expected == figures.size(n)


@pytest.mark.parametrize(
    ("per_s", "expected"), [(None, "-"), (14210.4, "14,210"), (100.4, "100"), (87.24, "87.2"), (0.0, "0")]
)
def test_rate_is_whole_from_a_hundred_on(per_s: float | None, expected: str) -> None:
    """A person compares 14,210 with 14,198, but not their decimals."""
    assert expected == figures.rate(per_s)


@pytest.mark.parametrize(
    ("s", "expected"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (185.0, "3 min 05 s"), (3720.0, "1 h 02 min")]
)
def test_long_duration_reads_as_said(s: float, expected: str) -> None:
    """Seconds, then minutes, then hours."""
    assert expected == figures.long_duration(s)


@pytest.mark.parametrize(
    ("share", "expected", "in_ascii"),
    [
        (1.0, "████", "####"),
        (0.5, "██", "##"),
        (0.53125, "██▏", "##"),
        (0.0001, "▏", "#"),
        (0.0, "", ""),
        (None, "", ""),
        (2.0, "████", "####"),
    ],
)
def test_bar_is_drawn_in_eighths(share: float | None, expected: str, in_ascii: str) -> None:
    """Four cells; whatever is above 0 shows, nothing overflows."""
    assert (expected, in_ascii) == (figures.bar(share, 4), figures.bar(share, 4, ascii_only=True))


def test_errors_are_worded_most_frequent_first() -> None:
    """Kinds that did not occur are left out; ties go by name."""
    assert "1,900 timeout, 3 EPIPE, 3 wrong body" == figures.errors_in_words(
        {"wrong body": 3, "EPIPE": 3, "timeout": 1900, "EMFILE": 0}
    )
    assert "none" == figures.errors_in_words({})
