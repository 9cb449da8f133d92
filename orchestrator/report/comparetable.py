"""Draw verdicts: what is compared, the ratio with its interval on a common scale, the word, and why not otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.report import figures
from orchestrator.report.text import plain_table
from orchestrator.verdicts.compare import Judged

_STYLES = {"better": "green", "worse": "red", "no difference": "dim", "undecided": "yellow"}
_CELLS = 21  # odd: the middle one is "the same"


def compare_table(judged: Sequence[Judged], *, ascii_only: bool = False) -> Table:
    """Return one row for each verdict; the drawing's middle is 1, its ends the widest interval of all."""
    table = plain_table(
        "candidate / baseline", "scenario", "figure", "baseline", "candidate", "ratio", "95 % interval", "", "verdict",
        "reason", wrap={"baseline", "candidate", "reason"}, right={"ratio"},
    )  # fmt: skip
    reach = max((_reach(one) for one in judged), default=0.0) or 0.05
    for one in judged:
        effect = one.effect
        interval = f"{effect.low:.3f} to {effect.high:.3f}" if effect else figures.UNKNOWN
        drawing = _interval(math.log(effect.low), math.log(effect.high), reach, ascii_only) if effect else ""
        table.add_row(
            Text(one.scenario), Text(one.figure.title), Text(one.baseline), Text(one.candidate),
            Text(f"{effect.ratio:.3f}" if effect else figures.UNKNOWN), Text(interval), Text(drawing),
            Text(one.word, style=_STYLES[one.word]), Text(one.reason, style="dim"),
        )  # fmt: skip
    return table


def compare_document(judged: Sequence[Judged]) -> list[dict[str, object]]:
    """Return the same as plain values; ratios as they are, null where nothing could be told."""
    return [
        {
            "scenario": one.scenario,
            "figure": one.figure.name,
            "baseline": one.baseline,
            "candidate": one.candidate,
            "verdict": one.word,
            "reason": one.reason,
            "ratio": one.effect.ratio if one.effect else None,
            "low": one.effect.low if one.effect else None,
            "high": one.effect.high if one.effect else None,
            "p_corrected": one.p_corrected,
            "p_rank": one.effect.p_rank if one.effect else None,
            "detectable_ratio": one.effect.detectable_ratio if one.effect else None,
            "trials": one.effect.pairs if one.effect else None,
            "threshold": one.threshold,
            "censored": one.censored,
        }
        for one in judged
    ]


def _reach(one: Judged) -> float:
    return max(abs(math.log(one.effect.low)), abs(math.log(one.effect.high))) if one.effect else 0.0


def _interval(low: float, high: float, reach: float, ascii_only: bool) -> str:
    """The interval as a bar on a line whose middle is "the same"."""
    half = _CELLS // 2
    first, last = (round(half + half * end / reach) for end in (low, high))
    bar, middle, empty = ("#", "|", "-") if ascii_only else ("█", "│", "·")
    return "".join(bar if first <= cell <= last else middle if cell == half else empty for cell in range(_CELLS))
