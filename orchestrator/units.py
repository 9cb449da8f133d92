"""Turn the strings people write into numbers, and numbers into the strings people read.

Text in, number out, and back; this is the only module that knows a unit's spelling. Rounding happens here, once,
when text is made: three significant digits.
"""

from __future__ import annotations

import re

DURATION_UNITS_S = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
RATE_UNITS_PER_S = {"s": 1.0, "m": 1 / 60, "h": 1 / 3600}
BYTE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

# Fifteen digits are exact in a double and keep hostile text such as 10^5000 away from int() and float().
_NUMBER = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?(.*)", re.DOTALL)

# The kernel's largest NR_CPUS on x86-64 and arm64 is 8192 (arch/*/Kconfig); beyond it a list is a slip of the pen.
MAX_CPU = 8191


def parse_duration_s(text: str) -> float:
    """Return the seconds that "60s", "250ms", "2m" or "1h" stand for.

    Never negative. Raises ValueError saying what to write.
    """
    number, unit = _split(text, "a duration", "6s")
    if not unit:
        raise ValueError(f"{shown(text)} has no unit; write '{text.strip()}s'")
    if unit not in DURATION_UNITS_S:
        raise ValueError(
            f"{shown(text)} has the unknown unit {shown(unit)}; write us, ms, s, m or h, as in '{number}s'"
        )
    return _scaled(number, DURATION_UNITS_S[unit])


def parse_rate_per_s(text: str) -> float:
    """Return the events per second that "2000/s", "3/m" or "10/h" stand for.

    Never negative. Raises ValueError saying what to write.
    """
    number, unit = _split(text, "a rate", "2000/s")
    if not unit:
        raise ValueError(f"{shown(text)} has no unit; write '{text.strip()}/s'")
    if not unit.startswith("/") or unit[1:] not in RATE_UNITS_PER_S:
        raise ValueError(f"{shown(text)} has the unknown unit {shown(unit)}; write /s, /m or /h, as in '{number}/s'")
    return _scaled(number, RATE_UNITS_PER_S[unit[1:]])


def parse_bytes(text: str) -> int:
    """Return the bytes that "64MiB", "16KiB", "1GiB" or "512B" stand for.

    Decimal units (kB, MB) are refused: half of all readers take them for binary ones.
    Raises ValueError saying what to write, also when the result is not a whole number of bytes.
    """
    number, unit = _split(text, "a size", "64MiB")
    if not unit:
        raise ValueError(f"{shown(text)} has no unit; write '{text.strip()}B' or '{text.strip()}KiB'")
    if unit not in BYTE_UNITS:
        raise ValueError(
            f"{shown(text)} has the unknown unit {shown(unit)}; write B, KiB, MiB, GiB or TiB, as in '{number}MiB'"
        )
    size = float(number) * BYTE_UNITS[unit]
    if size != int(size):
        raise ValueError(f"{shown(text)} is not a whole number of bytes; write a smaller unit, as in '512B'")
    return int(size)


def parse_cpu_list(text: str) -> frozenset[int]:
    """Return the CPU numbers in a Linux CPU list such as "1,3-5".

    Source: the List format of cpuset(7), without its stride form. Raises ValueError saying what to write.
    """
    cpus: set[int] = set()
    for part in text.strip().split(","):
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part.strip())
        if match is None:
            raise ValueError(f"{shown(text)} is not a CPU list; write numbers and ranges, as in '0,2-3'")
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise ValueError(f"{shown(text)} has a range that runs backwards; write '{last}-{first}'")
        if last > MAX_CPU:
            raise ValueError(f"{shown(text)} names CPU {last}; Linux numbers them 0 to {MAX_CPU}: write one of these")
        cpus.update(range(first, last + 1))
    return frozenset(cpus)


def format_duration(duration_s: float) -> str:
    """Return a duration as read by people: "312µs", "12.3ms", "6s", "90s", "2m", "1h 1m 5s".

    From two minutes on it is rounded to whole seconds.
    """
    rounded_s = _significant(duration_s)
    if abs(rounded_s) < 1e-3:
        return f"{_plain(_significant(duration_s * 1e6))}µs" if rounded_s else "0s"
    if abs(rounded_s) < 1:
        return f"{_plain(_significant(duration_s * 1e3))}ms"
    if abs(duration_s) < 120:
        return f"{_plain(rounded_s)}s"
    whole_s = round(abs(duration_s))
    parts = (("h", whole_s // 3600), ("m", whole_s // 60 % 60), ("s", whole_s % 60))
    return ("-" if duration_s < 0 else "") + " ".join(f"{count}{unit}" for unit, count in parts if count)


def format_bytes(size_bytes: float) -> str:
    """Return a size in the largest binary unit that keeps it at 1 or more: "512B", "4.46KiB", "64MiB"."""
    units = list(BYTE_UNITS.items())
    for unit, factor in units[:-1]:
        # 1,023.7 KiB would be rounded to 1,020 KiB or shown as 1024KiB; whole numbers below 1,024 stay exact.
        if abs(round(size_bytes / factor)) < 1024:
            return f"{_plain(_significant(size_bytes / factor))}{unit}"
    unit, factor = units[-1]
    return f"{_plain(_significant(size_bytes / factor))}{unit}"


def format_rate(rate_per_s: float) -> str:
    """Return a rate in the shortest period that keeps it at 1 or more: "2000/s", "3/m", "0.5/h"."""
    for unit in ("s", "m"):
        if _significant(rate_per_s / RATE_UNITS_PER_S[unit]) >= 1 or rate_per_s == 0:
            return f"{_plain(_significant(rate_per_s / RATE_UNITS_PER_S[unit]))}/{unit}"
    return f"{_plain(_significant(rate_per_s / RATE_UNITS_PER_S['h']))}/h"


def format_cpu_list(cpus: frozenset[int]) -> str:
    """Return CPU numbers as the shortest Linux CPU list: {0, 2, 3} is "0,2-3"; the empty set is ""."""
    ranges: list[list[int]] = []
    for cpu in sorted(cpus):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def shown(value: object) -> str:
    """Return what was seen, quoted, on one line and at most some 60 characters long, for an error text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"


def _split(text: str, what: str, example: str) -> tuple[str, str]:
    match = _NUMBER.fullmatch(text.strip())
    if match is None or match[2][:1].isdigit() or match[2][:1] == ".":
        raise ValueError(f"{shown(text)} is not {what}; write a number and its unit, as in '{example}'")
    return match[1], match[2]


def _scaled(number: str, factor: float) -> float:
    # Division is exact where multiplication by an inexact factor is not: 250 * 0.001, but 250 / 1000.
    return float(number) * factor if factor >= 1 else float(number) / round(1 / factor)


def _significant(value: float) -> float:
    """Round to three significant digits; whole numbers of more digits keep them."""
    return float(round(value)) if abs(value) >= 100 else float(f"{value:.3g}")


def _plain(value: float) -> str:
    return f"{value:f}".rstrip("0").rstrip(".") if value != int(value) else str(int(value))
