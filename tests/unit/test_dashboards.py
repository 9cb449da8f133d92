"""The declared panels, and the Grafana JSON that is made from them and committed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dashboards import grafana
from dashboards.panel import GRAFANA, Panel, Query
from dashboards.panels import DASHBOARDS

EVERY = [panel for dashboard in DASHBOARDS for panel in dashboard.panels]
DOCUMENTS: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in grafana.documents().items()}


def test_the_committed_json_is_what_the_declarations_make() -> None:
    """`python -m dashboards` writes it; nothing is edited by hand."""
    assert [] == grafana.drifted()


def test_drift_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file, one that is missing and one that nobody declares are all named."""
    monkeypatch.setattr(grafana, "FOLDER", tmp_path)
    written = grafana.write()
    assert [] == grafana.drifted()

    written[0].write_text("{}")
    written[1].unlink()
    (tmp_path / "stray.json").write_text("{}")

    assert sorted([written[0].name, written[1].name, "stray.json"]) == grafana.drifted()


def test_a_panel_has_one_meaning_wherever_it_stands() -> None:
    """Names and titles are unique: two dashboards that show a name show the same panel."""
    by_name = {panel.name: panel for panel in EVERY}

    assert all(by_name[panel.name] is panel for panel in EVERY)
    assert len(by_name) == len({panel.title for panel in EVERY})
    assert len(DASHBOARDS) == len({dashboard.uid for dashboard in DASHBOARDS})


@pytest.mark.parametrize("panel", {panel.name: panel for panel in EVERY}.values(), ids=lambda panel: panel.name)
def test_a_panel_asks_a_question_and_leaves_no_letter_open(panel: Panel) -> None:
    """Every letter of its expressions gets its meaning, and Grafana's own variables stay."""
    assert panel.question.endswith("?")
    for expression in panel.expressions(GRAFANA):
        assert "$S" not in expression
        assert "$I]" not in expression
        assert "$Q" not in expression
    for expression in panel.expressions({"S": 'run_id="r"', "I": "4s", "Q": "0.5"}):
        assert "$" not in expression


def test_a_letter_without_meaning_is_an_error() -> None:
    """A panel is never drawn with a hole in its question."""
    panel = Panel("x", "x", "x?", "count", (Query("up{$S}", ""),), "host")

    with pytest.raises(KeyError):
        panel.expressions({"I": "4s"})


@pytest.mark.parametrize("name", DOCUMENTS)
def test_panels_have_ids_and_sources_of_their_own(name: str) -> None:
    """The SDK leaves ids unset; every query asks the one data source that is provisioned."""
    panels = DOCUMENTS[name]["panels"]
    charts = [panel for panel in panels if panel["type"] != "row"]

    assert list(range(1, len(panels) + 1)) == [panel["id"] for panel in panels]
    assert {grafana.DATA_SOURCE_UID} == {target["datasource"]["uid"] for p in charts for target in p["targets"]}
    assert {"run", "baseline", "scenario", "variant", "quantile"} == {
        one["name"] for one in DOCUMENTS[name]["templating"]["list"]
    }
