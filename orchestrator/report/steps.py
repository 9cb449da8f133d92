"""Draw a ramp step by step, so that where it bends is seen and not only told.

One line for each step: what was offered, what was answered (drawn against the ramp's best), latency, errors, how busy
the generator was, and what bound.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.report import figures
from orchestrator.verdicts.summary import Summary

_HEADERS = ("variant", "offered", "answers/s", "", "p50", "p99", "errors", "open", "generator", "binds")
_BAR_WIDTH = 16


def steps_table(rows: Sequence[Summary], ascii_only: bool = False) -> Table | None:
    """Return the steps of every row that has some, bars against the best of all; None where nobody has any.

    Of several trials it is the one that broke first, as in the table above it.
    """
    shown = [row for row in rows if row.steps]
    if not shown:
        return None
    title = Text(f"{rows[0].scenario}: step by step", style="bold")
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for header in _HEADERS:
        table.add_column(header, no_wrap=True, justify="left" if header in ("variant", "", "binds") else "right")
    best = max(step.answered_per_s for row in shown for step in row.steps)
    for row in shown:
        for number, step in enumerate(row.steps):
            cells = (
                "" if number else row.label,
                figures.rate(step.offered),
                figures.rate(step.answered_per_s),
                figures.bar(step.answered_per_s / best if best > 0.0 else None, _BAR_WIDTH, ascii_only),
                figures.duration(step.p50_s),
                figures.duration(step.p99_s),
                figures.percent(step.errors_ratio),
                figures.whole(step.established),
                figures.percent(step.generator_cpu_ratio),
                step.binds,
            )
            texts = [Text(figures.to_ascii(cell) if ascii_only else cell) for cell in cells]
            texts[3].stylize("yellow" if step.binds else "green")
            table.add_row(*texts)
    return table
