"""Turn the declared dashboards into what the live page draws: plain values, the same panels as Grafana's."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from dashboards.panel import Panel
from dashboards.panels import DASHBOARDS


def document() -> dict[str, Any]:
    """Return the pages, their rows and panels. Expressions keep their letters for the page to replace."""
    return {
        "dashboards": [
            {
                "uid": dashboard.uid,
                "title": dashboard.title.partition(": ")[2] or dashboard.title,
                "summary": dashboard.summary,
                "of_past": dashboard.of_past,
                "since_s": _seconds(dashboard.since),
                "rows": [
                    {"heading": heading, "panels": [_panel(p) for p in panels]} for heading, panels in dashboard.rows
                ],
            }
            for dashboard in DASHBOARDS
        ]
    }


def text() -> str:
    """Return the document as JSON."""
    return json.dumps(document(), indent=1)


def _seconds(since: str) -> int:
    """Return how long ago "now-5m" is."""
    return int(since.removeprefix("now-")[:-1]) * {"m": 60, "h": 3600, "d": 86400}[since[-1]]


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "name": panel.name,
        "title": panel.title,
        "question": panel.question,
        "unit": panel.unit,
        "kind": panel.kind,
        "wide": panel.wide,
        "threshold": asdict(panel.threshold) if panel.threshold else None,
        "queries": [asdict(query) for query in panel.queries],
    }
