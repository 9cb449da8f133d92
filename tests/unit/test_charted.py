"""What is kept of a trial is what Prometheus answered to the panels' own questions, asked of that trial alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboards.live import FACTS, QUANTILES, panels_of_a_trial
from orchestrator.charted import RATE_OVER, Keeper, keep_charted
from orchestrator.model import Metrics, TrialResult
from orchestrator.results.series import list_tracks, read_tracks
from tests.serving import serving
from tests.unit.test_results_series import make_spec


class Prometheus(ThreadingHTTPServer):
    """Answers every range query with one series that is 1, 2, 3, ... and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, str]] = []
        self.refused = ""  # an expression with this in it is answered as a wrong one
        self.empty = False
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Prometheus
    kept_labels: ClassVar[dict[str, str]] = {"variant": "c-epoll"}

    def do_GET(self) -> None:
        asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        self.server.asked.append(asked)
        start_s, step_s = float(asked["start"]), float(asked["step"])
        values = [[start_s + n * step_s, str(n + 1)] for n in range(4)]
        series = [] if self.server.empty else [{"metric": self.kept_labels, "values": values}]
        wrong = self.server.refused and self.server.refused in asked["query"]
        told: dict[str, Any] = {"status": "success", "data": {"resultType": "matrix", "result": series}}
        body = json.dumps({"status": "error", "error": "parse error"} if wrong else told).encode()
        self.send_response(400 if wrong else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    server = Prometheus()
    with serving(server):
        yield server


def make_result(ago_s: float = 20.0) -> TrialResult:
    started_at = (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(timespec="milliseconds")
    return TrialResult(make_spec(), None, Metrics(), {}, {}, (), (), started_at, 8.0, 4.0)


def test_every_panel_is_asked_of_this_trial_and_kept(prometheus: Prometheus, tmp_path: Path) -> None:
    """Each query once, those with a quantile once for each; run, scenario and variant are the trial's."""
    assert "" == keep_charted(tmp_path, "r1", make_result(), prometheus.url, 1.0, time.time())

    kept = read_tracks(list_tracks(tmp_path, "r1", "panels")[0])
    wanted = {
        (panel.name, place, quantile)
        for panel in panels_of_a_trial()
        for place, query in enumerate(panel.queries)
        for quantile in (QUANTILES if "$Q" in query.expression else ("",))
    }
    assert wanted | {(name, 0, "") for name in FACTS} == {(t.panel, t.query, t.quantile) for t in kept.tracks}
    assert {(1.0, 2.0, 3.0, 4.0)} == {track.values for track in kept.tracks}
    own = [one["query"] for one in prometheus.asked if "run_id=" in one["query"] and 'run_id=""' not in one["query"]]
    assert own
    assert all('run_id="r1",scenario="plain",variant="c-epoll"' in query for query in own)
    assert not any("$" in query for query in own)


def test_the_span_is_the_trials(prometheus: Prometheus, tmp_path: Path) -> None:
    """From the whole second in which it began until now, in steps of the scrapes."""
    result = make_result(ago_s=30.0)
    keep_charted(tmp_path, "r1", result, prometheus.url, 2.0, time.time())
    grid = read_tracks(list_tracks(tmp_path, "r1", "series")[0]).grid
    began_s = datetime.fromisoformat(result.started_at).timestamp()

    assert 0.0 <= began_s - grid.start_s < 1.0
    assert 2.0 == grid.step_s
    assert 26.0 <= grid.end_s - grid.start_s <= 60.0


def test_a_long_trial_is_kept_in_steps_that_prometheus_allows(prometheus: Prometheus, tmp_path: Path) -> None:
    """Above 11,000 points it refuses: a day is kept every nine seconds."""
    keep_charted(tmp_path, "r1", make_result(ago_s=86_400.0), prometheus.url, 1.0, time.time())
    grid = read_tracks(list_tracks(tmp_path, "r1", "series")[0]).grid

    assert 9.0 == grid.step_s
    assert grid.steps <= 11_000


def test_a_refused_panel_is_missing_with_its_reason(prometheus: Prometheus, tmp_path: Path) -> None:
    """The others are kept all the same."""
    prometheus.refused = "lab_server_threads"
    assert "" == keep_charted(tmp_path, "r1", make_result(), prometheus.url, 1.0, time.time())
    kept = read_tracks(list_tracks(tmp_path, "r1", "panels")[0])

    assert "parse error" in kept.missing["threads"]
    assert "threads" not in {track.panel for track in kept.tracks}
    assert "throughput" in {track.panel for track in kept.tracks}


def test_without_prometheus_nothing_is_written_and_the_reason_is_told(prometheus: Prometheus, tmp_path: Path) -> None:
    """A run goes on without its charts; an empty answer is no chart either."""
    prometheus.empty = True
    nothing = keep_charted(tmp_path, "r1", make_result(), prometheus.url, 1.0, time.time())
    unreachable = keep_charted(tmp_path, "r1", make_result(), "http://127.0.0.1:1", 1.0, time.time())

    assert "holds nothing" in nothing
    assert "expected an answer" in unreachable
    assert [] == [*list_tracks(tmp_path, "r1", "panels"), *list_tracks(tmp_path, "r1", "series")]


def test_a_trial_is_kept_when_its_last_answers_have_been_scraped(prometheus: Prometheus, tmp_path: Path) -> None:
    """Each when the next one has ended, up to that one's start; the last one two scrapes after its end."""
    keeper = Keeper(tmp_path, "r1", prometheus.url, 1.0)
    first = make_result(ago_s=20.0)
    second = replace(make_result(ago_s=8.0), spec=make_spec(4))
    slept: list[float] = []

    assert "" == keeper.take(first)
    assert [] == list_tracks(tmp_path, "r1", "panels")
    assert "" == keeper.take(second)
    (kept,) = (read_tracks(path) for path in list_tracks(tmp_path, "r1", "panels"))
    assert kept.trial == first.spec.index
    assert kept.grid.end_s <= datetime.fromisoformat(second.started_at).timestamp()
    assert "" == keeper.finish(slept.append)
    assert 1.5 < slept[0] <= 2.0
    assert 2 == len(list_tracks(tmp_path, "r1", "panels"))
    assert "" == keeper.finish(slept.append)
    assert 1 == len(slept)


@pytest.mark.parametrize(("variant", "rest_s"), [("c-threads", RATE_OVER), ("c-epoll", 0.0)])
def test_what_rates_show_afterwards_belongs_to_the_trial(
    prometheus: Prometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, rest_s: float
) -> None:
    """As long as a rate reaches back, though the next trial has begun at once; unless that one has the same series."""
    keeper = Keeper(tmp_path, "r1", prometheus.url, 1.0)
    ended_s = time.time()
    keeper.take(make_result(ago_s=10.0))
    following = replace(make_result(ago_s=0.0), spec=make_spec(4, variant))
    monkeypatch.setattr("orchestrator.charted.time.time", lambda: ended_s + 10.0)
    keeper.take(following)
    grid = read_tracks(list_tracks(tmp_path, "r1", "panels")[0]).grid

    assert ended_s + rest_s - 2.0 <= grid.end_s <= ended_s + rest_s + 0.5


def test_why_a_trial_is_not_kept_names_it(tmp_path: Path) -> None:
    """The run goes on, and the person can see which charts will be missing."""
    keeper = Keeper(tmp_path, "r1", "http://127.0.0.1:1", 1.0)
    keeper.take(make_result())

    assert keeper.finish(lambda _: None).startswith("plain c-epoll: its time series are not kept: ")
