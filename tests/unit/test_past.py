"""Past runs beside the live one: which figures a run has, what the exporter shows of them, and what is not worked out
twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import yaml

from orchestrator.errors import NotReady
from orchestrator.model import Plan, Run, TrialResult
from orchestrator.observe import prometheus
from orchestrator.observe.exporter.errors import BadTarget
from orchestrator.observe.exporter.past import render_runs
from orchestrator.observe.exporter.sampler import Sampler
from orchestrator.observe.exporter.server import Server
from orchestrator.observe.exporter_client import Exporter
from orchestrator.past import read_past, show_past
from orchestrator.results.store import RunEntry, Store, open_store
from orchestrator.verdicts.stats import STATS, describe_run, run_stats
from tests.serving import serving
from tests.unit.test_verdicts_summary import trial

STARTED = "2026-11-23T08:20:36+00:00"


def run(*trials: TrialResult, run_id: str = "r1", finished_at: str | None = STARTED) -> Run:
    """A run of just these trials."""
    plan = Plan("nightly", 1, tuple(t.spec for t in trials), ())
    return Run(run_id, "nightly", STARTED, finished_at, {"kernel": "6.1.0"}, plan, trials)


def figures(of: Run) -> dict[tuple[str, str, str], float]:
    return {(s.scenario, s.variant, s.stat): s.value for s in run_stats(of)}


def test_a_run_has_a_figure_for_everything_that_was_measured() -> None:
    """Each in the unit of its name, with when the run began and how many trials stand behind it."""
    measured = trial(hist={1000: 99, 50_000: 1}, errors={"timeout": 5}, requests=105)
    seen = figures(run(measured, trial(1, void="throttled")))

    assert {*STATS, "start_time_seconds", "trials_valid", "trials_void"} == {stat for _, _, stat in seen}
    assert datetime(2026, 11, 23, 8, 20, 36, tzinfo=UTC).timestamp() == seen["plain", "c-epoll", "start_time_seconds"]
    assert (1.0, 1.0) == (seen["plain", "c-epoll", "trials_valid"], seen["plain", "c-epoll", "trials_void"])
    assert 5 / 105 == seen["plain", "c-epoll", "errors_ratio"]
    assert pytest.approx(1000.0) == seen["plain", "c-epoll", "throughput_per_second"]
    assert pytest.approx(0.001, rel=0.01) == seen["plain", "c-epoll", "p50_seconds"]


def test_what_was_not_measured_has_no_figure() -> None:
    """A void pairing keeps its counts of trials and nothing else: nothing becomes 0."""
    seen = figures(run(trial(void="throttled"), trial(variant="go-nethttp", p99_s=None, hist={}, requests=0)))

    assert {"start_time_seconds", "trials_valid", "trials_void"} == {stat for _, v, stat in seen if v == "c-epoll"}
    assert not {"p99_seconds", "errors_ratio"} & {stat for _, v, stat in seen if v == "go-nethttp"}


def test_every_figure_a_panel_asks_for_exists() -> None:
    """A panel of past runs names no stat that nobody makes."""
    from dashboards.panels import DASHBOARDS

    asked = {
        stat
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for query in panel.queries
        for stat in re.findall(r'stat="(\w+)"', query.expression)
    }

    assert asked
    assert set() == asked - {stat for _, _, stat in figures(run(trial()))}


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """An exporter on a port of the kernel's choice, without its sampling."""
    server = Server(("127.0.0.1", 0), Sampler(Path("/sys/fs/cgroup")))
    with serving(server):
        yield Exporter(f"http://127.0.0.1:{server.server_address[1]}")


def shown(exporter: Exporter) -> str:
    return requests.get(f"{exporter._base_url}/runs", timeout=5).text


def test_the_exporter_shows_what_it_was_told_last(exporter: Exporter) -> None:
    """Two runs, then one: the other is gone. Before anything is told there are no series."""
    assert "{" not in shown(exporter)

    exporter.show_runs([describe_run(run(trial(), run_id=name)) for name in ("r1", "r2")])
    assert {"r1", "r2"} == set(re.findall(r'lab_run_info\{run_id="(\w+)"', shown(exporter)))

    exporter.show_runs([describe_run(run(trial(), run_id="r2"))])
    lines = shown(exporter).splitlines()

    info = f'lab_run_info{{run_id="r2",suite="nightly",started_at="{STARTED}",finished="yes",kernel="6.1.0"}} 1.0'
    assert info in lines
    assert 'lab_run_stat{run_id="r2",scenario="plain",variant="c-epoll",stat="threads_peak"} 4.0' in lines
    assert not [line for line in lines if 'run_id="r1"' in line]


def test_what_the_exporter_refuses_changes_nothing(exporter: Exporter) -> None:
    """The reason reaches whoever asked, in one line."""
    exporter.show_runs([describe_run(run(trial()))])
    before = shown(exporter)

    with pytest.raises(NotReady, match=r"400: runs\[0\]\.suite: expected text, saw None"):
        exporter.show_runs([{"run_id": "x"}])
    assert before == shown(exporter)


ROW = {"scenario": "s", "variant": "v", "stat": "x", "value": 1.0}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ([], "JSON object with runs"),
        ({"runs": {}}, "JSON object with runs"),
        ({"runs": [], "more": 1}, "nothing else"),
        ({"runs": [3]}, r"runs\[0\]: expected an object"),
        ({"runs": [{"stats": [{**ROW, "value": "1"}]}]}, r"stats\[0\]\.value: expected a number"),
        ({"runs": [{"stats": [{**ROW, "value": float("nan")}]}]}, "expected a number"),
        ({"runs": [{"stats": [{**ROW, "value": True}]}]}, "expected a number"),
        ({"runs": [{"stats": [ROW, ROW]}]}, "each figure once"),
        ({"runs": [{}, {}]}, r"runs\[0\]\.stats: expected a list"),
    ],
)
def test_a_description_that_cannot_be_shown_is_refused(told: object, reason: str) -> None:
    """One line says what was expected: a scrape with a repeated series would be lost as a whole."""
    about = {"run_id": "r", "suite": "s", "started_at": "", "finished": "yes", "kernel": ""}
    if isinstance(told, dict) and isinstance(told.get("runs"), list):
        told["runs"] = [{**about, **one} if isinstance(one, dict) else one for one in told["runs"]]
    with pytest.raises(BadTarget, match=reason):
        render_runs(json.dumps(told).encode())


def test_names_that_need_it_are_escaped() -> None:
    """A quote in a suite's name ends no label."""
    about = {"run_id": "r", "suite": 'a"b\\c', "started_at": "", "finished": "no", "kernel": "", "stats": []}

    assert 'suite="a\\"b\\\\c"' in render_runs(json.dumps({"runs": [about]}).encode())


class Shelf(Store):
    """A store that counts what is read of it."""

    def __init__(self, *runs: Run) -> None:
        self.runs = {one.run_id: one for one in runs}
        self.reads: list[str] = []

    def list_runs(self) -> tuple[RunEntry, ...]:
        return tuple(
            RunEntry(one.run_id, one.suite, one.started_at, one.finished_at, 1, len(one.trials), 0)
            for one in reversed(self.runs.values())
        )

    def read_run(self, wanted: str | None = None) -> Run:
        self.reads.append(str(wanted))
        return self.runs[str(wanted)]


def test_a_runs_figures_are_worked_out_once(tmp_path: Path) -> None:
    """Until it has another trial or ends; the newest run stands first, one without trials nowhere."""
    shelf = Shelf(run(trial(), run_id="r1"), run(trial(), run_id="r2", finished_at=None), run(run_id="r3"))
    first = read_past(shelf, tmp_path / "past.json")
    assert ["r2", "r1"] == [one["run_id"] for one in first] == shelf.reads

    assert first == read_past(shelf, tmp_path / "past.json")
    assert ["r2", "r1"] == shelf.reads

    shelf.runs["r2"] = run(trial(), trial(1, void="lost"), run_id="r2", finished_at=None)
    third = read_past(shelf, tmp_path / "past.json")
    assert 1.0 == next(s["value"] for s in third[0]["stats"] if s["stat"] == "trials_void")
    assert ["r2", "r1", "r2"] == shelf.reads


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"version": 1, "runs": {"r1": {"of": [1, null]}}}'])
def test_a_garbled_record_is_made_anew(tmp_path: Path, kept: str) -> None:
    """It only spares work."""
    (tmp_path / "past.json").write_text(kept)

    assert ["r1"] == [one["run_id"] for one in read_past(Shelf(run(trial())), tmp_path / "past.json")]


def test_as_many_of_the_newest_as_prometheus_can_bear(tmp_path: Path) -> None:
    """Whole runs only: a run without half of its figures would look as if it had lost them."""
    shelf = Shelf(*(run(trial(), run_id=f"r{n}") for n in range(5)))
    each = len(run_stats(run(trial())))

    assert ["r4", "r3"] == [one["run_id"] for one in read_past(shelf, tmp_path / "past.json", 3 * each - 1)]


def test_charts_of_the_past_never_end_a_run(tmp_path: Path, exporter: Exporter) -> None:
    """Without results there is nothing to say; a damaged store and an exporter that is gone are one line each."""
    assert "" == show_past(tmp_path, tmp_path, exporter)
    open_store(tmp_path / "lab.db").close()
    assert "" == show_past(tmp_path, tmp_path, exporter)

    assert "past runs are not charted: exporter: PUT" in show_past(tmp_path, tmp_path, Exporter("http://127.0.0.1:1"))
    (tmp_path / "lab.db").write_bytes(b"nothing of the kind" * 100)
    assert "past runs are not charted: " in show_past(tmp_path, tmp_path, exporter)


def test_prometheus_asks_for_past_runs_seldom() -> None:
    """Their job has a path and an interval of its own; the others keep theirs."""
    config = yaml.safe_load(prometheus.render_config({"swarm": "master:8089"}, 1.0, {"runs": "exporter:9100/runs"}))
    swarm, runs = config["scrape_configs"]

    assert {"job_name", "static_configs"} == set(swarm)
    assert ("/runs", "15000ms", [{"targets": ["exporter:9100"]}]) == (
        runs["metrics_path"], runs["scrape_interval"], runs["static_configs"],
    )  # fmt: skip
