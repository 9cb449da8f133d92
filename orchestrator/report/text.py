"""Draw what the commands print: pages, variants, first light; plans come from plantable.py, side-by-side tables
from sidebyside.py.

Everything returned is a rich renderable. Cells are Text, so that no name or reason is read as markup.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.model import Run, Variant
from orchestrator.report import figures
from orchestrator.report.remaining import loaded_s
from orchestrator.report.sidebyside import ScenarioTable, side_by_side
from orchestrator.verdicts.timing import time_run

__all__ = [
    "LightRow",
    "PageRow",
    "ScenarioTable",
    "VariantRow",
    "first_light_table",
    "lab_table",
    "loaded_s",
    "open_console",
    "pages_table",
    "plain_table",
    "side_by_side",
    "timing_line",
]

# Rich takes 80 columns for a pipe or a file; the side-by-side table needs more, and a file has no edge.
_FILE_WIDTH = 120

_GOOD_STATES = frozenset({"up", "ready", "verified", "running", "healthy"})


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page of the lab that a person can open."""

    page: str
    address: str
    state: str


@dataclass(frozen=True, slots=True)
class VariantRow:
    """A variant as `lab up` left it."""

    variant: Variant
    address: str  # inside the arena, or "" when it has none
    state: str


@dataclass(frozen=True, slots=True)
class LightRow:
    """What first light saw of one variant. None means not measured; `reason` then says why."""

    variant: str
    throughput_per_s: float | None
    p99_s: float | None
    threads_peak: int | None
    memory_bytes: float | None
    errors: int
    reason: str = ""


def open_console(file: TextIO, width: int | None = None) -> Console:
    """Return a console for a stream: a terminal's own width, 120 columns for a pipe or a file.

    A stream that cannot carry a sign gets a question mark in its place instead of failing the command.
    """
    if isinstance(file, TextIOWrapper):
        file.reconfigure(errors="replace")
    if width is None and not file.isatty():
        width = shutil.get_terminal_size((_FILE_WIDTH, 25)).columns  # COLUMNS still decides where it is set
    return Console(file=file, width=width, highlight=False)


def pages_table(rows: Sequence[PageRow]) -> Table:
    """Each page, its address, its state."""
    table = plain_table("Pages", "page", "address", "state", wrap={"state"})
    for row in rows:
        table.add_row(Text(row.page), Text(row.address), _state(row.state))
    return table


def lab_table(pages: Sequence[PageRow], variants: Sequence[VariantRow]) -> Table:
    """The lab as it stands: each page and each variant, what it is for or how it serves, where, and its state."""
    table = plain_table("The lab", "what", "about", "address", "state", wrap={"about", "state"})
    for page in pages:
        name, _, about = page.page.partition(": ")
        table.add_row(Text(name), Text(about), Text(page.address), _state(page.state))
    for row in variants:
        about = f"{row.variant.language}, {row.variant.speaks}: {row.variant.technique}"
        table.add_row(Text(row.variant.name), Text(about), Text(row.address or figures.UNKNOWN), _state(row.state))
    return table


def first_light_table(rows: Sequence[LightRow]) -> Table:
    """Two seconds of load on each variant: requests/s drawn, p99, threads, memory; a blank has its reason beside it."""
    best = max((row.throughput_per_s for row in rows if row.throughput_per_s is not None), default=0.0)
    with_reason = any(row.reason for row in rows)
    headers = ["variant", "requests/s", "", "p99", "errors", "threads", "memory", *(["remark"] if with_reason else [])]
    right = {"requests/s", "p99", "errors", "threads", "memory"}
    table = plain_table("First light", *headers, wrap={"remark"}, right=right)
    for row in rows:
        rate = row.throughput_per_s
        cells = [
            Text(row.variant),
            Text("" if rate is None else figures.rate(rate)),
            Text(figures.bar(rate / best if rate is not None and best > 0.0 else None, 12), style="green"),
            Text(figures.duration(row.p99_s)),
            Text(figures.whole(row.errors), style="red" if row.errors else ""),
            Text(figures.whole(row.threads_peak)),
            Text(figures.size(row.memory_bytes)),
        ]
        table.add_row(*cells, *([Text(row.reason, style="dim")] if with_reason else []))
    return table


def timing_line(run: Run) -> str:
    """Where a run's time went: under load, and around each trial."""
    spent = time_run(run)
    if spent.overhead_s_per_trial is None:
        return f"0 of {len(run.plan.trials)} trials finished"
    return (
        f"{spent.trials} of {len(run.plan.trials)} trials: {figures.long_duration(spent.loaded_s)} under load, "
        f"{figures.long_duration(spent.overhead_s)} around it "
        f"({figures.three_digits(spent.overhead_s_per_trial)} s per trial)"
    )


def plain_table(title: str, *headers: str, wrap: Collection[str] = (), right: Collection[str] = ()) -> Table:
    """An empty table without lines. Names never wrap; the columns of `wrap` take what width is left."""
    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for header in headers:
        table.add_column(header, no_wrap=header not in wrap, justify="right" if header in right else "left")
    return table


def _state(state: str) -> Text:
    return Text(state, style="green" if state in _GOOD_STATES else "yellow")
