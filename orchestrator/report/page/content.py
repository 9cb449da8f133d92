"""Turn runs into what the page shows: sections of tables, charts, trials and facts. No markup here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.model import CONTROL, Run, TrialResult, TrialSpec
from orchestrator.report import figures
from orchestrator.report.columns import Column, cost_columns, service_columns
from orchestrator.report.page.charts import Chart, memory_chart, scenario_charts
from orchestrator.report.page.nightly import NightSection
from orchestrator.report.page.sentences import run_sentences
from orchestrator.report.probetable import probe_texts
from orchestrator.report.sidebyside import footnotes
from orchestrator.report.text import timing_line
from orchestrator.verdicts.summary import Summary, summarise_run


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: what is read, and what it is sorted by ("" : as text)."""

    text: str
    key: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial, for those who want to see where a figure comes from."""

    number: int
    variant: str
    block: int
    state: Literal["valid", "void"]
    said: str  # why void, or its notes
    figures: tuple[tuple[str, str], ...]
    file: str  # beside the page's run folder


@dataclass(frozen=True, slots=True)
class Section:
    """One scenario of one run."""

    name: str
    kind: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    charts: tuple[Chart, ...]
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
    facts: tuple[tuple[str, str], ...]
    reproduce: str
    timing: str
    grafana: str = ""  # the run's time on Grafana's charts, where there is one
    night: NightSection | None = None  # of a nightly


def read_run(run: Run, grafana: str = "") -> Part:
    """Return everything the page says of a run. grafana: a link to its charts there."""
    by_scenario: dict[str, list[Summary]] = {}
    for row in summarise_run(run):
        by_scenario.setdefault(row.scenario, []).append(row)
    overall = memory_chart(by_scenario)
    return Part(
        run_id=run.run_id,
        suite=run.suite,
        started_at=run.started_at,
        state=f"finished {run.finished_at}" if run.finished_at else "not finished: it is under way or ended abruptly",
        sentences=tuple(run_sentences(_without_second_names(by_scenario))),
        sections=tuple(_section(run, rows) for rows in by_scenario.values()),
        charts=(overall,) if overall else (),
        facts=tuple(_facts(run.host)),
        reproduce=f"lab run {run.suite} --seed {run.plan.seed}",
        timing=timing_line(run),
        grafana=grafana,
    )


def _without_second_names(by_scenario: Mapping[str, Sequence[Summary]]) -> dict[str, list[Summary]]:
    """An A/A control is nobody's rival."""
    kept = {
        scenario: [row for row in rows if not row.variant.endswith(CONTROL)] for scenario, rows in by_scenario.items()
    }
    return {scenario: rows for scenario, rows in kept.items() if rows}


def _section(run: Run, rows: Sequence[Summary]) -> Section:
    columns = [*service_columns(rows), *cost_columns(rows)]
    trials = [trial for trial in run.trials if trial.spec.scenario == rows[0].scenario]
    return Section(
        name=rows[0].scenario,
        kind=rows[0].kind,
        headers=("variant", *(" ".join(column.header.split("\n")).replace("/ ", "/") for column in columns)),
        rows=tuple((Cell(row.label), *(_cell(column, row) for column in columns)) for row in rows),
        charts=tuple(scenario_charts(rows, trials)),
        remarks=tuple(footnotes(rows)),
        trials=tuple(_trial(trial) for trial in trials),
    )


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
        variant=f"{spec.variant} without {spec.reverted}" if spec.reverted else spec.variant,
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
