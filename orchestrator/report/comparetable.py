"""Draw verdicts: what is compared, the ratio with its interval on a common scale, the word, and why not otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.report import figures
from orchestrator.report.text import plain_table
from orchestrator.verdicts.compare import Judged
from orchestrator.verdicts.tiers import Tiers

_STYLES = {"better": "green", "worse": "red", "no difference": "dim", "undecided": "yellow"}
_CELLS = 21  # odd: the middle one is "the same"


def compare_table(judged: Sequence[Judged], *, ascii_only: bool = False) -> Table:
    """Return one row for each verdict; the drawing's middle is 1, its ends the widest interval of all.

    "would show": the smallest difference that these trials show four times in five. A baseline that is everybody's
    stands in the title.
    """
    baselines = {one.baseline for one in judged}
    common = f" {judged[0].baseline}" if len(baselines) == 1 else " baseline"
    headers = ["scenario", "figure", *([] if len(baselines) == 1 else ["baseline"]), "candidate", "ratio"]
    headers += ["95 % interval", "", "would show", "verdict", "reason"]
    table = plain_table(
        f"candidate /{common}", *headers, wrap={"baseline", "candidate", "reason"}, right={"ratio", "would show"}
    )
    reach = max((_reach(one) for one in judged), default=0.0) or 0.05
    for one in judged:
        effect = one.effect
        interval = f"{effect.low:.3f} to {effect.high:.3f}" if effect else figures.UNKNOWN
        drawing = _interval(math.log(effect.low), math.log(effect.high), reach, ascii_only) if effect else ""
        cells = [Text(one.scenario), Text(one.figure.title), *([] if len(baselines) == 1 else [Text(one.baseline)])]
        table.add_row(
            *cells, Text(one.candidate), Text(f"{effect.ratio:.3f}" if effect else figures.UNKNOWN), Text(interval),
            Text(drawing), Text(figures.percent(effect.detectable_ratio - 1.0) if effect else figures.UNKNOWN),
            Text(one.word, style=_STYLES[one.word]), Text(_without_detectable(one), style="dim"),
        )  # fmt: skip
    return table


def _without_detectable(one: Judged) -> str:
    """Return the reason without what has a column of its own."""
    if one.effect is None:
        return one.reason
    return "; ".join(part for part in one.reason.split("; ") if "would have shown" not in part)


def tiers_table(found: Sequence[Tiers], *, ascii_only: bool = False) -> Table:
    """Return one row for each scenario and figure: its groups, best first."""
    table = plain_table(
        "tiers: within one nobody can be told apart, best first", "scenario", "figure", "tiers", wrap={"tiers"}
    )
    for one in found:
        text = tiers_in_words(one)
        table.add_row(
            Text(one.scenario), Text(one.figure.title), Text(figures.to_ascii(text) if ascii_only else text)
        )  # fmt: skip
    return table


def tiers_in_words(found: Tiers) -> str:
    """Return "1. c-epoll, go-net  2. c-threads"; a bound has its sign."""
    sign = "≥ " if found.figure.more_is_better else "≤ "
    groups = [
        f"{place}. {', '.join((sign if name in found.bounds else '') + name for name in group)}"
        for place, group in enumerate(found.groups, start=1)
    ]
    left = f"  (too few valid trials: {', '.join(found.left_out)})" if found.left_out else ""
    return "  ".join(groups) + left


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
            "censored": {"baseline": one.censored[0], "candidate": one.censored[1]},
        }
        for one in judged
    ]


def tiers_document(found: Sequence[Tiers]) -> list[dict[str, object]]:
    """Return tiers as plain values, best first. "typical": geometric means; "bounds": whose figure is only a bound."""
    return [
        {
            "scenario": one.scenario,
            "figure": one.figure.name,
            "tiers": [list(group) for group in one.groups],
            "typical": dict(one.typical),
            "bounds": sorted(one.bounds),
            "left_out": list(one.left_out),
        }
        for one in found
    ]


def _reach(one: Judged) -> float:
    return max(abs(math.log(one.effect.low)), abs(math.log(one.effect.high))) if one.effect else 0.0


def _interval(low: float, high: float, reach: float, ascii_only: bool) -> str:
    """The interval as a bar on a line whose middle is "the same"."""
    half = _CELLS // 2
    first, last = (round(half + half * end / reach) for end in (low, high))
    bar, middle, empty = ("#", "|", "-") if ascii_only else ("█", "│", "·")
    return "".join(bar if first <= cell <= last else middle if cell == half else empty for cell in range(_CELLS))
