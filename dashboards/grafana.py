"""Turn the declared dashboards into Grafana's JSON: `python -m dashboards` writes grafana/*.json, `--check` compares.

The JSON is made with Grafana's own SDK for 11.6 and committed, so that a Grafana that reads files needs no Python. The
SDK leaves panel ids unset; they are numbered here, because links and annotations refer to them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard as make
from grafana_foundation_sdk.builders import heatmap, prometheus, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ScaleDistributionConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.panel import GRAFANA, Dashboard, Panel, Unit
from dashboards.panels import DASHBOARDS
from dashboards.provisioning import DASHBOARDS_FOLDER as FOLDER
from dashboards.provisioning import DATA_SOURCE_UID, TAG

# https://grafana.com/docs/grafana/latest/panels-visualizations/configure-standard-options/#unit
_UNITS: dict[Unit, str] = {
    "seconds": "s", "bytes": "bytes", "per second": "cps", "ratio": "percentunit", "count": "short", "cores": "short",
}  # fmt: skip
_HEIGHT, _HALF, _WHOLE = 8, 12, 24  # in Grafana's grid of 24 columns
_SOURCE = DataSourceRef(type_val="prometheus", uid=DATA_SOURCE_UID)


def render(dashboard: Dashboard) -> str:
    """Return the JSON text of one dashboard, the same for the same declarations."""
    builder = (
        make.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.summary)
        .tags([TAG])
        .time(dashboard.since, "now")
        .refresh("1m" if dashboard.of_past else "5s")  # 5 s: Grafana's own minimum unless its administrator lowers it
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(make.DashboardLink("netpoll-lab").type(DashboardLinkType.DASHBOARDS).tags([TAG]).keep_time(True))
        .annotation(_marks("runs", "purple", [TAG, "run"]))
        .annotation(_marks("windows", "blue", [TAG, "window", "$run"]))
    )
    for variable in _variables(dashboard):
        builder = builder.with_variable(variable)
    for heading, panels in dashboard.rows:
        builder = builder.with_row(make.Row(heading))
        for panel in panels:
            builder = builder.with_panel(_panel(panel))
    document: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    for number, panel in enumerate(document["panels"], start=1):
        panel["id"] = number
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def documents() -> dict[str, str]:
    """Return file name -> JSON text of every dashboard."""
    return {f"{dashboard.uid}.json": render(dashboard) for dashboard in DASHBOARDS}


def write() -> list[Path]:
    """Write the files anew and remove what is no dashboard any more; return what is there."""
    wanted = documents()
    for old in FOLDER.glob("*.json"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    return sorted(FOLDER.glob("*.json"))


def drifted() -> list[str]:
    """Return the names of files that are not what the declarations make, missing and superfluous ones too."""
    wanted = documents()
    found = {file.name: file.read_text() for file in FOLDER.glob("*.json")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def _marks(name: str, colour: str, tags: list[str]) -> Any:
    """Return what shows the annotations that carry all of these tags; observe/marks.py writes them."""
    return (
        make.AnnotationQuery().name(name).datasource(DataSourceRef(type_val="grafana", uid="-- Grafana --"))
        .enable(True).icon_color(colour)
        .target(make.AnnotationTarget().limit(200).match_any(False).tags(tags).type("tags"))
    )  # fmt: skip


def _variables(dashboard: Dashboard) -> list[Any]:
    quantiles = ["0.5", "0.9", "0.99", "0.999"]
    of = "lab_run_stat" if dashboard.of_past else 'lab_client_users{run_id="$run"}'
    return [
        *([_several("suite", "Suites", "label_values(lab_run_info, suite)")] if dashboard.of_past else []),
        _asked("run", "Run", "label_values(lab_client_users, run_id)"),
        _asked("baseline", "Baseline", "label_values(lab_run_info, run_id)"),
        _several("scenario", "Scenario", f"label_values({of}, scenario)"),
        _several("variant", "Variants", f"label_values({of}, variant)"),
        make.CustomVariable("quantile").label("Quantile").values(",".join(quantiles))
        .options([VariableOption(text=q, value=q, selected=q == "0.99") for q in quantiles])
        .current(VariableOption(text="0.99", value="0.99", selected=True)),
    ]  # fmt: skip


def _asked(name: str, label: str, query: str) -> Any:
    return (
        make.QueryVariable(name).label(label).datasource(_SOURCE).hide(VariableHide.DONT_HIDE)
        .query({"query": query, "refId": name}).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_DESC if name in ("run", "baseline") else VariableSort.ALPHABETICAL_ASC)
    )  # fmt: skip


def _several(name: str, label: str, query: str) -> Any:
    """Return a variable of which one, several or all may be chosen; all at first."""
    everything = VariableOption(text=["All"], value=["$__all"], selected=True)
    return _asked(name, label, query).multi(True).include_all(True).all_value(".*").current(everything)


def _panel(panel: Panel) -> Any:
    builder: Any = heatmap.Panel() if panel.kind == "heatmap" else _lines(panel)
    builder = (
        builder.title(panel.title).description(_described(panel)).datasource(_SOURCE)
        .unit(_UNITS[panel.unit]).height(_HEIGHT).span(_WHOLE if panel.wide else _HALF)
    )  # fmt: skip
    if panel.repeat:
        builder = builder.repeat("variant").repeat_direction("h").max_per_row(2)
    for query, expression in zip(panel.queries, panel.expressions(GRAFANA), strict=True):
        target = prometheus.Dataquery().expr(expression).legend_format(query.legend).range()
        if panel.kind == "heatmap":  # cells instead of running totals; it reads a bucket's edge from the legend
            target = target.format(PromQueryFormat.HEATMAP).legend_format("{{le}}")
        builder = builder.with_target(target.ref_id("ABCDEF"[panel.queries.index(query)]).datasource(_SOURCE))
    return builder


def _lines(panel: Panel) -> timeseries.Panel:
    builder = (
        timeseries.Panel().line_width(1).fill_opacity(6).show_points(common.VisibilityMode.NEVER)
        .legend(VizLegendOptions().display_mode(common.LegendDisplayMode.TABLE).placement(common.LegendPlacement.RIGHT)
                .calcs(["lastNotNull", "max"]).show_legend(True))
        .tooltip(VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    )  # fmt: skip
    if panel.scale == "log":  # its foot is the data's own: zero, which has no logarithm, is drawn off below it
        builder.scale_distribution(ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10))
    elif not panel.signed:
        builder.min(0)
    if panel.threshold is not None:
        steps = [Threshold(color="green", value=None), Threshold(color="red", value=panel.threshold.above)]
        builder.thresholds(make.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        builder.thresholds_style(GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.LINE))
    return builder


def _described(panel: Panel) -> str:
    return panel.question + (f" Worry above the line: {panel.threshold.why}." if panel.threshold else "")
