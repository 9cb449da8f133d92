"""Turn a run's tiers and memory fits into tables of the page."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.report import figures
from orchestrator.report.memorytable import HEADERS, memory_cells, memory_remarks, ordered
from orchestrator.report.page.cells import Cell, Table
from orchestrator.verdicts.compare import Figure
from orchestrator.verdicts.effect import LEAST_PAIRS
from orchestrator.verdicts.memory import MemoryFit
from orchestrator.verdicts.tiers import Tiers


def tier_table(found: Sequence[Tiers]) -> Table | None:
    """Return one row for each scenario and figure, one column for each tier; None where nothing was tiered."""
    if not found:
        return None
    most = max(len(one.groups) for one in found)
    rows = []
    for one in found:
        groups = [", ".join(_member(one, name) for name in group) for group in one.groups]
        cells = [one.scenario, one.figure.title, *groups, *[""] * (most - len(groups))]
        rows.append(tuple(Cell(text) for text in cells))
    left = {f"{name} on {one.scenario}" for one in found for name in one.left_out}
    remarks = ["Within a tier nobody can be told from its first; a ranking would promise more than was measured."]
    if left:
        remarks.append(f"Fewer than {LEAST_PAIRS} valid trials, so in no tier: {', '.join(sorted(left))}.")
    headers = ("scenario", "figure", *(f"tier {place + 1}" for place in range(most)))
    return Table("What can be told apart, best first", headers, tuple(rows), tuple(remarks))


def memory_table(fits: Sequence[MemoryFit]) -> Table | None:
    """Return what one more connection costs each variant; None without a fit."""
    if not fits:
        return None
    rows = []
    for one in ordered(fits):
        texts = memory_cells(one)
        slopes = (one.whole, one.whole, one.user, one.kernel, one.socket)
        keys = [None, *(slope.bytes_each if slope else None for slope in slopes), one.whole.base_bytes, None]
        rows.append(tuple(Cell(text, key) for text, key in zip(texts, keys, strict=True)))
    return Table("What one more connection costs in memory", HEADERS, tuple(rows), tuple(memory_remarks(fits)))


def figure_text(figure: Figure, value: float | None) -> str:
    """Return a figure that verdicts are about as people read it."""
    if value is None:
        return figures.UNKNOWN
    if figure.name.endswith("_per_s"):
        return f"{figures.rate(value)}/s"
    if figure.name.endswith("_s"):
        return figures.duration(value)
    if figure.name.startswith("connections"):
        return figures.whole(round(value))
    return figures.size(value) if "bytes" in figure.name else figures.plain(value)


def change_text(ratio: float) -> str:
    """Return a ratio as a change: +12.3 %, -4.56 %."""
    return f"{ratio - 1.0:+.1%}".replace("%", " %")


def _member(found: Tiers, name: str) -> str:
    sign = ("≥ " if found.figure.more_is_better else "≤ ") if name in found.bounds else ""
    return f"{name} ({sign}{figure_text(found.figure, found.typical[name])})"
