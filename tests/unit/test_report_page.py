"""The report's content: what a run says in a sentence, what its tables, charts, files and other formats hold."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model import Plan, Run, TrialResult
from orchestrator.report.page.beside import read_beside
from orchestrator.report.page.content import Part, read_run
from orchestrator.report.page.html import relative_folder, render_html
from orchestrator.report.page.lines import TimeLine, Timeline
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
    texts = [[cell.text for cell in row.cells] for row in found.rows]
    return {cells[0]: dict(zip(found.headers, cells, strict=True)) for cells in texts}


def test_the_verdict_says_who_answered_most_and_how_sure_that_is() -> None:
    """Two sentences: the finding, and that one repetition tells orders of magnitude only."""
    first, second = read_run(two()).sentences

    assert "On plain c-epoll answered most: 1,000/s, 2.00 times c-threads's 500/s." == first
    assert second.startswith("With 1 repetition of each this shows orders of magnitude")


def test_six_repetitions_say_who_can_be_told_apart() -> None:
    """The second sentence is about tiers once there are enough blocks for them."""
    alike = [trial(name, block=block) for block in range(6) for name in ("c-epoll", "c-threads")]
    apart = [trial(name, block=b, throughput_per_s=r + b) for b in range(6) for name, r in (("a", 900.0), ("b", 500.0))]

    assert "With 6 repetitions of each, throughput on plain tells nobody apart." == read_run(a_run(*alike)).sentences[1]
    assert "throughput on plain tells all 2 apart" in read_run(a_run(*apart)).sentences[1]


def test_the_verdict_is_two_sentences_however_many_scenarios_there_are() -> None:
    """What was found in the first three, and how sure that is."""
    trials = [
        replace(one, spec=replace(one.spec, scenario=f"plain-{n}"))
        for n in range(5)
        for one in (trial("c-epoll"), trial("c-threads", throughput_per_s=500.0))
    ]
    first, second = read_run(a_run(*trials)).sentences

    assert 3 == first.count("answered most")
    assert first.endswith("; 2 more scenarios below.")
    assert "; on plain-1 c-epoll answered most" in first
    assert second.startswith("With 1 repetition of each")


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


def test_an_ablation_without_a_valid_trial_finds_no_setting_harmless() -> None:
    """As of any run; killed before its first trial it says the same."""
    void = a_run(*(of_kind("hold", "c-epoll", setting, void="no worker") for setting in ("", "nofile=1024")))
    nothing = ("No trial of this run is valid, so it says nothing about any variant.",)

    assert [nothing, nothing] == [read_run(run).sentences for run in (void, replace(void, trials=()))]


def test_a_void_pairing_is_named_beside_what_was_found() -> None:
    """It is not silently missing."""
    said = read_run(a_run(trial("c-epoll"), trial("c-threads", void="no worker"))).sentences[-1]

    assert said.endswith("; nothing is known of c-threads on plain (void).")


def test_cells_sort_by_numbers_and_show_text() -> None:
    """9,000 stands above 10,000 only in the alphabet."""
    part = read_run(two(throughput_per_s=10_000.0))
    row = part.sections[0].rows[0].cells

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


def held(variant: str, connections: int, each: float, block: int = 0) -> TrialResult:
    """A hold of which each connection costs the same, but for a page or two."""
    one = trial(
        variant, "hold-2k", block, connections_held=connections, connections_requested=connections,
        memory_bytes=1e6 + each * connections + 4096.0 * block,
    )  # fmt: skip
    metrics = replace(one.metrics, memory_kernel_bytes=0.9 * each * connections, memory_user_bytes=1e6)
    return replace(one, metrics=metrics, spec=replace(one.spec, scenario=f"hold-{connections}"))


def test_holds_of_several_sizes_are_drawn_with_their_fit_and_tabled_with_its_interval() -> None:
    """Dots, a line from the server with no connection on, and what the memory is made of."""
    part = read_run(a_run(*(held("c-epoll", n, 1024.0, block) for n in (500, 1000, 2000) for block in (0, 1))))
    charts = {chart.name: json.loads(chart.document) for chart in part.charts}
    line, dots = charts["memory"]["data"]
    (table,) = [table for table in part.tables if table.title == "What one more connection costs in memory"]

    assert part.sentences[0].startswith("One more connection costs 1.00 KiB in c-epoll (")
    assert ([0, 2000], 6) == (line["x"], len(dots["x"]))
    assert 1e6 == pytest.approx(line["y"][0], rel=0.02)
    assert ["user space", "kernel"] == [one["name"] for one in charts["memory-parts"]["data"]]
    assert ("c-epoll", "1.00 KiB") == (table.rows[0][0].text, table.rows[0][1].text)
    assert "-" == table.rows[0][5].text  # sockets: nobody accounts them here


def test_a_run_of_enough_blocks_has_its_tiers() -> None:
    """Best first, each with its figure; two blocks make none."""
    rates = {"a": 1000.0, "b": 1001.0, "c": 500.0}
    few, enough = (
        read_run(a_run(*(trial(name, block=b, throughput_per_s=rate * (1 + 0.002 * ((7 * b + len(name) * 3) % 5)))
                         for b in range(blocks) for name, rate in rates.items())))
        for blocks in (2, 6)
    )  # fmt: skip
    (table,) = [table for table in enough.tables if table.title.startswith("What can be told apart")]
    row = next(row for row in table.rows if row[1].text == "throughput")

    assert [] == [table.title for table in few.tables]
    assert {"b (1,005/s)", "a (1,004/s)"} == set(row[2].text.split(", "))
    assert "c (502/s)" == row[3].text


def test_time_series_become_charts_of_their_scenario() -> None:
    """A line for each variant, over the seconds since its trial began; a gap stays one."""
    points = ((0.0, None), (1.0, 900.0), (2.0, 1000.0))
    told = Timeline(
        "throughput", "How many?", "per second", (TimeLine("c-epoll", points), TimeLine("idle", ((0.0, None),)))
    )
    (chart,) = read_run(two(), timelines={"plain": [told]}).sections[0].timelines
    document = json.loads(chart.document)

    assert ("plain-time-throughput", ["c-epoll"]) == (chart.name, [line["name"] for line in document["data"]])
    assert [None, 900.0, 1000.0] == document["data"][0]["y"]
    assert "1,000/s" == document["layout"]["yaxis"]["ticktext"][-1]


@pytest.mark.parametrize(
    ("values", "drawn", "kind", "marks"),
    [
        ((0.0, 0.0003, None, 5.0), [0.0001, 0.0003, None, 5.0], "log", {"100 µs", "1 ms", "1 s"}),
        ((0.0, 0.0), [0.0, 0.0], None, {"0 s"}),
    ],
)
def test_a_timeline_has_the_scale_of_its_panel(
    values: tuple[float | None, ...], drawn: list[float | None], kind: str | None, marks: set[str]
) -> None:
    """Zero stands at the foot of a logarithmic axis, what is absent nowhere; with nothing else the axis is linear."""
    line = TimeLine("c-epoll", tuple((float(at), value) for at, value in enumerate(values)))
    told = Timeline("latency", "How long?", "seconds", (line,), "log")
    (chart,) = read_run(two(), timelines={"plain": [told]}).sections[0].timelines
    document = json.loads(chart.document)

    assert drawn == document["data"][0]["y"]
    assert kind == document["layout"]["yaxis"].get("type")
    assert marks <= set(document["layout"]["yaxis"]["ticktext"])


def test_two_runs_stand_side_by_side_with_a_verdict_for_each_figure() -> None:
    """Both values, the change, its interval, the word; the worse first, in the sentence too."""

    def night(run_id: str, slow: float) -> Run:
        rates = {"c-epoll": 1000.0, "c-threads": slow}
        trials = [trial(name, block=b, throughput_per_s=rate * (1 + 0.001 * ((b * 3) % 5)))
                  for b in range(6) for name, rate in rates.items()]  # fmt: skip
        return replace(a_run(*trials), run_id=run_id)

    runs = [night("20261122T0-quick-aaaaaa", 500.0), night("20261123T0-quick-bbbbbb", 400.0)]
    beside = read_beside(runs, lambda *_: 0.03)
    assert beside is not None
    (table,) = beside.tables
    first = dict(zip(table.headers, (cell.text for cell in table.rows[0]), strict=True))
    text = render_html("both", [read_run(run) for run in runs], lambda run_id: run_id, beside)
    cases = ElementTree.fromstring(render_junit(runs, beside)).iter("testcase")
    failed = [case.get("name") for case in cases if case.find("failure") is not None]

    assert "worse: c-threads on plain (throughput -20.0 %)" in beside.sentences[0]
    assert ("c-threads", "501/s", "401/s", "-20.0 %", "worse") == (
        first["variant"], first["20261122T0-quick-aaaaaa"], first["20261123T0-quick-bbbbbb"], first["change"],
        first["verdict"],
    )  # fmt: skip
    assert {"20261122T0-quick-aaaaaa", "20261123T0-quick-bbbbbb"} == {
        bars["name"] for bars in json.loads(beside.charts[0].document)["data"]
    }
    assert text.index("side-by-side") < text.index('id="20261122T0-quick-aaaaaa"')
    assert ["plain c-threads: throughput"] == failed
    assert "## 20261123T0-quick-bbbbbb beside 20261122T0-quick-aaaaaa" in render_markdown(
        "x", [read_run(runs[0])], beside
    )
    assert read_beside(runs[:1], lambda *_: 0.03) is None


def test_what_the_figures_cannot_say_is_named_where_it_applies() -> None:
    """A closed loop's percentiles, few trials, loopback; of holds alone no word on closed loops."""
    closed, holds = read_run(two()).limits, read_run(a_run(trial("c-epoll", "hold-2k"))).limits

    assert any("wait for each reply" in sentence for sentence in closed)
    assert not any("wait for each reply" in sentence for sentence in holds)
    assert all(any("loopback" in sentence for sentence in found) for found in (closed, holds))
    assert any("rest on 1 trial:" in sentence for sentence in closed)
    assert all("rest on" not in one for one in read_run(a_run(*(trial("a", block=b) for b in range(6)))).limits)


def test_every_row_leads_to_its_trials_and_every_trial_to_its_row(tmp_path: Path) -> None:
    """The anchors that links name are there, once each."""
    text = render_html("quick", [read_run(two())], relative_folder(tmp_path / "r.html", tmp_path))
    aims = re.findall(r'href="#([^"]+)"', text)
    anchors = re.findall(r' id="([^"]+)"', text[: text.index("<script>")])

    assert aims
    assert set(aims) <= set(anchors)
    assert len(anchors) == len(set(anchors))
    assert 'data-variant="c-epoll"' in text


def test_what_one_image_shows_against_itself_is_no_difference_on_the_page_either() -> None:
    """The A/A control's tenth hides a twentieth, beside another night and in the tiers, as in `lab compare`."""

    def night(run_id: str, **rates: float) -> Run:
        trials = [trial(name.replace("_", "~"), block=b, throughput_per_s=rate * (1 + 0.001 * ((b * 3) % 5)))
                  for b in range(6) for name, rate in rates.items()]  # fmt: skip
        return replace(a_run(*trials), run_id=run_id)

    old = night("20261122T0-nightly-aaaaaa", a=1000.0, b=950.0)
    new, bare = (night("20261123T0-nightly-bbbbbb", a=950.0, b=1000.0, **more) for more in ({"a_control": 855.0}, {}))
    words = [
        [one.word for _, judged in beside.judged for one in judged if one.figure.name == "throughput_per_s"]
        for run in (new, bare) if (beside := read_beside([old, run], lambda *_: 0.03)) is not None
    ]  # fmt: skip
    tiers = [{cell.text for cell in read_run(run).tables[0].rows[0]} for run in (new, bare)]

    assert [["no difference"] * 2, ["worse", "better"]] == words
    assert [True, False] == ["b (1,002/s), a (952/s)" in row for row in tiers]


def test_two_runs_of_which_nothing_is_valid_are_still_a_page() -> None:
    """No figure on either side, so no table of them; an answer within less than a µs has its place on the axis."""
    runs = [replace(a_run(trial("c-epoll", void="no worker")), run_id=run_id) for run_id in ("one", "two")]
    beside = read_beside(runs, lambda *_: 0.03)
    quick = read_run(a_run(trial("c-epoll", histogram_us={0: 5})))

    assert beside is not None
    assert ("two beside one: nothing that both measured.",) == beside.sentences
    assert "two beside one" in render_html("both", [read_run(run) for run in runs], lambda run_id: run_id, beside)
    assert "plain-latency" in {chart.name for chart in quick.sections[0].charts}
