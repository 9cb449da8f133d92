"""`lab report --serve`: kept runs over HTTP on 127.0.0.1, and nothing else of the disk."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards.live import panels_of_a_trial
from orchestrator.config.load import load_lab
from orchestrator.errors import EnvironmentMissing
from orchestrator.planning.plan import make_plan
from orchestrator.results.series import Grid, Track, of_panel, write_tracks
from orchestrator.results.store import open_store
from orchestrator.serve import WEB, Server, Site
from tests.serving import serving
from tests.unit.test_results_series import make_spec

SOUND = Path(__file__).parent / "broken" / "sound.yaml"
GRID = Grid(1_000.0, 1.0, 5)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs in the store, of which the older has time series."""
    plan = make_plan(load_lab(SOUND), "quick", nofile_granted=None)
    with open_store(tmp_path / "lab.db") as store:
        for run_id in ("older", "newer"):
            store.begin_run(run_id, "quick", "2026-11-23T08:20:36+00:00", {}, plan)
    for index in (1, 0):
        track = of_panel(Track({"variant": "c-epoll"}, 0, (1.0,) * 5), "threads", 0)
        write_tracks(tmp_path, "older", make_spec(index), "panels", GRID, [track])
        write_tracks(tmp_path, "older", make_spec(index), "series", GRID, [track])
    return tmp_path


@pytest.fixture
def server(results: Path) -> Iterator[Server]:
    server = Server(Site(results), 0)
    with serving(server):
        yield server


def ask(server: Server, path: str, **headers: str) -> tuple[int, bytes, str]:
    """Return status, body and content type."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read(), refused.headers["Content-Type"]


def test_it_listens_on_loopback_alone(server: Server) -> None:
    """Results are nobody else's business."""
    assert "127.0.0.1" == server.server_address[0]
    assert f"http://127.0.0.1:{server.server_port}/lab" == server.address


def test_the_page_and_all_it_names_are_there(server: Server) -> None:
    """The same files as the live page's, the chart library too; / leads to the page."""
    status, page, kind = ask(server, "/lab")
    named = [part.split(b'"')[0].decode() for part in page.split(b'="lab/live/')[1:]]

    assert (200, "text/html; charset=utf-8") == (status, kind)
    assert (WEB / "page.html").read_bytes() == page == ask(server, "/")[1]
    assert {"live.js", "live.css", "plotly.min.js"} <= set(named)
    assert [200] * len(named) == [ask(server, f"/lab/live/{name}")[0] for name in named]


def test_the_panels_are_those_that_are_kept(server: Server) -> None:
    """The page is told that it draws from files, and is given no panel that has none."""
    told = json.loads(ask(server, "/lab/live/panels.json")[1])
    names = {panel["name"] for page in told["dashboards"] for row in page["rows"] for panel in row["panels"]}

    assert told["stored"]
    assert {panel.name for panel in panels_of_a_trial()} == names
    assert "prometheus_port" not in told


def test_the_newest_run_with_charts_is_shown_first(server: Server, results: Path) -> None:
    """All runs are listed, newest first; one that was named is shown first whatever it has."""
    told = json.loads(ask(server, "/lab/live/runs.json")[1])

    assert ["newer", "older"] == [one["run_id"] for one in told["runs"]]
    assert "older" == told["chosen"]
    assert "newer" == json.loads(Site(results, "newer").answer("/lab/live/runs.json").body)["chosen"]


def test_a_trial_leaves_as_it_lies_on_the_disk(server: Server, results: Path) -> None:
    """Gzipped, said so; in the order of the trials; a run without them has none."""
    files = json.loads(ask(server, "/lab/live/runs/older.json")[1])["files"]
    reply = Site(results).answer(f"/lab/live/runs/older/{files[0]}")

    assert ["panels-000-c-epoll-plain.json.gz", "panels-001-c-epoll-plain.json.gz"] == files
    assert ("gzip", (results / "runs" / "older" / files[0]).read_bytes()) == (reply.encoding, reply.body)
    assert {"files": []} == json.loads(ask(server, "/lab/live/runs/newer.json")[1])


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "/lab/live/../live.py", "/lab/live/%2e%2e%2flive.py", "/lab/live/runs/older/run.json",
        "/lab/live/runs/older/series-000-c-epoll-plain.json.gz", "/lab/live/runs/..%2f..%2fetc/passwd",
        "/lab/live/runs/%2e%2e/lab.db", "/lab/live/.hidden.js", "/lab/live/absent.js", "/lab/state",
    ],
)  # fmt: skip
def test_nothing_else_is_served(server: Server, path: str) -> None:
    """404 and one line of JSON, however the path is written."""
    status, body, kind = ask(server, path)

    assert (404, "application/json; charset=utf-8") == (status, kind)
    assert "the page is at /lab" in json.loads(body)["error"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8090", "127.0.0.1.evil.example:80"])
def test_a_page_from_elsewhere_cannot_read_results(server: Server, host: str) -> None:
    """A name that was bent to 127.0.0.1 is refused by the name."""
    assert 403 == ask(server, "/lab/live/runs.json", Host=host)[0]
    assert 200 == ask(server, "/lab/live/runs.json", Host=f"localhost:{server.server_port}")[0]


def test_a_damaged_store_is_told_on_the_page(results: Path) -> None:
    """The reason arrives as JSON instead of a broken connection."""
    (results / "lab.db").write_bytes(b"no database at all, but long enough to be taken for one" * 40)
    reply = Site(results).answer("/lab/live/runs.json")

    assert 500 == reply.status
    assert "lab.db" in json.loads(reply.body)["error"]


def test_a_taken_port_is_one_line(server: Server, results: Path) -> None:
    """Who, what, and what to write instead."""
    with pytest.raises(EnvironmentMissing, match=r"free port.*--port 0"):
        Server(Site(results), server.server_port)
