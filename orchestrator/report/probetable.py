"""What the probes saw inside the kernel, in windows of their own: a table below a scenario's, texts for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from rich.table import Table
from rich.text import Text

from orchestrator.model import Probed
from orchestrator.report import figures
from orchestrator.verdicts.summary import Summary

# figure -> its column's header, and how it is written
_COLUMNS: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("syscalls_per_request", "syscalls\n/rq", figures.plain),
    ("epoll_events_per_wait", "events\n/wait", figures.plain),
    ("context_switches_per_request", "switches\n/rq", figures.plain),
    ("runqueue_latency_p99_s", "ready to\nrun p99", figures.duration),
    ("runqueue_latency_mean_s", "mean", figures.duration),
    ("runqueue_wait_mean_s", "mean by\nschedstat", figures.duration),
    ("resets_sent", "resets\nsent", figures.plain),
    ("drops", "drops", figures.plain),
)


def probe_table(rows: Sequence[Summary], ascii_only: bool = False) -> Table | None:
    """Return the table of a scenario whose trials were probed; None for any other. Figures: means over the trials."""
    seen = [row for row in rows if any(probe.rung for probe in row.probes)]
    if not seen:
        return None
    rungs = ", ".join(sorted({probe.rung for row in seen for probe in row.probes if probe.rung}))
    title = f"{rows[0].scenario}: inside the kernel, in probe windows after the scored ones (rung {rungs})"
    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("variant", no_wrap=True)
    for _, header, _ in _COLUMNS:
        table.add_column(header, justify="right", no_wrap=True)
    for row in seen:
        texts = [write(_mean(row.probes, name)) for name, _, write in _COLUMNS]
        table.add_row(
            Text(figures.stacked(row.label)), *(Text(figures.to_ascii(t) if ascii_only else t) for t in texts)
        )
    return table


def probe_texts(probe: Probed) -> list[tuple[str, str]]:
    """Return a trial's figures as (name, text), the rung first; those it could not have are left out."""
    known = [
        (" ".join(header.split()).replace(" /", "/"), write(probe.figures[name]))
        for name, header, write in _COLUMNS
        if name in probe.figures
    ]
    by_reason = [
        (f"reset sent: {reason}", figures.plain(n)) for reason, n in sorted(probe.counts.get("resets_sent", {}).items())
    ]
    return [("probe rung", probe.rung or "none"), *known, *by_reason]


def _mean(probes: Sequence[Probed], name: str) -> float | None:
    found = [probe.figures[name] for probe in probes if name in probe.figures]
    return fmean(found) if found else None
