"""Draw what was predicted beside what was seen, and what was to bind first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.report import figures
from orchestrator.report.groups import MANY
from orchestrator.verdicts.prediction import TOLERANCE_RATIO, compare
from orchestrator.verdicts.summary import Summary

# How a figure is written; what is not here is a plain number.
_WRITTEN: Mapping[str, Callable[[float | None], str]] = {
    "established_s": figures.duration,
    "p50_s": figures.duration,
    "p99_s": figures.duration,
    "memory_bytes": figures.size,
    "memory_bytes_per_connection": figures.size,
    "generator_memory_bytes": figures.size,
    "throughput_per_s": figures.rate,
    "breaking_point": figures.rate,
    "connections_held": figures.rate,
    "threads_peak": figures.rate,
}
_NAMES: Mapping[str, str] = {
    "established_s": "time to open all",
    "memory_bytes": "server's memory",
    "memory_bytes_per_connection": "memory per connection",
    "generator_memory_bytes": "workers' memory",
    "throughput_per_s": "answers/s",
    "breaking_point": "breaking point",
    "connections_held": "connections held",
    "threads_peak": "peak threads",
}


def foreseen_table(rows: Sequence[Summary], ascii_only: bool = False) -> Table | None:
    """Return a line for each predicted figure of each row with a valid trial; None where nothing was predicted."""
    lines = [(row, one) for row in rows if row.valid for one in compare(row.predicted, row.metrics)]
    words = f"predicted and seen (failed: more than {TOLERANCE_RATIO:.0%} off)"
    if len(rows) >= MANY:  # three lines for each of 25 rows would hide the ones that matter
        failed = [(row, one) for row, one in lines if one.has_failed]
        words = f"predictions that failed (more than {TOLERANCE_RATIO:.0%} off): {len(failed)} of {len(lines)}"
        lines = failed
    if not lines:
        return None
    title = Text(f"{rows[0].scenario}: {words}", style="bold")
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for header in ("variant", "figure", "predicted", "seen", "off", ""):
        is_figure = header in ("predicted", "seen", "off")
        table.add_column(header, no_wrap=True, justify="right" if is_figure else "left")
    label = ""
    for row, one in lines:
        write = _WRITTEN.get(one.name, figures.plain)
        cells = (
            row.label if row.label != label else "",
            _NAMES.get(one.name, one.name),
            write(one.predicted),
            write(one.seen),
            figures.UNKNOWN if one.off_ratio is None else f"{one.off_ratio * 100:+.1f} %",
            "failed" if one.has_failed else "",
        )
        label = row.label
        texts = [Text(figures.to_ascii(cell) if ascii_only else cell) for cell in cells]
        texts[5].stylize("red")
        table.add_row(*texts)
    return table


def foreseen_lines(rows: Sequence[Summary]) -> list[str]:
    """Return what was to bind first, a line for each constraint with the rows it stands for."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.binds_first:
            found.setdefault(row.binds_first, []).append(row.label)
    return [f"predicted to bind first: {bound} ({', '.join(labels)})" for bound, labels in found.items()]
