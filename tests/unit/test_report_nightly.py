"""A night in its report: what the page, the document and the terminal say of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.report.nightdocument import changes_table, night_document, shift
from orchestrator.report.page.content import read_run
from orchestrator.report.page.html import relative_folder, render_html
from orchestrator.report.page.nightly import NightSection, _ticks, night_section
from orchestrator.report.text import open_console
from orchestrator.verdicts.night import Night, judge_night
from tests.unit.nights import host, steady

LEVELS = {"fast": 1000.0, "rock": 500.0, "stone": 300.0}
AFTER = {**LEVELS, "fast": 850.0}
FRESH = host(images={"fast": "eeee", "rock": "bbbb", "stone": "cccc", "swarm": "dddd"})


@pytest.fixture(scope="module")
def night() -> Night:
    """Twelve nights, the last four of them with another image of fast, which became slower by 15 %."""
    runs = [steady(n, LEVELS if n < 8 else AFTER, facts=FRESH if n >= 8 else host()) for n in range(12)]
    return judge_night(runs[-1], runs[:-1], runs[0], lambda *_: 0.03, ["rock", "stone"])


@pytest.fixture(scope="module")
def section(night: Night) -> NightSection:
    return night_section(night)


def test_the_worst_stands_first_in_the_comparison(section: NightSection) -> None:
    """With the corrected change, its interval, and what was measured before the machine's part was taken out."""
    table = section.tables[0]
    first = dict(zip(table.headers, table.rows[0], strict=True))

    assert table.title.startswith("Tonight against the baseline 20260101")
    assert ("fast", "worse", "throughput") == (first["variant"], first["verdict"], first["figure"])
    assert first["change"].startswith("-1")
    assert first["as measured"].startswith("-1")
    assert first["95 % interval"].count("to -1") == 1


def test_the_history_is_drawn_with_its_changes(section: NightSection) -> None:
    """A line for each variant over all nights, and a mark where something changed."""
    (chart,) = section.charts
    data = json.loads(chart.document)["data"]

    assert ["fast", "rock", "stone", "changes from here on"] == [line["name"] for line in data]
    assert [12, 12, 12, 1] == [len(line["x"]) for line in data]
    assert ["2026-01-09T02:30:00+00:00"] == data[-1]["x"]
    assert "plain: how did the throughput go, night by night?" == chart.question


@pytest.mark.parametrize(
    ("top", "ticks"),
    [
        (53_261.0, [0.0, 20_000.0, 40_000.0]),
        (1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0049, [0.0, 0.001, 0.002, 0.003, 0.004]),
    ],
)
def test_the_axis_has_round_numbers(top: float, ticks: list[float]) -> None:
    """A person reads them."""
    assert ticks == pytest.approx(_ticks(top))


def test_a_change_is_listed_with_what_else_is_different(section: NightSection) -> None:
    """Somebody built another image that night."""
    (row,) = section.tables[1].rows

    assert ("2026-01-09", "plain", "fast", "throughput") == row[:4]
    assert ("4", "image of fast aaaa -> eeee") == row[5:]


def test_the_noise_floor_is_shown(section: NightSection) -> None:
    """Tonight's A/A difference beside that of the nights."""
    table = section.tables[2]

    assert ("plain", "throughput") == table.rows[0][:2]
    assert all(cell.endswith(" %") for cell in table.rows[0][2:])


def test_the_page_holds_the_night_and_is_one_file(night: Night, section: NightSection, tmp_path: Path) -> None:
    """The verdict's two sentences stand in its place; a first night has neither comparison nor chart."""
    run = steady(11, AFTER, facts=FRESH)
    part = replace(read_run(run), night=section)
    page = render_html("nightly", [part], relative_folder(tmp_path / "report.html", tmp_path))
    verdict = page.partition('<div class="verdict">')[2].partition("</div>")[0]
    alone = judge_night(run, [], None, lambda *_: 0.03, [])
    bare = render_html("n", [replace(read_run(run), night=night_section(alone))], relative_folder(tmp_path, tmp_path))

    assert [verdict.count(sentence) for sentence in night.sentences] == [1, 1]
    assert (2, True, True) == (verdict.count("<p>"), "This night: regression" in page, "plain-history-" in page)
    assert ("plain-history-" in bare, "against the baseline" in bare, "This night: fine" in bare) == (
        False,
        False,
        True,
    )
    without = render_html("n", [read_run(run)], relative_folder(tmp_path, tmp_path))
    assert "This night" not in without


def test_a_second_name_is_linked_to_its_file_and_is_nobodys_rival() -> None:
    """Files have no "~" in their names; the sentence on the run ranks servers."""
    part = read_run(steady(1, {"rock": 500.0, "fast": 1000.0}))
    (files,) = [{trial.variant: trial.file for trial in section.trials} for section in part.sections]

    assert "trial-029-fast_control-plain.json" == files["fast~control"]
    assert "~" not in part.sentences[0]


def test_the_document_holds_everything_as_numbers(night: Night) -> None:
    """It goes through JSON, and no number in it is text."""
    document = json.loads(json.dumps(night_document(night), allow_nan=False))
    (change,) = document["changes"]

    assert ("regression", 1, 12) == (document["verdict"], document["exit_code"], document["nights"])
    assert (3, 3) == (len(document["comparisons"]), len(document["as_measured"]))
    assert abs(change["ratio"] - 0.85) < 0.02
    assert (True, False, 4) == (change["is_worse"], change["is_machine"], change["nights_after"])
    assert {12} == {len(history["nights"]) for history in document["history"]}
    assert 0.0 < document["noise_floor"][0]["difference"] < 0.05


def test_a_terminal_shows_the_changes(night: Night, tmp_path: Path) -> None:
    """One row with its sign."""
    with (tmp_path / "out").open("w+") as file:
        open_console(file, width=160).print(changes_table(night))
        file.seek(0)
        text = file.read()

    assert "What changed in 12 nights" in text
    assert "2026-01-09" in text
    assert "image of fast aaaa -> eeee" in text


def test_a_shift_has_a_sign_and_three_digits() -> None:
    """+4.2 % and -15 % are not told apart by a ratio's look."""
    assert ("+4.20 %", "-15.0 %", "+0") == (shift(1.042), shift(0.85), shift(1.0))
