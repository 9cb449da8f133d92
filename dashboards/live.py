"""Turn the declared dashboards into what the live page draws: plain values, the same panels as Grafana's."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from dashboards.panel import GRAFANA, Dashboard, Panel
from dashboards.panels import DASHBOARDS

QUANTILES = ("0.5", "0.9", "0.99", "0.999")
QUANTILE = "0.99"  # until somebody chooses another
# What stands on the page beside the charts. targets: do those who are asked answer? rung: what looks into the kernel?
FACTS = {"targets": "max by (job) (up)", "rung": "max by (rung) (lab_probe_rung)"}


def panels_of_a_trial() -> tuple[Panel, ...]:
    """Return every panel once that shows one trial's own time: all but those of past runs, which the store has."""
    every = {panel.name: panel for dashboard in DASHBOARDS for panel in dashboard.panels}
    return tuple(panel for panel in every.values() if _is_drawn(panel, is_kept=True))


def document(*, is_kept: bool = False) -> dict[str, Any]:
    """Return the pages, their rows and panels. Expressions keep their letters for the page to replace.

    is_kept: only what is kept of a run (panels_of_a_trial).
    """
    pages = [_page(dashboard, is_kept) for dashboard in DASHBOARDS if not (is_kept and dashboard.of_past)]
    return {
        "quantiles": list(QUANTILES),
        "quantile": QUANTILE,
        "facts": FACTS,
        "dashboards": pages,
    }


def text() -> str:
    """Return the document as JSON."""
    return json.dumps(document(), indent=1)


def _seconds(since: str) -> int:
    """Return how long ago "now-5m" is."""
    return int(since.removeprefix("now-")[:-1]) * {"m": 60, "h": 3600, "d": 86400}[since[-1]]


def _is_drawn(panel: Panel, is_kept: bool) -> bool:
    """Whether the page can: what asks for Grafana's own variables is Grafana's alone."""
    letters = dict.fromkeys(GRAFANA, "")
    return not (is_kept and panel.source == "store") and not any("$" in text for text in panel.expressions(letters))


def _page(dashboard: Dashboard, is_kept: bool) -> dict[str, Any]:
    rows = [(heading, [_panel(p) for p in panels if _is_drawn(p, is_kept)]) for heading, panels in dashboard.rows]
    return {
        "uid": dashboard.uid,
        "title": dashboard.title.partition(": ")[2] or dashboard.title,
        "summary": dashboard.summary,
        "of_past": dashboard.of_past,
        "since_s": _seconds(dashboard.since),
        "rows": [{"heading": heading, "panels": panels} for heading, panels in rows if panels],
    }


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "name": panel.name,
        "title": panel.title,
        "question": panel.question,
        "unit": panel.unit,
        "kind": panel.kind,
        "wide": panel.wide,
        "repeat": panel.repeat,
        "signed": panel.signed,
        "scale": panel.scale,
        "threshold": asdict(panel.threshold) if panel.threshold else None,
        "queries": [asdict(query) for query in panel.queries],
    }
