"""Turn fits and time series into Plotly figures: memory against connections, what it is made of, a trial as it went."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from orchestrator.report import figures
from orchestrator.report.memorytable import interval, ordered
from orchestrator.report.page.charts import COLOURS, Chart, bars_height, finished, latency_ticks, line
from orchestrator.verdicts.memory import MemoryFit
from orchestrator.verdicts.summary import Summary

_PARTS = (("user", "user space", COLOURS[0]), ("kernel", "kernel", COLOURS[1]), ("socket", "sockets", COLOURS[2]))
_FEW_POINTS = 30  # up to here each is marked: a single one is no line
_MOST_POINTS = 400  # of one line of a timeline: more than a chart has pixels for, few enough for a page of many trials


@dataclass(frozen=True, slots=True)
class TimeLine:
    """One variant's line of a timeline."""

    variant: str
    points: tuple[tuple[float, float | None], ...]  # seconds since the trial began, value; None: no value then


@dataclass(frozen=True, slots=True)
class Timeline:
    """How one panel of the live page went, in one trial of each variant."""

    panel: str  # the panel's name
    question: str
    unit: str  # the panel's: seconds, bytes, per second, ratio, count, cores
    lines: tuple[TimeLine, ...]
    scale: str = "linear"  # the panel's: linear, log


def memory_charts(by_scenario: Mapping[str, Sequence[Summary]], fits: Sequence[MemoryFit]) -> list[Chart]:
    """Return memory against connections over all holds, with its fits where there are some, and what it is made of."""
    if not fits:
        found = _plain_memory(by_scenario)
        return [found] if found else []
    return [_fitted_memory(fits), *([parts] if (parts := _memory_parts(fits)) else [])]


def timeline_chart(scenario: str, told: Timeline) -> Chart | None:
    """Return the chart of one timeline; None without a point."""
    figure = go.Figure()
    text = _TEXT.get(told.unit, figures.plain)
    thinned = [one.points[:: max(1, len(one.points) // _MOST_POINTS)] for one in told.lines]
    known = [value for points in thinned for _, value in points if value is not None]
    foot = _foot(known) if told.scale == "log" else None
    for place, (one, points) in enumerate(zip(told.lines, thinned, strict=True)):
        if all(value is None for _, value in points):
            continue
        figure.add_scatter(
            x=[at_s for at_s, _ in points], y=[_at_least(foot, value) for _, value in points], name=one.variant,
            mode="lines" if len(points) > _FEW_POINTS else "lines+markers", marker={"size": 5},
            line=line(place), customdata=[text(value) for _, value in points], connectgaps=False,
            hovertemplate="%{x:.0f} s: %{customdata}",
        )  # fmt: skip
    if not figure.data:
        return None
    figure.update_xaxes(title={"text": "seconds since the trial began, set-up included", "standoff": 4})
    if foot is None:
        _scale(figure, max(0.0, *known), text)
    else:
        ticks = latency_ticks(max(foot, min(known)), max(known))
        figure.update_yaxes(type="log", tickvals=ticks, ticktext=[text(tick) for tick in ticks])
    return finished(f"{scenario}-time-{told.panel}", told.question, figure, 300)


def _foot(values: Sequence[float]) -> float | None:
    """Return the decade at which a logarithmic axis begins; None with nothing above zero, where it would have none."""
    least = min((value for value in values if value > 0.0), default=None)
    return None if least is None else 10.0 ** math.floor(math.log10(least))


def _at_least(foot: float | None, value: float | None) -> float | None:
    """Return where a value is drawn: zero has no logarithm and stands at the foot; what is absent stays absent."""
    return value if foot is None or value is None else max(foot, value)


def _plain_memory(by_scenario: Mapping[str, Sequence[Summary]]) -> Chart | None:
    """Lines from point to point; None with fewer than two different numbers of connections."""
    points: dict[str, list[tuple[int, float]]] = {}
    for rows in by_scenario.values():
        for row in rows:
            held, memory = row.metrics.connections_held, row.metrics.memory_bytes
            if row.kind == "hold" and held and memory and not row.reverted:
                points.setdefault(row.variant, []).append((held, memory))
    if len({held for variant in points.values() for held, _ in variant}) < 2:
        return None
    figure = go.Figure()
    for place, (variant, found) in enumerate(sorted(points.items())):
        found.sort()
        figure.add_scatter(
            x=[held for held, _ in found], y=[memory for _, memory in found], name=variant, mode="lines+markers",
            line=line(place), customdata=[figures.size(memory) for _, memory in found],
            hovertemplate="%{x:,} held: %{customdata}",
        )  # fmt: skip
    _against_connections(figure, max(memory for found in points.values() for _, memory in found))
    return finished("memory", "How does memory grow with connections?", figure, 380)


def _fitted_memory(fits: Sequence[MemoryFit]) -> Chart:
    """A dot for each trial, and the line that one more connection's cost was read from."""
    figure = go.Figure()
    for place, one in enumerate(ordered(fits)):
        most, slope = one.sizes[-1], one.whole
        told = f"{one.variant}: {figures.size(slope.bytes_each)} each ({interval(slope)})"
        figure.add_scatter(
            x=[0, most], y=[slope.base_bytes, slope.base_bytes + slope.bytes_each * most], name=one.variant,
            mode="lines", line=line(place), legendgroup=one.variant, text=[told, told],
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=[held for held, _ in one.points], y=[memory for _, memory in one.points], mode="markers",
            name=one.variant, legendgroup=one.variant, showlegend=False,
            marker={"color": line(place)["color"], "size": 7, "line": {"color": "white", "width": 1}},
            customdata=[figures.size(memory) for _, memory in one.points],
            hovertemplate="one trial, %{x:,} held: %{customdata}",
        )  # fmt: skip
    _against_connections(figure, max(memory for one in fits for _, memory in one.points))
    return finished("memory", "How does memory grow with connections? Dots are trials, lines their fit", figure, 380)


def _memory_parts(fits: Sequence[MemoryFit]) -> Chart | None:
    """What one more connection's memory is made of, as far as the kernel accounts it; None where it does not."""
    shown = ordered(fits)[::-1]  # Plotly draws from below
    figure = go.Figure()
    for name, title, colour in _PARTS:
        slopes = [getattr(one, name) for one in shown]
        if not any(slopes):
            continue
        # A part may well shrink by a page or two: no bar can show that, the table does.
        values = [max(0.0, slope.bytes_each) if slope is not None else 0.0 for slope in slopes]
        figure.add_bar(
            y=[one.variant for one in shown], x=values, name=title, orientation="h", marker_color=colour, opacity=0.85,
            customdata=[figures.size(slope.bytes_each) if slope is not None else "not known" for slope in slopes],
            hovertemplate=f"%{{y}}, {title}: %{{customdata}}<extra></extra>",
        )  # fmt: skip
    if not figure.data:
        return None
    figure.update_layout(barmode="stack")
    figure.update_xaxes(rangemode="tozero", showticklabels=False)
    question = "What is one more connection's memory made of?"
    return finished("memory-parts", question, figure, bars_height(len(shown)) + 70)


def _against_connections(figure: go.Figure, top: float) -> None:
    figure.update_xaxes(title={"text": "connections held", "standoff": 4}, rangemode="tozero", tickformat=",")
    _scale(figure, top, figures.size)


def _scale(figure: go.Figure, top: float, text: Callable[[float | None], str]) -> None:
    ticks = [top * i / 4 for i in range(5)] if top > 0.0 else [0.0]
    figure.update_yaxes(rangemode="tozero", tickvals=ticks, ticktext=[text(tick) for tick in ticks])


def _per_s(value: float | None) -> str:
    return f"{figures.rate(value)}/s"


_TEXT: Mapping[str, Callable[[float | None], str]] = {
    "seconds": figures.duration,
    "bytes": figures.size,
    "per second": _per_s,
    "ratio": figures.percent,
}
