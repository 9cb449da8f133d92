"""Draw what was measured: ratios with a bar against wrk, and every line with its goal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from bench.lines import LINES
from orchestrator.report.figures import bar

_BAR_WIDTH = 40  # the bar of wrk; what is faster is longer
_MOST = 1.5


def ratio_table(ratios: Mapping[str, float], ascii_only: bool) -> Table:
    """Return the ratios as bars beside wrk's own, the fastest first."""
    table = Table(title="answers per second, as a ratio of wrk's in the same pods", title_justify="left")
    table.add_column("users")
    table.add_column("ratio", justify="right")
    table.add_column("")
    everyone = {"wrk -t1 -c50": 1.0, **ratios}
    for name, ratio in sorted(everyone.items(), key=lambda item: -item[1]):
        drawn = bar(ratio / _MOST, round(_BAR_WIDTH * _MOST), ascii_only)
        table.add_row(Text(name), f"{ratio:.3f}", Text(drawn))
    return table


def lines_table(entries: Mapping[str, Mapping[str, object]], chosen: frozenset[str]) -> Table:
    """Return every line with its figure, its goal and whether it holds. chosen: the experiments of this run."""
    table = Table(title="every line of bench.json", title_justify="left")
    for column in ("figure", "value", "goal", ""):
        table.add_column(column, justify="right" if column == "value" else "left")
    for line in LINES:
        entry = entries[line.name]
        value = entry["value"]
        if isinstance(value, (int, float)):
            shown = f"{value:,.0f} {line.unit}" if abs(value) >= 1000 else f"{value:.4g} {line.unit}"
        else:
            shown = "-"
        holds = entry["holds"] is True
        verdict = "holds" if holds else "FAILED" if line.experiment in chosen else "not measured"
        if line.experiment not in chosen and value is not None:
            verdict = f"{'holds' if holds else 'failed'} (earlier run)"
        style = "green" if holds else "red" if line.experiment in chosen else "dim"
        table.add_row(Text(line.name), Text(shown.strip()), Text(line.goal_text), Text(verdict, style))
    return table
