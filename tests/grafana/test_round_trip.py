"""Everything the lab does with a Grafana, once around: provision, read back, query through it, annotate, provision
again without change, remove. Against the fake always; against a real one with

    make test-grafana GRAFANA_URL=http://127.0.0.1:3000 GRAFANA_TOKEN_FILE=token PROMETHEUS_URL=http://127.0.0.1:9090

whose service account has the role Admin. PROMETHEUS_URL is as that Grafana's server reaches it; any Prometheus will do.
Nothing of the lab's may be in it before, and nothing is after.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboards import provisioning
from orchestrator.model import Grafana
from orchestrator.observe.grafana import Server, read_token
from orchestrator.observe.marks import Marks
from orchestrator.observe.provision import provision, remove
from tests.grafana.fake import TOKEN, FakeGrafana


@dataclass
class Ground:
    """A Grafana, and a Prometheus that its server reaches."""

    server: Server
    prometheus_url: str


class _Prometheus(BaseHTTPRequestHandler):
    """Answers vector(N), which needs no data."""

    def do_GET(self) -> None:
        expression = parse_qs(urlsplit(self.path).query)["query"][0]
        number = expression.removeprefix("vector(").removesuffix(")")
        result = [{"metric": {}, "value": [time.time(), number]}]
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def _real() -> Ground:
    token_file, token_env = os.environ.get("GRAFANA_TOKEN_FILE"), "GRAFANA_TOKEN"
    named = Grafana(token_env=token_env, token_file=Path(token_file) if token_file else None)
    server = Server(os.environ["GRAFANA_URL"], read_token(named))
    return Ground(server, os.environ.get("PROMETHEUS_URL", "http://127.0.0.1:9090"))


@pytest.fixture(params=["fake", *(["real"] if os.environ.get("GRAFANA_URL") else [])])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    if request.param == "real":
        yield _real()
        return
    prometheus = ThreadingHTTPServer(("127.0.0.1", 0), _Prometheus)
    threading.Thread(target=prometheus.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    with FakeGrafana() as fake:
        yield Ground(Server(fake.url, TOKEN), f"http://127.0.0.1:{prometheus.server_address[1]}")
        assert [] == fake.wrong
    prometheus.shutdown()
    prometheus.server_close()


def test_once_around(ground: Ground) -> None:
    """What is provisioned is there and answers; a second time changes nothing; what is removed is gone."""
    server, source = ground.server, provisioning.data_source(ground.prometheus_url, 1.0)
    uids = list(provisioning.committed())
    for uid in uids:
        assert server.get(f"/dashboards/uid/{uid}") is None, f"{uid} is there already; lab grafana --remove"

    try:
        made = provision(server, source)
        assert [
            f"data source {provisioning.DATA_SOURCE_UID} made",
            f"folder {provisioning.FOLDER_UID} made",
            *(f"dashboard {uid} made" for uid in uids),
        ] == made

        read_back(server, uids, ground.prometheus_url)
        query_through(server)
        annotate(server)
        assert [] == provision(server, source)
    finally:
        gone = remove(server)

    assert [
        *(f"dashboard {uid} removed" for uid in uids),
        f"data source {provisioning.DATA_SOURCE_UID} removed",
        f"folder {provisioning.FOLDER_UID} removed",
    ] == gone
    assert [] == remove(server)
    assert server.get(f"/datasources/uid/{provisioning.DATA_SOURCE_UID}") is None


def read_back(server: Server, uids: list[str], prometheus_url: str) -> None:
    """Every dashboard lies in the folder with all of its panels and queries; the data source leads to Prometheus."""
    for uid in uids:
        found, ours = server.get(f"/dashboards/uid/{uid}"), provisioning.committed()[uid]
        assert provisioning.FOLDER_UID == found["meta"]["folderUid"]
        assert titles(ours) == titles(found["dashboard"])
        assert queries(ours) == queries(found["dashboard"])
    assert prometheus_url == server.get(f"/datasources/uid/{provisioning.DATA_SOURCE_UID}")["url"]


def titles(document: dict[str, Any]) -> list[str]:
    return [panel["title"] for panel in document["panels"]]


def queries(document: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]


def query_through(server: Server) -> None:
    """Grafana asks Prometheus by the data source's uid, as its charts do."""
    query = {
        "refId": "A",
        "datasource": {"uid": provisioning.DATA_SOURCE_UID, "type": "prometheus"},
        "expr": "vector(42)",
        "instant": True,
    }
    answer = server.ask("POST", "/ds/query", {"queries": [query], "from": "now-5m", "to": "now"})

    assert [42.0] == answer["results"]["A"]["frames"][0]["data"]["values"][-1]


def annotate(server: Server) -> None:
    """A run and a window in it are found by the tags that the dashboards ask for, with their beginnings and ends."""
    run_id = f"round-trip-{os.getpid()}"
    clock = iter([1000.0, 1001.5, 1007.5, 1010.0])
    marks = Marks(server, clock=lambda: next(clock))
    run = marks.begin("a run", ["run", run_id])
    window = marks.begin("a window", ["window", run_id, ""])
    marks.end(window)
    marks.end(run)
    assert "" == marks.close()

    kinds = {}
    for kind in ("run", "window"):
        found = server.ask("GET", f"/annotations?tags={provisioning.TAG}&tags={kind}&tags={run_id}&from=0&to=2000000")
        kinds[kind] = [(one["time"], one["timeEnd"], one["text"]) for one in found]
        for one in found:
            server.ask("DELETE", f"/annotations/{one['id']}")

    assert {"run": [(1_000_000, 1_010_000, "a run")], "window": [(1_001_500, 1_007_500, "a window")]} == kinds
