"""Turn runs into what the page shows: sections of tables, charts, trials and facts. No markup here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.model import Run, TrialResult, TrialSpec
from orchestrator.report import figures
from orchestrator.report.columns import Column, cost_columns, service_columns
from orchestrator.report.page.cells import Cell, Table
from orchestrator.report.page.charts import Chart, scenario_charts, trial_label
from orchestrator.report.page.judged import memory_table, tier_table
from orchestrator.report.page.limits import limits_of
from orchestrator.report.page.lines import Timeline, memory_charts, timeline_chart
from orchestrator.report.page.nightly import NightSection
from orchestrator.report.page.verdict import read_verdict
from orchestrator.report.probetable import probe_texts
from orchestrator.report.sidebyside import OPENED, footnotes
from orchestrator.report.text import timing_line
from orchestrator.verdicts.ceiling import with_ceilings
from orchestrator.verdicts.summary import Summary
from orchestrator.verdicts.validity import rules


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial, for those who want to see where a figure comes from."""

    number: int
    variant: str  # the row's name in the section's table
    block: int
    state: Literal["valid", "void"]
    said: str  # why void, or its notes
    figures: tuple[tuple[str, str], ...]
    file: str  # beside the page's run folder


@dataclass(frozen=True, slots=True)
class Row:
    """One variant in a section's table, and where its figures come from."""

    cells: tuple[Cell, ...]
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One scenario of one run."""

    name: str
    kind: str
    headers: tuple[str, ...]
    rows: tuple[Row, ...]
    charts: tuple[Chart, ...]
    timelines: tuple[Chart, ...]
    remarks: tuple[str, ...]
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One run."""

    run_id: str
    suite: str
    started_at: str
    state: str
    sentences: tuple[str, ...]
    sections: tuple[Section, ...]
    charts: tuple[Chart, ...]  # over several scenarios
    tables: tuple[Table, ...]  # likewise
    limits: tuple[str, ...]
    rules: tuple[str, ...]  # what voids a trial
    facts: tuple[tuple[str, str], ...]
    reproduce: str
    timing: str
    grafana: str = ""  # the run's time on Grafana's charts, where there is one
    night: NightSection | None = None  # of a nightly


def read_run(
    run: Run,
    grafana: str = "",
    *,
    thresholds: Callable[[str, str], float] | None = None,
    timelines: Mapping[str, Sequence[Timeline]] | None = None,
) -> Part:
    """Return everything the page says of a run.

    grafana: a link to its charts there. thresholds(scenario, figure's name): what is worth a word; None: the verdicts'
    own default. timelines: scenario -> how its trials went; none for a run of which no time series were kept.
    """
    run = with_ceilings(run)
    verdict = read_verdict(run, thresholds)
    by_scenario = verdict.by_scenario
    tables = (tier_table(verdict.tiers), memory_table(verdict.fits))
    return Part(
        run_id=run.run_id,
        suite=run.suite,
        started_at=run.started_at,
        state=f"finished {run.finished_at}" if run.finished_at else "not finished: it is under way or ended abruptly",
        sentences=verdict.sentences,
        sections=tuple(_section(run, rows, (timelines or {}).get(name, ())) for name, rows in by_scenario.items()),
        charts=tuple(memory_charts(by_scenario, verdict.fits)),
        tables=tuple(table for table in tables if table is not None),
        limits=tuple(limits_of(run, by_scenario)),
        rules=rules(),
        facts=tuple(_facts(run.host)),
        reproduce=_reproduce(run),
        timing=timing_line(run),
        grafana=grafana,
    )


def _reproduce(run: Run) -> str:
    """Return the command that runs the same plan again."""
    blocks = len({spec.block for spec in run.plan.trials})
    return f"lab run {run.suite} --trials {blocks} --seed {run.plan.seed}"


def _section(run: Run, rows: Sequence[Summary], timelines: Sequence[Timeline]) -> Section:
    columns = [*service_columns(rows), *cost_columns(rows)]
    results = [trial for trial in run.trials if trial.spec.scenario == rows[0].scenario]
    trials = tuple(_trial(trial) for trial in results)
    drawn = (timeline_chart(rows[0].scenario, one) for one in timelines)
    return Section(
        name=rows[0].scenario,
        kind=rows[0].kind,
        headers=("variant", *(" ".join(column.header.split("\n")).replace("/ ", "/") for column in columns)),
        rows=tuple(
            Row(
                (Cell(row.label), *(_cell(column, row) for column in columns)),
                tuple(trial for trial in trials if trial.variant == row.label),
            )
            for row in rows
        ),
        charts=tuple(scenario_charts(rows, results)),
        timelines=tuple(chart for chart in drawn if chart is not None),
        remarks=tuple(_tidy(footnotes(rows))),
        trials=trials,
    )


def _tidy(lines: Sequence[str]) -> list[str]:
    """Return the lines below a table as a page has room for them.

    When each trial's connections were open stands in the table; figures missing for one reason are one line.
    """
    missing: dict[str, list[str]] = {}
    tidy: list[str] = []
    for line in lines:
        what, colon, why = line.partition(": ")
        if OPENED.match(line):
            continue
        if line.startswith("no ") and colon:
            if why not in missing:
                tidy.append(why)
            missing.setdefault(why, []).append(what.removeprefix("no "))
        else:
            tidy.append(line)
    return [f"no {', '.join(missing[line])}: {line}" if line in missing else line for line in tidy]


def _cell(column: Column, row: Summary) -> Cell:
    value = column.value(row)
    if value is None and column.metric:
        found = getattr(row.metrics, column.metric)
        value = float(found) if isinstance(found, int | float) else None
    return Cell(column.text(row).replace("\n", ", "), value)


def _trial(trial: TrialResult) -> Trial:
    metrics = trial.metrics
    shown = (
        ("answers/s", figures.rate(metrics.throughput_per_s)),
        ("p50", figures.duration(metrics.p50_s)),
        ("p99", figures.duration(metrics.p99_s)),
        ("held", figures.whole(metrics.connections_held)),
        ("errors", figures.errors_in_words(metrics.errors)),
        ("memory", figures.size(metrics.memory_bytes)),
        *(probe_texts(trial.probe) if trial.probe is not None else ()),
    )
    spec = trial.spec
    return Trial(
        number=spec.index + 1,
        variant=trial_label(trial),
        block=spec.block + 1,
        state="valid" if trial.void is None else "void",
        said=trial.void or "; ".join(trial.notes),
        figures=tuple((name, text) for name, text in shown if text != figures.UNKNOWN),
        file=_file(spec),
    )


def _file(spec: TrialSpec) -> str:
    """Return what the run's folder calls a trial's file (results/folder.py)."""
    return f"trial-{spec.index:03d}-{_plain(spec.variant)}-{_plain(spec.scenario)}.json"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def _facts(host: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in sorted(host.items()):
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _facts({str(k): v for k, v in value.items()}, f"{name} ")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value))
        else:
            yield name, str(value)
