"""Turn summaries and histograms into Plotly figures: what the page draws, as plain values.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; after eight, patterns of lines begin.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from orchestrator.model import TrialResult
from orchestrator.report import figures
from orchestrator.verdicts.histogram import Histogram, count, merge, quantile_s
from orchestrator.verdicts.summary import Summary

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")
DASHES = ("solid", "dash", "dot", "dashdot")
# Where the distribution is read: as fine towards the slow end as there are answers to speak of.
_QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999)
_ROW_PX, _EDGE_PX = 26, 34


def _number(value: int | None) -> float | None:
    return None if value is None else float(value)


def _whole(value: float | None) -> str:
    return figures.whole(None if value is None else round(value))


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure with the question it answers."""

    name: str  # unique on the page
    question: str
    document: str  # {"data": ..., "layout": ...} as JSON
    is_wide: bool = False  # takes the whole row


@dataclass(frozen=True, slots=True)
class Bars:
    """A figure that is drawn as one bar for each variant, its trials as dots on it."""

    name: str
    question: str
    read: Callable[[Summary], float | None]
    of_trial: Callable[[TrialResult], float | None]
    text: Callable[[float | None], str]


BARS: tuple[Bars, ...] = (
    Bars("throughput", "How many right answers a second?", lambda row: row.metrics.throughput_per_s,
         lambda trial: trial.metrics.throughput_per_s, figures.rate),
    Bars("held", "How many connections were held?", lambda row: _number(row.metrics.connections_held),
         lambda trial: _number(trial.metrics.connections_held), _whole),
    Bars("memory-each", "What does a held connection cost in memory?",
         lambda row: row.metrics.memory_bytes_per_connection,
         lambda trial: trial.metrics.memory_bytes_per_connection, figures.size),
    Bars("threads", "How many threads?", lambda row: _number(row.metrics.threads_peak),
         lambda trial: _number(trial.metrics.threads_peak), _whole),
    Bars("cpu", "CPU-seconds for ten thousand requests?", lambda row: row.metrics.cpu_s_per_10k_requests,
         lambda trial: trial.metrics.cpu_s_per_10k_requests, figures.plain),
    Bars("switches", "Voluntary context switches for a request?",
         lambda row: row.metrics.context_switches_per_request,
         lambda trial: trial.metrics.context_switches_per_request, figures.plain),
)  # fmt: skip


def scenario_charts(rows: Sequence[Summary], trials: Sequence[TrialResult]) -> list[Chart]:
    """Return the charts of one scenario: bars for what was measured, and the whole latency distribution.

    trials: of this scenario; void ones are left out.
    """
    valid = [trial for trial in trials if trial.void is None]
    scenario = rows[0].scenario
    drawn = [_bars(scenario, bars, rows, valid) for bars in BARS if _is_telling(bars, rows)]
    latency = _latency(scenario, rows, valid)
    return [*drawn[:1], *([latency] if latency else []), *drawn[1:]]


def _is_telling(bars: Bars, rows: Sequence[Summary]) -> bool:
    if bars.name == "held":
        if rows[0].kind != "hold":
            return False
        # Where all of them held all, a row of equal bars tells nobody anything.
        return any(row.metrics.connections_held != row.metrics.connections_requested for row in rows if row.valid)
    if bars.name == "throughput" and rows[0].kind in ("hold", "storm"):
        return False
    return any(value for value in map(bars.read, rows))


def _bars(scenario: str, bars: Bars, rows: Sequence[Summary], trials: Sequence[TrialResult]) -> Chart:
    shown = [row for row in rows if bars.read(row) is not None][::-1]  # Plotly draws from below
    values = [bars.read(row) for row in shown]
    dots = [(trial_label(trial), bars.of_trial(trial)) for trial in trials]
    figure = go.Figure()
    figure.add_bar(
        y=[row.label for row in shown], x=values, orientation="h", marker_color=COLOURS[0], opacity=0.8,
        text=[("≥ " if bars.name == "throughput" and row.is_at_least else "") + bars.text(value)
              for row, value in zip(shown, values, strict=True)],
        textposition="auto", insidetextanchor="start", hovertemplate="%{y}: %{text}<extra></extra>",
    )  # fmt: skip
    known = [(label, value) for label, value in dots if value is not None]
    if len(known) > len(shown):
        figure.add_scatter(
            y=[label for label, _ in known], x=[value for _, value in known], mode="markers",
            marker={"color": COLOURS[1], "size": 6, "line": {"color": "white", "width": 1}},
            customdata=[bars.text(value) for _, value in known],
            hovertemplate="one trial: %{customdata}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(rangemode="tozero", showticklabels=False)
    return finished(f"{scenario}-{bars.name}", bars.question, figure, bars_height(len(shown)), legend=False)


def _latency(scenario: str, rows: Sequence[Summary], trials: Sequence[TrialResult]) -> Chart | None:
    """Latency by quantile, the slow end stretched: each step to the right is a tenth of the answers before."""
    figure = go.Figure()
    labels = list(dict.fromkeys(row.label for row in rows))
    for place, label in enumerate(labels):
        hist = merge([trial.histogram_us for trial in trials if trial_label(trial) == label])
        if not hist:
            continue
        read = [(q, quantile_s(hist, q)) for q in _QUANTILES if _has(hist, q)]
        figure.add_scatter(
            x=[-math.log10(1.0 - q) for q, _ in read], y=[seconds for _, seconds in read], name=label, mode="lines",
            line=line(place), customdata=[[f"p{q * 100:g}", figures.duration(seconds)] for q, seconds in read],
            hovertemplate="%{customdata[0]}: %{customdata[1]}",
        )  # fmt: skip
    if not figure.data:
        return None
    marks = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
    figure.update_xaxes(tickvals=[-math.log10(1.0 - q) for q in marks], ticktext=[f"p{q * 100:g}" for q in marks])
    seen = [value for drawn in figure.data for value in drawn.y]
    ticks = latency_ticks(max(min(seen), 1e-6), max(*seen, 1e-6))  # whole µs: 0 is less than one, and has no logarithm
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=[figures.duration(seconds) for seconds in ticks])
    question = "How long do clients wait, from the quickest to the slowest?"
    return finished(f"{scenario}-latency", question, figure, 400, wide=True)


def latency_ticks(least: float, most: float) -> list[float]:
    """Return where a logarithmic axis of seconds has its marks: decades, and steps between them where there are few."""
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    decades = [10.0**power for power in range(first, last + 1)]
    if sum(least <= mark <= most for mark in decades) >= 2:
        return decades
    if most / least >= 2.0:
        return [digit * decade for decade in decades for digit in (1, 2, 5)]
    return [least + (most - least) * part / 4 for part in range(5)]  # a hold: all wait for the same delay


def _has(hist: Histogram, q: float) -> bool:
    return count(hist) * (1.0 - q) >= 1.0 or q <= 0.5  # beyond, the quantile would be the maximum


def trial_label(trial: TrialResult) -> str:
    """Return the name of the row that a trial belongs to."""
    setting = trial.spec.reverted.partition("=")[0].rpartition(".")[2]
    return f"{trial.spec.variant} without {setting}" if setting else trial.spec.variant


def bars_height(rows: int) -> int:
    """Return how many pixels a chart of so many bars takes."""
    return _EDGE_PX + _ROW_PX * rows


def line(place: int) -> dict[str, object]:
    """Return how the n-th line of a chart is drawn."""
    return {"color": COLOURS[place % len(COLOURS)], "dash": DASHES[place // len(COLOURS) % len(DASHES)], "width": 2}


def finished(
    name: str, question: str, figure: go.Figure, height_px: int, *, legend: bool = True, wide: bool = False
) -> Chart:
    """Return the chart, in the one look that all charts of the page have."""
    figure.update_layout(
        template="none", height=height_px, showlegend=legend,
        margin={"l": 10, "r": 10, "t": 8, "b": 64 if legend else 8},
        legend={"orientation": "h", "yref": "container", "y": 0.0, "yanchor": "bottom"},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13}, bargap=0.25,
    )  # fmt: skip
    figure.update_xaxes(automargin=True, fixedrange=True, gridcolor="rgba(128,128,128,0.25)")
    figure.update_yaxes(automargin=True, fixedrange=True, gridcolor="rgba(128,128,128,0.25)")
    return Chart(name, question, json.dumps(figure.to_plotly_json(), allow_nan=False, default=str), wide)
