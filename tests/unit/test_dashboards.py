"""The declared panels, and the Grafana JSON that is made from them and committed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dashboards import grafana, live, provisioning
from dashboards.panel import GRAFANA, LETTERS, Panel, Query
from dashboards.panels import COMPARE, DASHBOARDS, HISTORY, RUNG

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
        assert [] == re.findall(rf"\$[{LETTERS}](?![a-z_])", expression)
    for expression in panel.expressions(dict.fromkeys(LETTERS, 'run_id="r"')):
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
    assert {provisioning.DATA_SOURCE_UID} == {target["datasource"]["uid"] for p in charts for target in p["targets"]}
    of_past = {"suite"} if name == f"{HISTORY.uid}.json" else set()
    assert {"run", "baseline", "scenario", "variant", "quantile", *of_past} == {
        one["name"] for one in DOCUMENTS[name]["templating"]["list"]
    }


def test_compare_has_the_references_panels() -> None:
    """The sixteen of the reference's list: the panels that show each, and all that these must be made of."""
    answered = 'lab_client_request_duration_seconds_count{$S,outcome="answered"}'
    bucket = 'lab_client_request_duration_seconds_bucket{$S,outcome="answered"}'
    wanted: dict[int, tuple[str, tuple[str, ...]]] = {
        1: ("against-baseline", ('lab_run_stat{$S,stat="p99_seconds"}', 'lab_run_stat{$B,stat="p99_seconds"}')),
        2: ("throughput", (answered,)),
        3: ("errors error-kinds", ('outcome="failed"', "sum by (variant, kind) (rate(lab_client_errors_total")),
        4: ("latency", ("histogram_quantile($Q, sum by (variant, le)", bucket)),
        5: ("latency-heatmap", ("sum by (variant, le)", bucket)),
        6: ("requests-per-cpu", (answered, "lab_server_cpu_seconds_total")),
        7: ("connections", ("lab_client_users", "sum by (variant, state) (lab_client_connections{$S})")),
        8: ("generator generator-loop", ("lab_client_cpu_ratio", "lab_client_loop_lag_seconds")),
        9: ("throttled", ("lab_cgroup_cpu_throttled_periods_total", "lab_cgroup_cpu_periods_total")),
        10: ("switches", ("lab_server_context_switches_total", answered)),
        11: ("runqueue-p99", ("histogram_quantile(0.99", "lab_bpf_runqueue_latency_seconds_bucket")),
        12: ("syscalls-per-request", ("lab_bpf_syscalls_total", answered)),
        13: ("events-per-wait", ("lab_bpf_epoll_events_total", "lab_bpf_epoll_waits_total")),
        14: ("threads descriptors", ("lab_server_epoll_watches", "lab_server_threads", "lab_server_open_fds")),
        15: ("memory-per-connection", ("lab_cgroup_memory_bytes", 'lab_client_connections{$S,state="established"}')),
        16: ("accept-queue-fill accept-queue resets", (
            "lab_net_accept_queue_length", "lab_net_accept_queue_limit", "lab_net_tcp_listen_overflows_total",
            "lab_net_tcp_resets_sent_total", "lab_net_tcp_retransmits_total")),
    }  # fmt: skip
    shown = {panel.name: " ".join(query.expression for query in panel.queries) for panel in COMPARE.panels}
    asked = {number: " ".join(shown.get(name, "") for name in names.split()) for number, (names, _) in wanted.items()}

    assert list(range(1, 17)) == list(wanted)
    assert {} == {n: part for n, (_, parts) in wanted.items() for part in parts if part not in asked[n]}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_several_variants_and_one_quantile_can_be_chosen(name: str) -> None:
    """Of scenarios and variants one, several or all; of runs one; the quantiles are those of the live page."""
    variables = {one["name"]: one for one in DOCUMENTS[name]["templating"]["list"]}
    several = {key for key, one in variables.items() if one.get("multi") and one.get("includeAll")}

    assert {"scenario", "variant"} | ({"suite"} & set(variables)) == several
    assert list(live.QUANTILES) == [option["value"] for option in variables["quantile"]["options"]]
    assert live.QUANTILE == variables["quantile"]["current"]["value"]


def test_the_heat_map_is_one_for_each_variant_on_both_pages() -> None:
    """Grafana repeats the panel, and is told to make cells of running totals; the live page is told to repeat it."""
    maps = [p for p in DOCUMENTS[f"{COMPARE.uid}.json"]["panels"] if p["type"] == "heatmap"]
    told = [p for page in live.document()["dashboards"] for row in page["rows"] for p in row["panels"]]

    assert ["variant"] == [panel["repeat"] for panel in maps]
    assert [("heatmap", "{{le}}")] == [(t["format"], t["legendFormat"]) for panel in maps for t in panel["targets"]]
    assert {True} == {panel["repeat"] for panel in told if panel["kind"] == "heatmap"}
    assert {False} == {panel["repeat"] for panel in told if panel["kind"] == "lines"}


def test_quantiles_of_times_have_a_logarithmic_scale_on_both_pages() -> None:
    """A hold's seconds would press the others' tenths of a millisecond flat. No such axis is told to begin at zero."""
    wanted = {"latency", "schedule-lag", "runqueue-p99", "kept-p99", "kept-p50"}
    told = [p for page in live.document()["dashboards"] for row in page["rows"] for p in row["panels"]]
    titles = {panel.title for panel in EVERY if panel.scale == "log"}
    found = {True: [], False: []}  # type: dict[bool, list[Any]]
    for panel in (p for document in DOCUMENTS.values() for p in document["panels"] if p["type"] == "timeseries"):
        defaults = panel["fieldConfig"]["defaults"]
        found[panel["title"] in titles].append((defaults["custom"].get("scaleDistribution"), defaults.get("min")))

    assert wanted == {panel.name for panel in EVERY if panel.scale == "log"}
    assert wanted == {panel["name"] for panel in told if panel["scale"] == "log"}
    assert {"linear", "log"} == {panel["scale"] for panel in told}
    assert [({"type": "log", "log": 10}, None)] * len(found[True]) == found[True] != []
    assert {None} == {scale for scale, _ in found[False]}


def test_below_zero_and_heat_maps_have_no_logarithm() -> None:
    """Of those nothing could be drawn."""
    assert [] == [p.name for p in EVERY if p.scale == "log" and (p.signed or p.kind == "heatmap")]


def test_the_rung_of_the_probes_stands_on_every_page() -> None:
    """Of both Grafana's and the live page's; kept runs have no page of past ones for its sake."""
    titles = {name: [panel.get("title") for panel in document["panels"]] for name, document in DOCUMENTS.items()}
    pages = {page["uid"]: [p["name"] for row in page["rows"] for p in row["panels"]]
             for page in live.document()["dashboards"]}  # fmt: skip
    kept = {page["uid"] for page in live.document(is_kept=True)["dashboards"]}

    assert [] == [dashboard.uid for dashboard in DASHBOARDS if RUNG not in dashboard.panels]
    assert [] == [name for name, found in titles.items() if RUNG.title not in found]
    assert {dashboard.uid for dashboard in DASHBOARDS} == set(pages)
    assert [] == [uid for uid, names in pages.items() if RUNG.name not in names]
    assert {dashboard.uid for dashboard in DASHBOARDS if dashboard is not HISTORY} == kept


def test_annotations_are_found_by_the_tags_they_are_written_with() -> None:
    """Runs on every dashboard; windows only of the run that is looked at."""
    for document in DOCUMENTS.values():
        tags = {one["name"]: one["target"]["tags"] for one in document["annotations"]["list"]}
        assert {"runs": ["netpoll-lab", "run"], "windows": ["netpoll-lab", "window", "$run"]} == tags


def test_the_live_page_has_the_same_dashboards() -> None:
    """With how far back each looks, in seconds."""
    told = {page["uid"]: (page["since_s"], page["of_past"]) for page in live.document()["dashboards"]}

    assert (300, False) == told[COMPARE.uid]
    assert (30 * 86400, True) == told[HISTORY.uid]


def test_a_grafana_finds_its_files_without_the_sdk() -> None:
    """The committed dashboards, a data source with the uid they ask, and a provider for the folder they lie in."""
    files = provisioning.files("http://prometheus:9090", 1.0)
    sources = json.loads(files["provisioning/datasources/netpoll-lab.yaml"])
    providers = json.loads(files["provisioning/dashboards/netpoll-lab.yaml"])
    source, provider = sources["datasources"][0], providers["providers"][0]

    assert (1, 1) == (sources["apiVersion"], providers["apiVersion"])
    assert "1000ms" == source["jsonData"]["timeInterval"]
    assert (provisioning.DATA_SOURCE_UID, "http://prometheus:9090") == (source["uid"], source["url"])
    assert provisioning.FOLDER_UID == provider["folderUid"]
    assert "/etc/netpoll-lab/dashboards" == provider["options"]["path"]
    assert set(DOCUMENTS) == {name.removeprefix("dashboards/") for name in files if name.startswith("dashboards/")}
    assert {dashboard.uid for dashboard in DASHBOARDS} == set(provisioning.committed())
