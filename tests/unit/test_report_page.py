"""The report's content: what a run says in a sentence, what its tables, charts, files and other formats hold."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model import Plan, Run, TrialResult
from orchestrator.report.page.content import Part, read_run
from orchestrator.report.page.html import relative_folder, render_html
from orchestrator.report.page.plain import render_csv, render_junit, render_markdown
from tests.unit.test_report_kinds import trial as of_kind
from tests.unit.test_report_text import trial


def a_run(*trials: TrialResult) -> Run:
    numbered = tuple(replace(one, spec=replace(one.spec, index=place)) for place, one in enumerate(trials))
    plan = Plan("quick", 7, tuple(one.spec for one in numbered), ())
    return Run("20261123T0-quick-ab12cd", "quick", "2026-11-23", "later", {"kernel": "6.18", "cpus": 2}, plan, numbered)


def two(name: str = "c-epoll", **changes: Any) -> Run:
    slow = trial("c-threads", throughput_per_s=500.0, histogram_us={2000: 99, 40000: 1})
    return a_run(trial(name, histogram_us={312: 1000}, **changes), slow)


def section(part: Part, name: str = "plain") -> dict[str, dict[str, str]]:
    found = next(one for one in part.sections if one.name == name)
    return {row[0].text: dict(zip(found.headers, (cell.text for cell in row), strict=True)) for row in found.rows}


def test_the_verdict_says_who_answered_most_and_how_sure_that_is() -> None:
    """Two sentences: the finding, and that one repetition tells orders of magnitude only."""
    first, second = read_run(two()).sentences

    assert "On plain c-epoll answered most: 1,000/s, 2.00 times c-threads's 500/s." == first
    assert second.startswith("With 1 repetition of each this shows orders of magnitude")


def test_six_repetitions_need_no_warning() -> None:
    """The second sentence is about too few blocks, and there are enough."""
    trials = [trial(name, block=block) for block in range(6) for name in ("c-epoll", "c-threads")]

    assert 1 == len(read_run(a_run(*trials)).sentences)


def test_who_holds_all_is_told_by_what_a_connection_costs() -> None:
    """A hold is about connections first, memory second."""
    cheap = trial("c-epoll", "hold-2k", memory_bytes_per_connection=2048.0)
    dear = trial("c-threads", "hold-2k", memory_bytes_per_connection=40960.0)
    short = trial("c-select", "hold-2k", connections_held=1000, connections_failed=1000)

    assert read_run(a_run(cheap, dear)).sentences[0] == (
        "On hold-2k all held 2,000 connections, for 2.00 KiB each in c-epoll up to 40.0 KiB in c-threads."
    )
    assert read_run(a_run(cheap, short)).sentences[0] == "On hold-2k c-epoll held all of 2,000 connections."
    assert read_run(a_run(short)).sentences[0] == (
        "On hold-2k nobody held all of 2,000 connections; c-select held most, 1,000."
    )


def test_an_ablation_names_the_settings_that_matter_and_those_that_do_not() -> None:
    """No effect is a result."""
    said = read_run(
        a_run(
            of_kind("hold", "c-epoll", connections_requested=30_000, connections_held=30_000),
            of_kind("hold", "c-epoll", "nofile=1024", connections_requested=30_000, connections_held=2000),
            of_kind(
                "hold", "c-epoll", "net.ipv4.tcp_tw_reuse=2", connections_requested=30_000, connections_held=30_000
            ),
        )
    ).sentences[0]

    assert (
        "On x the ceiling falls without nofile (6.67 % of the ceiling); taking back tcp_tw_reuse has no effect." == said
    )


def test_a_run_without_a_valid_trial_says_nothing_about_anybody() -> None:
    """Void numbers become no sentence."""
    assert ("No trial of this run is valid, so it says nothing about any variant.",) == read_run(
        a_run(trial("c-epoll", void="no worker"))
    ).sentences


def test_a_void_pairing_is_named_beside_what_was_found() -> None:
    """It is not silently missing."""
    assert (
        "Nothing is known of c-threads on plain: void."
        == (read_run(a_run(trial("c-epoll"), trial("c-threads", void="no worker"))).sentences[-1])
    )


def test_cells_sort_by_numbers_and_show_text() -> None:
    """9,000 stands above 10,000 only in the alphabet."""
    part = read_run(two(throughput_per_s=10_000.0))
    row = part.sections[0].rows[0]

    assert "10,000" == row[1].text
    assert 10_000.0 == pytest.approx(row[1].key)
    assert "1/1" == section(part)["c-epoll"]["valid/plan"]


def test_charts_hold_what_was_measured() -> None:
    """One bar for each variant, one dot for each trial where there are more, latency by quantile from the histogram."""
    part = read_run(a_run(*(trial(name, block=b, histogram_us={312: 1000}) for b in (0, 1) for name in ("a", "b"))))
    charts = {chart.name: json.loads(chart.document) for chart in part.sections[0].charts}
    bars, dots = charts["plain-throughput"]["data"]
    latency = charts["plain-latency"]["data"]

    assert (["b", "a"], pytest.approx([1000.0, 1000.0])) == (bars["y"], bars["x"])
    assert 4 == len(dots["x"])
    assert ["a", "b"] == [line["name"] for line in latency]
    assert {0.000312} == set(latency[0]["y"])
    assert 0.999 == pytest.approx(1.0 - 10.0 ** -max(latency[0]["x"]))  # beyond, two thousand answers tell nothing


def test_memory_is_drawn_against_connections_only_where_they_differ() -> None:
    """One number of connections is no line."""
    one = trial("c-epoll", "hold-2k", memory_bytes=4e6)
    more = replace(
        trial("c-epoll", "hold-2k", memory_bytes=8e6, connections_held=4000, connections_requested=4000),
        spec=replace(one.spec, scenario="hold-4k"),
    )
    both = read_run(a_run(one, more))

    assert () == read_run(a_run(one)).charts
    assert [2000, 4000] == json.loads(both.charts[0].document)["data"][0]["x"]


def test_every_trial_leads_to_its_raw_data(tmp_path: Path) -> None:
    """The link goes from where the page lies to the run's folder."""
    page = tmp_path / "elsewhere" / "report.html"
    text = render_html("quick", [read_run(two())], relative_folder(page, tmp_path / "runs"))

    assert 'href="../runs/20261123T0-quick-ab12cd/trial-000-c-epoll-plain.json"' in text


def test_the_page_needs_nothing_from_outside_and_takes_no_markup_from_data(tmp_path: Path) -> None:
    """A variant's name or an error's kind is text, in the tables and inside the charts' JSON."""
    evil = '</script><img src="x" onerror="alert(1)">'
    run = two(evil, errors={evil: 3}, notes=(evil,))
    text = render_html("quick", [read_run(run)], relative_folder(tmp_path / "r.html", tmp_path))
    own = text[: text.index("<script>")] + text[text.rindex("<script>") :]  # without the chart library

    assert "<img" not in own
    assert evil not in own
    assert "&lt;/script&gt;&lt;img" in own
    assert "http://" not in own
    assert "https://" not in own


def test_markdown_has_the_verdict_and_a_table_for_each_scenario() -> None:
    """As it is pasted into a pull request; a bar in a name would break the table."""
    text = render_markdown("quick", [read_run(two("a|b"))])

    assert "> On plain a|b answered most" in text
    assert "| a/b | 1,000 |" in text
    assert "Again: `lab run quick --seed 7`" in text


def test_csv_has_every_metric_and_blanks_for_what_was_not_measured() -> None:
    """Numbers as they are, not rounded; never 0 for unknown."""
    rows = list(csv.DictReader(io.StringIO(render_csv([two(throughput_per_s=1234.5678)]))))

    assert ["c-epoll", "c-threads"] == [row["variant"] for row in rows]
    assert ("1234.5678", "", "1") == (
        rows[0]["throughput_per_s"], rows[0]["memory_bytes_per_connection"], rows[0]["valid"]
    )  # fmt: skip


def test_junit_marks_the_void_and_the_unfinished() -> None:
    """Valid trials pass, void ones are errors with their reason, missing ones are skipped."""
    whole = a_run(trial("c-epoll"), trial("c-threads", void="no worker"), trial("c-poll"))
    cases = ElementTree.fromstring(render_junit([replace(whole, trials=whole.trials[:2])])).iter("testcase")
    seen = {case.get("name", ""): [(one.tag, one.get("message")) for one in case] for case in cases}

    assert {
        "plain c-epoll block 1": [],
        "plain c-threads block 1": [("error", "no worker")],
        "plain c-poll block 1": [("skipped", "did not finish")],
    } == seen
