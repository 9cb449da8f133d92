"""Strings that people write become the right numbers, and back."""

from __future__ import annotations

import pytest

from orchestrator.units import (
    format_bytes,
    format_cpu_list,
    format_duration,
    format_rate,
    parse_bytes,
    parse_cpu_list,
    parse_duration_s,
    parse_rate_per_s,
    shown,
)


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [("60s", 60.0), ("250ms", 0.25), ("2m", 120.0), ("1h", 3600.0), ("0.5s", 0.5), ("312µs", 0.000312), ("0s", 0.0)],
)
def test_duration_strings_become_seconds(text: str, duration_s: float) -> None:
    """Each unit of time has its exact factor."""
    assert duration_s == parse_duration_s(text)


@pytest.mark.parametrize(("text", "rate_per_s"), [("2000/s", 2000.0), ("3/m", 0.05), ("0.5/s", 0.5), ("36/h", 0.01)])
def test_rate_strings_become_events_per_second(text: str, rate_per_s: float) -> None:
    """Rates per minute and hour are divided, not rounded."""
    assert rate_per_s == parse_rate_per_s(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("64MiB", 67_108_864), ("16KiB", 16_384), ("1GiB", 1_073_741_824), ("512B", 512), ("1.5KiB", 1536)],
)
def test_size_strings_become_bytes(text: str, size_bytes: int) -> None:
    """Binary units only; a fraction is fine where it comes to whole bytes."""
    assert size_bytes == parse_bytes(text)


def test_a_number_without_unit_says_what_to_write() -> None:
    """The three parsers show the number with a unit appended."""
    errors = []
    for parse, text in ((parse_rate_per_s, "2000"), (parse_duration_s, "6"), (parse_bytes, "64")):
        with pytest.raises(ValueError, match="no unit") as caught:
            parse(text)
        errors.append(str(caught.value))

    assert [
        "'2000' has no unit; write '2000/s'",
        "'6' has no unit; write '6s'",
        "'64' has no unit; write '64B' or '64KiB'",
    ] == errors


@pytest.mark.parametrize(
    "text", ["", "s", "-6s", "six", "1e3s", "6 5s", "1:30", "6s\n7", "٣s", "nan", "inf", "9" * 5000]
)
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    """Signs, exponents, other digits and numbers out of bounds raise ValueError and nothing else."""
    with pytest.raises(ValueError, match="write"):
        parse_duration_s(text)


def test_decimal_sizes_are_refused() -> None:
    """'64MB' may mean two things, so it means none."""
    with pytest.raises(ValueError, match="unknown unit 'MB'; write B, KiB, MiB, GiB or TiB, as in '64MiB'"):
        parse_bytes("64MB")


def test_a_fraction_of_a_byte_is_refused() -> None:
    """0.1 KiB is 102.4 bytes, which nothing can have."""
    with pytest.raises(ValueError, match="not a whole number of bytes"):
        parse_bytes("0.1KiB")


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0.0, "0s"),
        (0.0000005, "0.5µs"),
        (0.000312, "312µs"),
        (0.01234, "12.3ms"),
        (0.9996, "1s"),
        (6.0, "6s"),
        (90.0, "90s"),
        (120.0, "2m"),
        (3665.0, "1h 1m 5s"),
    ],
)
def test_durations_are_written_in_the_unit_that_reads_best(duration_s: float, text: str) -> None:
    """Three significant digits, and no 1000ms."""
    assert text == format_duration(duration_s)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0B"), (512, "512B"), (1023.9, "1KiB"), (4563, "4.46KiB"), (67_108_864, "64MiB"), (2**51, "2048TiB")],
)
def test_sizes_are_written_in_the_largest_unit_that_fits(size_bytes: float, text: str) -> None:
    """A size just below a unit becomes that unit, not 1024 of the smaller."""
    assert text == format_bytes(size_bytes)


@pytest.mark.parametrize(("rate_per_s", "text"), [(2000.0, "2000/s"), (0.05, "3/m"), (0.0, "0/s"), (0.001, "3.6/h")])
def test_rates_are_written_per_second_minute_or_hour(rate_per_s: float, text: str) -> None:
    """The shortest period that keeps the number at one or more."""
    assert text == format_rate(rate_per_s)


@pytest.mark.parametrize("text", ["250ms", "6s", "312µs", "2m", "1h"])
def test_written_durations_can_be_read_again(text: str) -> None:
    """Text of one part survives the way there and back."""
    assert text == format_duration(parse_duration_s(text))


def test_cpu_lists_are_read_as_linux_writes_them() -> None:
    """Ranges include both ends; spaces and order do not matter."""
    assert frozenset({1, 3, 4, 5}) == parse_cpu_list(" 3-5, 1\n")


def test_cpu_lists_are_written_shortest() -> None:
    """Neighbours become a range; a lone CPU stays a number."""
    assert "0,2-3,7" == format_cpu_list(frozenset({7, 3, 2, 0}))


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-1", "1,,2", "0-99999", "0-7:2/4", "1" * 400])
def test_what_is_not_a_cpu_list_is_refused(text: str) -> None:
    """Including a range that would make millions of numbers."""
    with pytest.raises(ValueError, match="write"):
        parse_cpu_list(text)


def test_hostile_text_is_shown_short_and_on_one_line() -> None:
    """Control characters are escaped and long text is cut."""
    text = shown("\x1b[31m\n" + "x" * 1000)

    assert (60, True, "'\\x1b[31m\\n") == (len(text), text.isprintable(), text[:11])
