"""Turn several runs into what the page says of them together: each later one beside the first, figure by figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from orchestrator.model import Run
from orchestrator.report.page.cells import Cell, Table
from orchestrator.report.page.charts import BARS, COLOURS, Bars, Chart, bars_height, finished
from orchestrator.report.page.judged import change_text, figure_text
from orchestrator.verdicts.compare import Judged, judge_pairs, pairs_between
from orchestrator.verdicts.noise import floor_of
from orchestrator.verdicts.summary import Summary, summarise_run

_ORDER = ("worse", "better", "undecided", "no difference")
_TONES = {"better": "good", "worse": "bad"}
_NAMED = 3  # in a sentence; the table has them all


@dataclass(frozen=True, slots=True)
class Beside:
    """What the page says of several runs together."""

    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    judged: tuple[tuple[str, tuple[Judged, ...]], ...]  # (later run's id, its verdicts against the first)


def read_beside(runs: Sequence[Run], thresholds: Callable[[str, str], float]) -> Beside | None:
    """Return the later runs beside the first; None for a single run, or where they have no pairing in common."""
    if len(runs) < 2:
        return None
    first, *later = runs
    judged = tuple(
        (run.run_id, judge_pairs(pairs, thresholds, floor_of([first, run]), between_runs=True))
        for run in later
        if (pairs := pairs_between(first, run))
    )
    if not judged:
        return None
    rows = {run.run_id: summarise_run(run) for run in runs}
    return Beside(
        sentences=tuple(_sentence(first.run_id, run_id, found) for run_id, found in judged),
        tables=tuple(_table(first.run_id, run_id, found, rows) for run_id, found in judged if found),
        charts=tuple(_charts([run.run_id for run in runs], rows)),
        judged=judged,
    )


def _sentence(first: str, later: str, judged: Sequence[Judged]) -> str:
    words = Counter(one.word for one in judged)
    told = []
    for word in ("worse", "better"):
        called = [one for one in judged if one.word == word]
        found = [f"{_variant(one)} on {one.scenario} ({one.figure.title} {_change(one)})" for one in called]
        if found:
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            told.append(f"{word}: {', '.join(found[:_NAMED])}{more}")
    if words["no difference"]:
        told.append(f"{words['no difference']} figures show no difference")
    if words["undecided"]:
        common = _common_reason(judged)
        told.append(f"{words['undecided']} are undecided" + (f", because {common}" if common else ""))
    return f"{later} beside {first}: {'; '.join(told) or 'nothing that both measured'}."


def _common_reason(judged: Sequence[Judged]) -> str:
    """Return why all that is undecided is so, where it is one reason."""
    reasons = {one.reason for one in judged if one.word == "undecided"}
    return reasons.pop() if len(reasons) == 1 else ""


def _table(first: str, later: str, judged: Sequence[Judged], rows: dict[str, tuple[Summary, ...]]) -> Table:
    headers = ("scenario", "variant", "figure", first, later, "change", "95 % interval", "verdict", "why")
    lines = []
    common = _common_reason(judged)  # stands in the sentence, and not in every row
    for one in sorted(judged, key=lambda one: _ORDER.index(one.word)):
        before, after = (_value(rows[run_id], one) for run_id in (first, later))
        effect = one.effect
        ratio = effect.ratio if effect else (after / before if before and after is not None else None)
        lines.append(
            (
                Cell(one.scenario), Cell(_variant(one)), Cell(one.figure.title),
                Cell(figure_text(one.figure, before), before), Cell(figure_text(one.figure, after), after),
                Cell("-" if ratio is None else change_text(ratio), ratio),
                Cell(f"{change_text(effect.low)} to {change_text(effect.high)}" if effect else "-"),
                Cell(one.word, float(_ORDER.index(one.word)), _TONES.get(one.word, "")),
                Cell("" if one.reason == common else one.reason),
            )
        )  # fmt: skip
    return Table(f"{later} beside {first}", headers, tuple(lines))


def _value(rows: Sequence[Summary], one: Judged) -> float | None:
    wanted = (one.scenario, _variant(one))
    row = next((row for row in rows if (row.scenario, row.variant) == wanted and not row.reverted), None)
    return one.figure.read(row.metrics) if row is not None else None


def _variant(one: Judged) -> str:
    return one.candidate.partition(" in ")[0]


def _change(one: Judged) -> str:
    return change_text(one.effect.ratio) if one.effect else ""


def _charts(run_ids: Sequence[str], rows: dict[str, tuple[Summary, ...]]) -> list[Chart]:
    """Return bars of every figure that at least two runs have, one colour for each run."""
    drawn = []
    for scenario in dict.fromkeys(row.scenario for run_id in run_ids for row in rows[run_id]):
        for bars in BARS:
            chart = _bars(scenario, bars, run_ids, rows)
            if chart is not None:
                drawn.append(chart)
    return drawn


def _bars(scenario: str, bars: Bars, run_ids: Sequence[str], rows: dict[str, tuple[Summary, ...]]) -> Chart | None:
    found = {
        run_id: {row.label: value for row in rows[run_id] if row.scenario == scenario and (value := bars.read(row))}
        for run_id in run_ids
    }
    shown = [run_id for run_id in run_ids if found[run_id]]
    kind = next(row.kind for run_id in run_ids for row in rows[run_id] if row.scenario == scenario)
    if len(shown) < 2 or (bars.name == "held" and kind != "hold") or (bars.name == "throughput" and kind == "hold"):
        return None
    labels = list(dict.fromkeys(label for run_id in shown for label in found[run_id]))[::-1]
    figure = go.Figure()
    for place, run_id in reversed(list(enumerate(shown))):  # Plotly draws from below
        values = [found[run_id].get(label) for label in labels]
        texts = ["" if value is None else bars.text(value) for value in values]
        figure.add_bar(
            y=labels, x=values, name=run_id, orientation="h", marker_color=COLOURS[place % len(COLOURS)], opacity=0.85,
            text=texts, textposition="auto", insidetextanchor="start", hovertemplate="%{y}: %{text}",
        )  # fmt: skip
    figure.update_layout(barmode="group")
    figure.update_xaxes(rangemode="tozero", showticklabels=False)
    height_px = bars_height(len(labels) * len(shown)) + 60
    return finished(f"{scenario}-{bars.name}", f"{scenario}: {bars.question}", figure, height_px)
