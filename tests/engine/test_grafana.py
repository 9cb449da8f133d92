"""The lab's own Grafana and somebody's, with a real lab around them.

Grafana's image is not to be had everywhere, so one of the tests' own plays it (fake_grafana.py): what the container is
started with, and which marks of a real run it gets. Over HTTP a fake that keeps to the API's description asks the lab's
real Prometheus.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from dashboards import provisioning
from dashboards.panels import DASHBOARDS
from orchestrator.observe.grafana import Server
from orchestrator.observe.prometheus import SELDOM_S, query
from orchestrator.observe.provision import provision
from tests.engine.conftest import PORTS, LabFile
from tests.grafana.fake import TOKEN, FakeGrafana

PROMETHEUS = f"http://127.0.0.1:{PORTS['prometheus_port']}"
VARIANTS = ["c-epoll"]
SCENARIOS = {
    "open-short": {
        "summary": "arrivals by the clock", "kind": "open", "path": "/plain", "connections": 50, "rate": "500/s",
        "warmup": "1s", "measure": "2s", "timeout": "5s",
    },
    "hold-short": {"summary": "a short hold", "kind": "hold", "connections": 50, "delay": "2s", "timeout": "5s"},
}  # fmt: skip
SUITES = {
    "marked": {
        "summary": "two kinds of window", "scenarios": list(SCENARIOS), "variants": VARIANTS,
        "trials": 1, "profile": "default", "seed": 3,
    },
}  # fmt: skip
OFFICIAL = "netpoll-lab-test/grafana:fake"
GRAFANA_PORT = 13000
GRAFANA = f"http://127.0.0.1:{GRAFANA_PORT}"


def build_fake_grafana(client: docker.DockerClient, like: str) -> None:
    """Make the image that lab.yaml calls Grafana's own. like: an image with Python in it."""
    lines = [f"FROM {like}", "COPY fake_grafana.py /fake_grafana.py", "HEALTHCHECK NONE"]
    lines += ["RUN install -d -m 777 /var/lib/grafana", 'ENTRYPOINT ["python3", "/fake_grafana.py"]']
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        script = (Path(__file__).parent / "fake_grafana.py").read_bytes()
        for name, content in (("Dockerfile", "\n".join(lines).encode()), ("fake_grafana.py", script)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=OFFICIAL, rm=True)


@pytest.fixture(scope="module")
def lab(make_lab: Any, client: docker.DockerClient) -> Iterator[LabFile]:
    grafana = {"use": "image", "image": OFFICIAL, "port": GRAFANA_PORT}
    made: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES, arena={"variants": VARIANTS}, grafana=grafana)
    built = made.run("build", timeout_s=900).stdout.split()
    build_fake_grafana(client, next(word for word in built if word.startswith("netpoll-lab/exporter:")))
    made.run("up", "--no-load", timeout_s=900)
    yield made
    made.run("down")
    client.images.remove(OFFICIAL, noprune=True)


@dataclass(frozen=True)
class Watched:
    """A run, and between which instants it was."""

    run_id: str
    began_s: float
    ended_s: float


@pytest.fixture(scope="module")
def watched(lab: LabFile) -> Watched:
    began_s = time.time()
    lab.run("run", "marked")
    return Watched(str(lab.show()["run_id"]), began_s, time.time())


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


def test_the_labs_own_grafana_is_started_with_its_files(lab: LabFile, client: docker.DockerClient) -> None:
    """Read-only, as the official image's user, on loopback; the dashboards lie where the provider looks."""
    started = get(f"{GRAFANA}/started")
    container = client.containers.get(f"netpoll-lab-{lab.id}-grafana")
    dashboards = {name for name in started["files"] if name.startswith("dashboards/")}

    assert provisioning.files("http://prometheus:9090", 1.0) == {
        name: text.encode() for name, text in started["files"].items()
    }
    assert {f"dashboards/{dashboard.uid}.json" for dashboard in DASHBOARDS} == dashboards
    assert (472, "true") == (started["uid"], started["settings"]["GF_AUTH_ANONYMOUS_ENABLED"])
    assert container.attrs["HostConfig"]["ReadonlyRootfs"] is True
    assert {"127.0.0.1"} == {each["HostIp"] for each in container.attrs["HostConfig"]["PortBindings"]["3000/tcp"]}
    password = (lab.path.parent / ".lab" / "grafana-password").read_text().strip()
    assert password not in json.dumps(container.labels)


def test_pages_and_status_lead_to_grafana(lab: LabFile) -> None:
    """The line on Locust's page, and the row of `lab status`."""
    pages = json.loads(lab.run("status", "--json").stdout)["pages"]
    with urllib.request.urlopen(f"http://127.0.0.1:{PORTS['web_port']}/", timeout=10) as answer:
        page = answer.read().decode()

    assert [(GRAFANA, "running")] == [(p["address"], p["state"]) for p in pages if p["page"].startswith("Grafana")]
    assert f'href="{GRAFANA}/d/netpoll-lab-compare"' in page


def test_the_run_and_its_windows_are_marked(lab: LabFile, watched: Watched) -> None:
    """One mark for the run, and one for each trial's window within it, as long as it was; each with its end."""
    marks = get(f"{GRAFANA}/api/annotations")
    runs = [one for one in marks if "run" in one["tags"]]
    windows = [one for one in marks if "window" in one["tags"]]
    shown = lab.show()["trials"]

    assert [["netpoll-lab", "run", watched.run_id]] == [one["tags"] for one in runs]
    assert sorted((t["scenario"], t["variant"]) for t in shown) == sorted(tuple(one["tags"][3:]) for one in windows)
    assert all(watched.began_s * 1000 <= runs[0]["time"] <= one["time"] for one in windows)
    assert all(one["timeEnd"] <= runs[0]["timeEnd"] <= watched.ended_s * 1000 for one in windows)
    lengths_s = [(w["timeEnd"] - w["time"]) / 1000 for w in windows if "open-short" in w["tags"]]
    assert all(2.0 <= length_s < 3.0 for length_s in lengths_s), lengths_s


def test_a_report_leads_to_the_runs_time(lab: LabFile, watched: Watched) -> None:
    """The page of the run has the link, with the run's own time in it."""
    page = Path(lab.run("report").stdout.strip()).read_text()

    assert f'href="{GRAFANA}/d/netpoll-lab-compare?var-run={watched.run_id}&amp;from=' in page


def test_somebodys_grafana_asks_the_labs_prometheus(lab: LabFile, watched: Watched) -> None:
    """Provisioned over HTTP, it answers with what the store has of the run."""
    asked = {
        "refId": "A", "datasource": {"uid": provisioning.DATA_SOURCE_UID},
        "expr": f'sum(lab_run_stat{{run_id="{watched.run_id}",stat="trials_valid"}})', "instant": True,
    }  # fmt: skip
    end_s = time.monotonic() + 2 * SELDOM_S
    while not query(PROMETHEUS, f'lab_run_info{{run_id="{watched.run_id}"}}'):
        assert time.monotonic() < end_s, "the run that ended is not among the past ones"
        time.sleep(0.2)
    with FakeGrafana() as fake:
        server = Server(fake.url, TOKEN)
        provision(server, provisioning.data_source(PROMETHEUS, 1.0))
        answer = server.ask("POST", "/ds/query", {"queries": [asked], "from": "now-5m", "to": "now"})

        assert [2.0] == answer["results"]["A"]["frames"][0]["data"]["values"][-1]
        assert [] == fake.wrong
