"""The live page's files: colours that every eye can tell apart, panels that it is able to draw."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dashboards import live
from dashboards.panels import DASHBOARDS
from tests.colours import EYES, contrast, distance

WEB = Path(__file__).resolve().parents[2] / "swarm" / "web"
THEMES = ("light", "dark")
NODE = shutil.which("node")
# What stands around series.js and charts.js in a browser, as far as drawing lines asks for it.
AROUND = """
const nothing = { open: false, replaceChildren() {}, append() {} };
const document = { documentElement: { dataset: { theme: "light" } } };
const getComputedStyle = () => ({ getPropertyValue: () => "" });
const Plotly = { react: (where, [{ y, text }], { yaxis }) => console.log(JSON.stringify({ y, text, axis: yaxis })) };
const card = { classList: { toggle() {} }, dataset: {}, querySelector: () => nothing };
"""


def colours(theme: str) -> list[str]:
    """Return the colours of the variants, from the script."""
    listed = re.search(rf"{theme}: \[(.*?)\]", (WEB / "series.js").read_text())
    assert listed is not None
    return re.findall(r"#[0-9a-f]{6}", listed[1])


def word(theme: str, name: str) -> str:
    """Return one of the style sheet's colours."""
    block = re.findall(r":root[^{]*\{(.*?)\}", (WEB / "live.css").read_text(), re.DOTALL)[THEMES.index(theme)]
    found = re.search(rf"--{name}: (#[0-9a-f]{{6}})", block)
    assert found is not None, name
    return found[1]


def test_the_measure_knows_what_is_known() -> None:
    """Black on white is 21 to 1; red and green are far apart, but not for an eye without medium cones."""
    assert pytest.approx(21.0, abs=0.01) == contrast("#000000", "#ffffff")
    assert 1.0 == contrast("#336699", "#336699")
    assert distance("#b54040", "#5a7a30", "all cones") > 60.0
    assert distance("#b54040", "#5a7a30", "no medium") < 35.0


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", THEMES)
def test_every_two_variants_look_different(theme: str, eyes: str) -> None:
    """Eight colours, each two clearly apart whoever looks; with dashes for more variants than eight."""
    near = {pair: round(d, 1) for pair in combinations(colours(theme), 2) if (d := distance(*pair, eyes)) < 15.0}

    assert 8 == len(set(colours(theme)))
    assert {} == near


@pytest.mark.parametrize("theme", THEMES)
def test_lines_and_words_stand_out_from_the_paper(theme: str) -> None:
    """WCAG 2.2: 3 to 1 for what is drawn, 4.5 to 1 for what is read."""
    paper, ground = word(theme, "paper"), word(theme, "ground")

    assert [] == [one for one in colours(theme) if contrast(one, paper) < 3.0]
    for name in ("ink", "faint", "mark"):
        assert contrast(word(theme, name), paper) >= 4.5, name
        assert contrast(word(theme, name), ground) >= 4.5, name
    assert contrast(word(theme, "alarm"), paper) >= 4.5


def test_every_file_the_page_names_is_there() -> None:
    """All but the chart library, which the image adds; and none is left that it does not name."""
    named = set(re.findall(r'"lab/live/([\w.]+)"', (WEB / "page.html").read_text()))

    assert {path.name for path in WEB.iterdir()} - {"page.html"} == named - {"plotly.min.js"}


def test_the_page_gets_every_panel_it_can_draw() -> None:
    """Those of Grafana's own variables are left out; of kept runs those that the store has are, too."""
    drawn = {p["name"] for page in live.document()["dashboards"] for row in page["rows"] for p in row["panels"]}
    declared = {panel.name: panel for dashboard in DASHBOARDS for panel in dashboard.panels}
    kept = {panel.name for panel in live.panels_of_a_trial()}

    assert kept <= drawn <= set(declared)
    assert {name for name in drawn if declared[name].source != "store"} == kept
    assert {"throughput", "latency", "latency-heatmap", "memory", "generator"} <= kept
    assert live.QUANTILE in live.QUANTILES


def drawn(scale: str, *points: tuple[float, float]) -> Any:
    """Return what the page gives its chart library for one line of seconds; points: (at, value), a second apart."""
    panel = json.dumps({"kind": "lines", "unit": "seconds", "scale": scale, "signed": False, "threshold": None})
    series = json.dumps([{"name": "a", "labels": {"variant": "a"}, "points": points}])
    draw = f"Charts.draw(card, {panel}, {series}, {{ from: 0, to: 20, step: 1, lined: true }});"
    scripts = [(WEB / name).read_text().replace('"use strict";', "") for name in ("series.js", "charts.js")]
    assert NODE is not None
    done = subprocess.run([NODE, "-e", AROUND + "".join(scripts) + draw], capture_output=True, text=True, timeout=30)
    assert "" == done.stderr
    return json.loads(done.stdout)


# tests/engine/panels draws in a browser, wherever it is run.
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


@needs_node
def test_a_logarithmic_axis_has_whole_decades_and_zero_at_its_foot() -> None:
    """0.3 ms and 5 s are both to be seen; a zero is drawn, and told as one; where nothing was, nothing is."""
    told = drawn("log", (0, 0.0), (1, 0.0003), (9, 5.0))

    assert [0.0001, 0.0003, None, None, 5.0] == told["y"]
    assert ["0 s", "300 µs", "", "", "5 s"] == told["text"]
    assert ("log", [-4, 1]) == (told["axis"]["type"], told["axis"]["range"])
    assert ["100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"] == told["axis"]["ticktext"]


@needs_node
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0003, 0.0006), ([-4, -3], ["100 µs", "200 µs", "500 µs", "1 ms"])),
        ((0.001, 0.001), ([-3, -2], ["1 ms", "2 ms", "5 ms", "10 ms"])),
        ((0.0, 0.0), (None, ["0 s"])),
    ],
    ids=["one decade", "a decade itself", "nothing above zero"],
)
def test_marks_of_a_logarithmic_axis(values: tuple[float, float], expected: tuple[list[int] | None, list[str]]) -> None:
    """Steps between decades where there are few; without anything above zero the axis is linear."""
    axis = drawn("log", *enumerate(values))["axis"]

    assert ("linear" if expected[0] is None else "log") == axis["type"]
    assert expected[0] == axis.get("range")
    assert expected[1] == axis["ticktext"][: len(expected[1])]


@needs_node
def test_a_linear_axis_begins_at_zero() -> None:
    """As all did before there were others."""
    told = drawn("linear", (0, 0.0), (1, 5.0))

    assert ([0.0, 5.0], "linear", "tozero") == (told["y"], told["axis"]["type"], told["axis"]["rangemode"])
    assert "0 s" == told["axis"]["ticktext"][0]
