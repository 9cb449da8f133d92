"""Draw a run side by side: one table per scenario, one row per variant, what must be known of the rows below.

The table fits itself to the width it is given: bars shrink, then costs move to a table of their own, then bars and
ratios go. Names and figures never wrap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from orchestrator.model import Run
from orchestrator.report import figures
from orchestrator.report.ablation import ablation_table, counters_in_words
from orchestrator.report.columns import Column, are_kinds_cut, cost_columns, relate, service_columns
from orchestrator.report.foreseen import foreseen_lines, foreseen_table
from orchestrator.report.groups import MANY, arrange, headed, techniques_table
from orchestrator.report.memorytable import memory_remarks, memory_table
from orchestrator.report.probetable import probe_table
from orchestrator.report.steps import steps_table
from orchestrator.verdicts.memory import fit_run
from orchestrator.verdicts.summary import Summary, summarise_run

OPENED = re.compile(r"open [0-9.]+ s after the order to start")  # offer/hold.py's note

# Bar width and whether ratios are shown, from the widest that still reads as a table to figures alone.
_DRAWN = ((10, True), (8, True), (6, True), (4, True))
_LAYOUTS = (*_DRAWN, (0, True), (0, False))


class ScenarioTable:
    """One scenario's comparison, a rich renderable."""

    def __init__(self, rows: Sequence[Summary]) -> None:
        self.rows = rows
        self.title = f"{rows[0].scenario} ({rows[0].kind})"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._fitting(console, options)
        for draw in (steps_table, ablation_table, foreseen_table, probe_table):
            table = draw(self.rows, options.ascii_only)
            if table is not None:
                yield Text()
                yield table
        for line in footnotes(self.rows):
            yield Text(figures.to_ascii(line) if options.ascii_only else line, style="dim")

    def _fitting(self, console: Console, options: ConsoleOptions) -> Iterable[Table]:
        service, costs = service_columns(self.rows), cost_columns(self.rows)
        whole = _widest(console, options, self.title, self.rows, [*service, *costs], _DRAWN)
        if whole is not None:
            return [whole]
        halves = ((self.title, service), (f"{self.title}: what it cost", costs))
        return [
            _widest(console, options, title, self.rows, columns, _LAYOUTS)
            or _draw(title, self.rows, columns, 0, False, options.ascii_only)
            for title, columns in halves
        ]


def side_by_side(run: Run) -> list[RenderableType]:
    """Return one renderable per scenario, in the order of the plan; none for a run without a planned trial.

    Many rows are grouped by language, the best of each first; then a table says how each of them serves. Holds of
    several sizes end with what one more connection costs.
    """
    by_scenario: dict[str, list[Summary]] = {}
    for summary in summarise_run(run):
        by_scenario.setdefault(summary.scenario, []).append(summary)
    techniques = techniques_table(list(by_scenario.values()))
    fits = fit_run(run)
    drawn: list[RenderableType] = [ScenarioTable(arrange(rows)) for rows in by_scenario.values()]
    if techniques is not None:
        drawn.append(techniques)
    memory = memory_table(fits)
    if memory is not None:
        drawn += [memory, *(Text(line, style="dim") for line in memory_remarks(fits))]
    return drawn


def footnotes(rows: Sequence[Summary]) -> list[str]:
    """Return the lines below a table: void reasons, uncut errors, missing figures, notes; like ones together."""
    lines = [f"unsupported here: {row.label}: {row.unsupported}" for row in rows if row.unsupported]
    lines += [f"void: {row.label} {reason}" for row in rows for reason in row.void_reasons]
    lines += [
        f"errors: {row.label}: {figures.errors_in_words(row.metrics.errors)}" for row in rows if are_kinds_cut(row)
    ]
    lines += [f"kernel: {row.label}: {counters_in_words(row.counters)}" for row in rows if row.counters]
    shown = [column for column in (*service_columns(rows), *cost_columns(rows)) if column.metric]
    missing = [
        (f"no {column.name}: {row.missing[column.metric]}", row.label)
        for column in shown
        for row in rows
        if row.valid and column.metric in row.missing
    ]
    weights = [(row.label, row.metrics.generator_memory_bytes) for row in rows if row.kind == "hold"]
    known = [f"{label} {figures.size(weight)}" for label, weight in weights if weight is not None]
    if known:
        lines.append(f"the swarm's workers together: {', '.join(known)}")
    lines += foreseen_lines(rows)
    lines += _loaded_by(rows)
    missing += [("no trial finished", row.label) for row in rows if not row.finished]
    # When each of many was open stands in the table already.
    notes = [(note, row.label) for row in rows for note in row.notes if len(rows) < MANY or not OPENED.match(note)]
    everyone = [row.label for row in rows if row.valid]
    for text, variants in (*_grouped(missing).items(), *_grouped(notes).items()):
        lines.append(text if variants == everyone else f"{text} ({', '.join(variants)})")
    return lines


def _loaded_by(rows: Sequence[Summary]) -> list[str]:
    """Say who loaded: figures of Python's users and of the engine's are compared knowingly."""
    words = {"engine": "loaded by the engine", "locust": "loaded by Locust users"}
    return [
        words[users] if all(row.users in (users, "") for row in rows) else f"{words[users]}: {', '.join(names)}"
        for users, names in _grouped((row.users, row.label) for row in rows if row.users in words).items()
    ]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for text, variant in pairs:
        groups.setdefault(text, []).append(variant)
    return groups


def _widest(
    console: Console,
    options: ConsoleOptions,
    title: str,
    rows: Sequence[Summary],
    columns: Sequence[Column],
    layouts: Sequence[tuple[int, bool]],
) -> Table | None:
    """Return the richest of these layouts in which nothing wraps or is cut, or None."""
    unbounded = options.update(width=10_000)  # what the table would like, the console's own width disregarded
    for bar_width, with_ratios in layouts:
        table = _draw(title, rows, columns, bar_width, with_ratios, options.ascii_only)
        if Measurement.get(console, unbounded, table).maximum <= options.max_width:
            return table
    return None


def _draw(
    title: str,
    rows: Sequence[Summary],
    columns: Sequence[Column],
    bar_width: int,
    with_ratios: bool,
    ascii_only: bool,
) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("variant", no_wrap=True)
    cells = [[Text(figures.stacked(row.label), style="" if row.valid else "dim")] for row in rows]
    for column in columns:
        shares = relate(column, rows)
        _add(table, cells, column.header, [column.text(row) for row in rows], ascii_only=ascii_only)
        if not any(shares.bars):
            continue
        if bar_width:
            bars = [figures.bar(share, bar_width, ascii_only) for share in shares.bars]
            _add(table, cells, "", bars, justify="left", style="green" if column.better == "more" else "yellow")
        if with_ratios:
            ratios = ["" if share is None else figures.three_digits(share) for share in shares.ratios]
            _add(table, cells, "x best", ratios, style="dim")
    for language, line in zip(headed(rows), cells, strict=True):
        if language:
            table.add_row(Text(language, style="bold"))
        table.add_row(*line)
    return table


def _add(
    table: Table,
    cells: list[list[Text]],
    header: str,
    texts: Sequence[str],
    *,
    justify: Literal["left", "right"] = "right",
    style: str = "",
    ascii_only: bool = False,
) -> None:
    """Add a column and its cells. Text objects throughout: an error kind with brackets is not markup."""
    table.add_column(header, justify=justify, no_wrap=True)
    for line, text in zip(cells, texts, strict=True):
        line.append(Text(figures.to_ascii(text) if ascii_only else text, style=style))
