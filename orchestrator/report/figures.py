"""Turn numbers into the few characters a person needs. The only place where anything is rounded.

Three significant digits: more would claim a precision that no trial has. An unknown value is a dash, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping

UNKNOWN = "-"

_EIGHTHS = "▏▎▍▌▋▊▉█"


def rate(per_s: float | None) -> str:
    """12,345 or 87.2: whole numbers from 100 on, three digits below."""
    if per_s is None:
        return UNKNOWN
    return f"{per_s:,.0f}" if abs(per_s) >= 100 else three_digits(per_s)


def whole(n: int | None) -> str:
    """12,345."""
    return UNKNOWN if n is None else f"{n:,}"


def duration(s: float | None) -> str:
    """312 µs, 4.10 ms, 5.01 s."""
    if s is None:
        return UNKNOWN
    if _significant(s * 1e6) < 1000:
        return f"{three_digits(s * 1e6)} µs"
    if _significant(s * 1e3) < 1000:
        return f"{three_digits(s * 1e3)} ms"
    return f"{three_digits(s)} s"


def long_duration(s: float) -> str:
    """42 s, 3 min 05 s, 1 h 02 min."""
    minutes, seconds = divmod(round(s), 60)
    if minutes < 1:
        return f"{seconds} s"
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(n_bytes: float | None) -> str:
    """812 B, 12.4 KiB, 3.10 MiB, 2.00 GiB; a rise may be negative."""
    if n_bytes is None:
        return UNKNOWN
    value = float(n_bytes)
    if abs(round(value)) < 1024:
        return f"{value:.0f} B"
    for unit in ("KiB", "MiB"):
        value /= 1024
        if abs(value) < 1023.5:
            return f"{three_digits(value)} {unit}"
    return f"{three_digits(value / 1024)} GiB"


def percent(ratio: float | None) -> str:
    """12.3 %, 100 %; an exact 0 is 0."""
    if ratio is None:
        return UNKNOWN
    return f"{three_digits(ratio * 100)} %" if ratio else "0"


def plain(value: float | None) -> str:
    """A number that has no unit of its own."""
    return UNKNOWN if value is None else three_digits(value)


def errors_in_words(errors: Mapping[str, int]) -> str:
    """86 timeout, 4 wrong body: the most frequent first."""
    return ", ".join(f"{n:,} {kind}" for kind, n in by_frequency(errors)) or "none"


def by_frequency(errors: Mapping[str, int]) -> list[tuple[str, int]]:
    """Kinds that occurred, the most frequent first."""
    return sorted(((kind, n) for kind, n in errors.items() if n), key=lambda item: (-item[1], item[0]))


def shortened(text: str, width: int, ascii_only: bool = False) -> str:
    """The text, or its beginning and an ellipsis."""
    if len(text) <= width:
        return text
    mark = "~" if ascii_only else "…"
    return text[: width - 1].rstrip() + mark


def bar(share: float | None, width: int, ascii_only: bool = False) -> str:
    """A bar of up to `width` characters for a share of 0 to 1; anything above 0 shows."""
    if share is None or share <= 0.0 or width <= 0:
        return ""
    share = min(share, 1.0)
    if ascii_only:
        return "#" * max(1, round(share * width))
    full, eighths = divmod(max(1, round(share * width * 8)), 8)
    return "█" * full + (_EIGHTHS[eighths - 1] if eighths else "")


def stacked(label: str) -> str:
    """A row's name in two lines where it names a setting it does without: columns are narrow."""
    return label.replace(" without ", " without\n  ")


def to_ascii(text: str) -> str:
    """The same for a stream that cannot carry our few signs."""
    for sign, plain_sign in (("µ", "u"), ("≥", ">="), ("≤", "<="), ("…", "~")):
        text = text.replace(sign, plain_sign)
    return text


def three_digits(value: float) -> str:
    """123, 12.3, 1.23, 0.123; an exact 0 is 0."""
    rounded = _significant(value)
    if rounded == 0:
        return "0"
    if abs(rounded) >= 100:
        return f"{rounded:,.0f}"
    if abs(rounded) >= 10:
        return f"{rounded:.1f}"
    return f"{rounded:.2f}" if abs(rounded) >= 1 else f"{rounded:.3g}"


def _significant(value: float) -> float:
    return float(f"{value:.3g}")
