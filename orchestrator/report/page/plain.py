"""The same as text for other programs and places: Markdown for a pull request, CSV for a spreadsheet, JUnit for CI."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from orchestrator.model import Run
from orchestrator.report.junit import printable
from orchestrator.report.page.beside import Beside
from orchestrator.report.page.cells import Table
from orchestrator.report.page.content import Part, Section
from orchestrator.verdicts.compare import Judged
from orchestrator.verdicts.summary import METRIC_NAMES, summarise_run


def render_markdown(title: str, parts: Sequence[Part], beside: Beside | None = None) -> str:
    """Return the verdict, one table for each scenario, and what must be known of it; first the runs side by side."""
    lines = [f"# netpoll-lab: {title}", ""]
    if beside is not None:
        lines += [*(f"> {sentence}" for sentence in beside.sentences), ""]
        for table in beside.tables:
            lines += _plain_table(table)
    for part in parts:
        charts = f" [Its charts in Grafana]({part.grafana})" if part.grafana else ""
        lines += [f"Run `{part.run_id}`, {part.timing}.{charts}", ""]
        lines += [*(f"> {sentence}" for sentence in part.sentences), ""]
        for section in part.sections:
            lines += _table(section)
        for table in part.tables:
            lines += _plain_table(table)
        lines += [f"Again: `{part.reproduce}`", ""]
    return "\n".join(lines)


def render_csv(runs: Sequence[Run]) -> str:
    """Return one line for each run, scenario and variant, with every metric in its own unit; empty: not measured."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    names = [name for name in METRIC_NAMES if name != "errors"]
    writer.writerow(["run_id", "scenario", "variant", "reverted", "planned", "valid", "errors", *names])
    for run in runs:
        for row in summarise_run(run):
            figures = [getattr(row.metrics, name) for name in names]
            errors = sum(row.metrics.errors.values())
            head = [run.run_id, row.scenario, row.variant, row.reverted, row.planned, row.valid, errors]
            writer.writerow([*head, *("" if value is None else value for value in figures)])
    return output.getvalue()


def render_junit(runs: Sequence[Run], beside: Beside | None = None) -> str:
    """Return a test case for each planned trial: void ones are errors, those that never finished are skipped.

    Of runs side by side also one for each verdict: what became worse has failed, what is undecided is skipped.
    """
    document = JUnitXml("netpoll-lab")
    for later, judged in beside.judged if beside is not None else ():
        document.add_testsuite(_verdicts(later, judged))
    for run in runs:
        suite = TestSuite(run.run_id)
        done = {trial.spec.index: trial for trial in run.trials}
        for spec in run.plan.trials:
            case = TestCase(f"{spec.scenario} {spec.variant} block {spec.block + 1}", f"{run.suite}.{spec.scenario}")
            trial = done.get(spec.index)
            if trial is None:
                case.result = [Skipped("did not finish")]
            else:
                case.time = round(trial.loaded_s + trial.overhead_s, 3)
                if trial.void is not None:
                    case.result = [Error(printable(trial.void), "void")]
            suite.add_testcase(case)
        document.add_testsuite(suite)
    text: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return text.decode()


def _verdicts(later: str, judged: Sequence[Judged]) -> TestSuite:
    suite = TestSuite(f"{later} against the first")
    for one in judged:
        variant = one.candidate.partition(" in ")[0]
        case = TestCase(f"{one.scenario} {variant}: {one.figure.title}", "verdicts")
        if one.is_regression and one.effect is not None:
            effect = one.effect
            case.result = [Failure(f"ratio {effect.ratio:.3f} ({effect.low:.3f} to {effect.high:.3f})", "worse")]
        elif one.word == "undecided":
            case.result = [Skipped(one.reason)]
        suite.add_testcase(case)
    return suite


def _table(section: Section) -> list[str]:
    lines = [f"## {section.name} ({section.kind})", "", _line(section.headers)]
    lines.append(_line(["---", *("--:" for _ in section.headers[1:])]))
    lines += [_line([cell.text for cell in row.cells]) for row in section.rows]
    return [*lines, "", *(f"- {remark}" for remark in section.remarks), ""]


def _plain_table(table: Table) -> list[str]:
    lines = [f"## {table.title}", "", _line(table.headers), _line(["---"] * len(table.headers))]
    lines += [_line([cell.text for cell in row]) for row in table.rows]
    return [*lines, "", *(f"- {remark}" for remark in table.remarks), ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
