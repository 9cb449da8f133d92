"""Turn a night into its part of the page: the verdict, tonight against the baseline, the history with its changes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from orchestrator.report import figures
from orchestrator.report.nightdocument import remark, shift
from orchestrator.report.page.charts import COLOURS, DASHES, Chart
from orchestrator.report.page.judged import figure_text
from orchestrator.verdicts.compare import FIGURES, Figure, Judged
from orchestrator.verdicts.history import Change, History
from orchestrator.verdicts.night import Night
from orchestrator.verdicts.noise import Key

# Two nights make no line; from three on a history is worth a look.
LEAST_NIGHTS = 3


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page; cells are text."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class NightSection:
    """What the page says of a night."""

    run_id: str
    word: str
    sentences: tuple[str, ...]
    baseline: str
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    remarks: tuple[str, ...]


def night_section(night: Night) -> NightSection:
    """Return everything the page says of a night."""
    tables = [_compared(night), _changes(night), _noise(night)]
    return NightSection(
        run_id=night.run_id,
        word=night.word,
        sentences=night.sentences,
        baseline=night.baseline,
        tables=tuple(table for table in tables if table.rows),
        charts=tuple(_charts(night.histories, night.changes)),
        remarks=night.remarks,
    )


def _compared(night: Night) -> Table:
    headers = ("scenario", "variant", "figure", "verdict", "change", "95 % interval", "as measured", "why")
    if night.compared is None:
        return Table("", headers, ())
    plain = night.compared.plain
    rows = [
        (
            one.scenario, one.candidate, one.figure.title, one.word, _ratio(one),
            f"{shift(one.effect.low)} to {shift(one.effect.high)}" if one.effect else figures.UNKNOWN,
            _ratio(plain.get((one.scenario, one.figure.name, one.candidate))), one.reason,
        )
        for one in sorted(night.compared.judged, key=lambda one: _ORDER.index(one.word))
    ]  # fmt: skip
    return Table(f"Tonight against the baseline {night.baseline}", headers, tuple(rows))


_ORDER = ("worse", "better", "undecided", "no difference")


def _ratio(one: Judged | None) -> str:
    return shift(one.effect.ratio) if one is not None and one.effect else figures.UNKNOWN


def _changes(night: Night) -> Table:
    headers = ("since", "scenario", "variant", "figure", "change", "nights since", "what else is different")
    rows = [
        (
            change.started_at[:10], change.scenario, change.variant, change.figure.title, shift(change.ratio),
            str(change.nights_after), remark(change) or "nothing that is known",
        )
        for change in night.changes
    ]  # fmt: skip
    return Table(f"What changed in {night.nights} nights", headers, tuple(rows))


def _noise(night: Night) -> Table:
    titles = {figure.name: figure.title for figure in FIGURES}
    keys: list[Key] = list(dict.fromkeys((*night.noise, *night.tonight)))
    rows = [
        (key[0], titles[key[1]], figures.percent(night.tonight.get(key)), figures.percent(night.noise.get(key)))
        for key in keys
    ]
    return Table(
        "What one image shows against itself (A/A): no difference below it is called",
        ("scenario", "figure", "tonight", "95 % of the nights"),
        tuple(rows),
    )


def _charts(histories: Sequence[History], changes: Sequence[Change]) -> list[Chart]:
    drawn = []
    for scenario in dict.fromkeys(history.scenario for history in histories):
        for figure in FIGURES:
            lines = [h for h in histories if (h.scenario, h.figure.name) == (scenario, figure.name)]
            if max((len(line.points) for line in lines), default=0) >= LEAST_NIGHTS:
                marks = [c for c in changes if (c.scenario, c.figure.name) == (scenario, figure.name)]
                drawn.append(_chart(scenario, figure, lines, marks))
    return drawn


def _chart(scenario: str, figure: Figure, lines: Sequence[History], marks: Sequence[Change]) -> Chart:
    drawing = go.Figure()
    for place, line in enumerate(lines):
        drawing.add_scatter(
            x=[point.started_at for point in line.points], y=[point.value for point in line.points], name=line.variant,
            mode="lines+markers", marker={"size": 5}, customdata=[figure_text(figure, p.value) for p in line.points],
            line={"color": COLOURS[place % len(COLOURS)], "dash": DASHES[place // len(COLOURS) % len(DASHES)]},
            hovertemplate="%{x|%d %b}: %{customdata}",
        )  # fmt: skip
    if marks:
        drawing.add_scatter(
            x=[mark.started_at for mark in marks], y=[mark.after for mark in marks], name="changes from here on",
            mode="markers", marker={"symbol": "diamond-open", "size": 15, "color": "#d55e00", "line": {"width": 3}},
            customdata=[f"{mark.variant} {shift(mark.ratio)}" for mark in marks], hovertemplate="%{customdata}",
        )  # fmt: skip
    top = max(point.value for line in lines for point in line.points)
    ticks = _ticks(top)
    drawing.update_layout(
        template="none", height=320, margin={"l": 10, "r": 10, "t": 8, "b": 40}, paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", legend={"orientation": "h", "y": -0.18},
        font={"family": "system-ui, sans-serif", "size": 13},
    )  # fmt: skip
    drawing.update_xaxes(type="date", automargin=True, fixedrange=True, gridcolor="rgba(128,128,128,0.25)")
    drawing.update_yaxes(
        rangemode="tozero", tickvals=ticks, ticktext=[figure_text(figure, tick) for tick in ticks], automargin=True,
        fixedrange=True, gridcolor="rgba(128,128,128,0.25)",
    )  # fmt: skip
    question = f"{scenario}: how did the {figure.title} go, night by night?"
    document = json.dumps(drawing.to_plotly_json(), allow_nan=False, default=str)
    return Chart(f"{scenario}-history-{figure.name}", question, document)


def _ticks(top: float) -> list[float]:
    """Return three to six round numbers from 0 up to `top`."""
    power = 10.0 ** math.floor(math.log10(top))
    step = next(power * part for part in (0.2, 0.25, 0.5, 1.0, 2.0) if top / (power * part) <= 5.0)
    return [step * n for n in range(int(top / step) + 1)]
