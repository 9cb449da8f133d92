"""A table of many rows is grouped by language, the best of each first, and fits a hundred columns."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.console import RenderableType

from orchestrator.model import Plan, Run, TrialResult
from orchestrator.report.groups import MANY, arrange
from orchestrator.report.sidebyside import side_by_side
from orchestrator.report.text import open_console
from orchestrator.verdicts.summary import Summary, summarise_run
from tests.unit.test_verdicts_summary import trial

LANGUAGES = ("c", "go", "python")


def one(variant: str, language: str, scenario: str = "plain", **changes: Any) -> TrialResult:
    made = trial(variant=variant, scenario=scenario, **changes)
    return replace(made, spec=replace(made.spec, language=language, technique=f"how {variant} serves"))


def run_of(trials: list[TrialResult]) -> Run:
    return Run("id", "catalogue", "", "", {}, Plan("catalogue", 1, tuple(t.spec for t in trials), ()), tuple(trials))


def many(scenario: str = "plain", **last: Any) -> list[TrialResult]:
    """Return 24 trials in three languages, the later the faster; the last one but for the changes."""
    made = [
        one(f"{LANGUAGES[n % 3]}-variant-{n:02}", LANGUAGES[n % 3], scenario, throughput_per_s=1000.0 + n)
        for n in range(24)
    ]
    return [*made[:-1], one("python-variant-23", "python", scenario, **last)] if last else made


def draw(run: Run, width: int = 100) -> list[str]:
    """Return the lines of all that is drawn of a run."""
    out = io.StringIO()
    console = open_console(out, width)
    for table in side_by_side(run):
        console.print(table)
    return out.getvalue().splitlines()


def rows_of(trials: list[TrialResult]) -> list[Summary]:
    return arrange(summarise_run(run_of(trials)))


def test_few_rows_stay_in_the_plans_order() -> None:
    """Nobody has to look for one of six."""
    few = many()[: MANY - 1]

    assert [t.spec.variant for t in few] == [row.variant for row in rows_of(few)]
    assert "c" not in draw(run_of(few))


def test_many_rows_are_grouped_and_the_best_of_each_group_comes_first() -> None:
    """The language stands above its rows once; what each technique is stands at the end."""
    lines = [line.split() for line in draw(run_of(many()))]
    first = [line[0] for line in lines[: lines.index([])] if line] if [] in lines else [line[0] for line in lines]
    heads = [index for index, name in enumerate(first) if name in LANGUAGES]

    assert ["c", "go", "python"] == [first[index] for index in heads[:3]]
    assert ["c-variant-21", "c-variant-18"] == first[heads[0] + 1 : heads[0] + 3]
    assert ["python-variant-23"] == first[heads[2] + 1 : heads[2] + 2]
    assert ["How", "they", "serve"] in lines
    assert ["go-variant-01", "how", "go-variant-01", "serves"] == lines[lines.index(["How", "they", "serve"]) + 10][-4:]


def test_whoever_has_no_figures_comes_last_in_its_group_with_the_reason_below() -> None:
    """Void and unsupported alike; the others stay readable."""
    trials = many(void="unsupported: io_uring: EPERM")
    python = [row for row in rows_of(trials) if row.language == "python"]

    assert "python-variant-23" == python[-1].variant
    assert "unsupported here: python-variant-23: io_uring: EPERM" in draw(run_of(trials))


def test_those_who_hold_all_are_ranked_by_how_soon() -> None:
    """Holding more counts first."""
    held = many("hold")
    held = [replace(t, metrics=replace(t.metrics, established_s=1.0 - n / 100)) for n, t in enumerate(held)]
    held[0] = replace(held[0], metrics=replace(held[0].metrics, connections_held=3, established_s=0.001))
    c = [row.variant for row in rows_of(held) if row.language == "c"]

    assert ("c-variant-21", "c-variant-00") == (c[0], c[-1])


def test_nothing_is_wider_than_a_hundred_columns() -> None:
    """Names of twenty letters, errors and notes included."""
    trials = [*many(), *many("hold", errors={"timeout in first byte": 8981}, notes=("wall: FD_SETSIZE " + "x" * 120,))]

    assert max(len(line) for line in draw(run_of(trials))) <= 100


def test_runs_from_before_languages_were_kept_are_drawn_without_groups() -> None:
    """Their rows are sorted, and no empty heading stands above them."""
    old = [replace(t, spec=replace(t.spec, language="", technique="")) for t in many()]
    tables: list[RenderableType] = side_by_side(run_of(old))

    assert 1 == len(tables)
    assert "How they serve" not in draw(run_of(old))
