"""Arrange many rows so that they can be read: by language, and within each the best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.verdicts.summary import Summary

MANY = 9  # rows; up to here the eye finds its way in the plan's order


def is_grouped(rows: Sequence[Summary]) -> bool:
    """Whether a table of these rows has a line for each language: there are many, of more than one."""
    return len(rows) >= MANY and len({row.language for row in rows}) > 1


def arrange(rows: Sequence[Summary]) -> list[Summary]:
    """Return few rows as they are; many by language, within each the best first and those without figures last."""
    if len(rows) < MANY:
        return list(rows)
    return sorted(rows, key=lambda row: (row.language, row.valid == 0, -_merit(row), row.variant, row.reverted))


def headed(rows: Sequence[Summary]) -> Iterator[str]:
    """Yield, for each row, the language to announce above it, or ""."""
    before = None
    for row in rows:
        yield row.language if is_grouped(rows) and row.language != before else ""
        before = row.language


def techniques_table(tables: Sequence[Sequence[Summary]]) -> Table | None:
    """Return how each variant serves, where there are many; None where there are few, or nothing is known of them."""
    if not any(is_grouped(rows) for rows in tables):
        return None
    known = {row.variant: row for rows in tables for row in rows if row.technique}
    table = Table(title=Text("How they serve", style="bold"), title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.pad_edge = False
    for header in ("language", "variant", "technique"):
        table.add_column(header, no_wrap=header != "technique")
    before = ""
    for row in sorted(known.values(), key=lambda row: (row.language, row.variant)):
        table.add_row(Text(row.language if row.language != before else ""), Text(row.variant), Text(row.technique))
        before = row.language
    return table


def _merit(row: Summary) -> float:
    """What its scenario's kind is about, the larger the better: connections held, the breaking point, or answers/s."""
    metrics = row.metrics
    if row.kind in ("hold", "storm"):
        # Those who hold all are told apart by how soon: the share of a second that opening did not take.
        return (metrics.connections_held or 0) + 1.0 / (1.0 + (metrics.established_s or 0.0))
    return (metrics.breaking_point if row.kind == "ramp" else metrics.throughput_per_s) or 0.0
