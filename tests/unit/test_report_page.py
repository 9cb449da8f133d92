"""The report's page: what its tables, charts and links hold, of one run and of two side by side."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.model import Run, TrialResult
from orchestrator.report.page.beside import read_beside
from orchestrator.report.page.content import read_run
from orchestrator.report.page.html import relative_folder, render_html
from orchestrator.report.page.lines import TimeLine, Timeline
from orchestrator.report.page.plain import render_junit, render_markdown
from tests.unit.drawn_trials import trial
from tests.unit.page_runs import a_run, section, two


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
        ((0.0, 0.0003, None, 5.0), [0.0001, 0.0003, None, 5.0], "log", {"100 µs", "1.00 ms", "1.00 s"}),
        ((0.0, 0.0), [0.0, 0.0], None, {"0 µs"}),
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
