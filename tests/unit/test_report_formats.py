"""The same run as Markdown, CSV and JUnit."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from orchestrator.report.page.content import read_run
from orchestrator.report.page.plain import render_csv, render_junit, render_markdown
from tests.unit.drawn_trials import trial
from tests.unit.page_runs import a_run, two


def test_markdown_has_the_verdict_and_a_table_for_each_scenario() -> None:
    """As it is pasted into a pull request; a bar in a name would break the table."""
    text = render_markdown("quick", [read_run(two("a|b"))])

    assert "> On plain a|b answered most" in text
    assert "| a/b | 1,000 |" in text
    assert "Again: `lab run quick --trials 1 --seed 7`" in text


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


def test_junit_carries_whatever_a_server_said() -> None:
    """XML has no form for most control characters; the reason is shown with them in words."""
    text = render_junit([a_run(trial("c-epoll", void="unsupported: \x1b[31mno\x00 <b>"))])
    (error,) = ElementTree.fromstring(text).iter("error")

    assert r"unsupported: \x1b[31mno\x00 <b>" == error.get("message")
