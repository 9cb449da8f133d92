"""Which Grafana a lab has, what it says where there is none, and what is remembered of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound

from orchestrator import grafana as story
from orchestrator.config.load import load_lab
from orchestrator.containers import control
from orchestrator.containers.labels import current_owner
from orchestrator.containers.launch import Spec
from orchestrator.errors import BadInput
from orchestrator.grafana import READY, Record, dashboard_link, forget, grafana_page, open_marks, read_record, settle
from orchestrator.model import Lab, Plan, Run
from orchestrator.observe import grafana as talking
from tests.grafana.fake import TOKEN, FakeGrafana
from tests.grafana.own import OWN

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "PAUSE_S", 0.0)
    monkeypatch.setattr(story, "_START_S", 0.0)
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def declared() -> Lab:
    return load_lab(ROOT / "lab.yaml")


def lab(declared: Lab, tmp_path: Path, **grafana: Any) -> Lab:
    return replace(declared, root=tmp_path, grafana=replace(OWN, **grafana))


def elsewhere(declared: Lab, tmp_path: Path, url: str) -> Lab:
    return lab(declared, tmp_path, url=url, token_env="GRAFANA_TOKEN")


def test_somebodys_grafana_is_provisioned_and_remembered(declared: Lab, tmp_path: Path) -> None:
    """What was done is said, line by line; the second time there is nothing to say."""
    said: list[str] = []
    with FakeGrafana() as fake:
        read = elsewhere(declared, tmp_path, fake.url)
        for _ in range(2):
            settle(read, fake.url, "", tmp_path, said.append)

        assert 6 == len(fake.dashboards) + len(fake.sources) + len(fake.folders) == len(said)
        assert Record(fake.url, READY, False) == read_record(tmp_path)
        assert "http://127.0.0.1:9090" == next(iter(fake.sources.values()))["url"]
        row = grafana_page(read, tmp_path, "not running")[0]
        assert (f"{fake.url}/d/netpoll-lab-compare", READY) == (row.address, row.state)


@pytest.mark.parametrize("token", [TOKEN, ""])
def test_a_grafana_that_gives_trouble_is_one_line(
    declared: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """Whether it is not there or the token is not: the lab goes on, and the status says why."""
    monkeypatch.setenv("GRAFANA_TOKEN", token)
    said: list[str] = []
    read = elsewhere(declared, tmp_path, NOBODY)
    settle(read, NOBODY, "", tmp_path, said.append)
    record = read_record(tmp_path)

    assert 1 == len(said)
    assert said[0].startswith("no Grafana: ")
    assert record is not None
    assert record.state in said[0] or record.state.removeprefix("grafana: ") in said[0]
    assert grafana_page(read, tmp_path, None)[0].state == record.state
    assert "" == open_marks(read, NOBODY, tmp_path).close()


def test_the_labs_own_is_waited_for(declared: Lab, tmp_path: Path) -> None:
    """With its administrator's password; nothing is sent to it, its files came with the image."""
    with FakeGrafana() as fake:
        said: list[str] = []
        settle(lab(declared, tmp_path), fake.url, "", tmp_path, said.append)

        assert ([], ["GET /api/health"]) == (said, fake.asked)
        assert Record(fake.url, READY, True) == read_record(tmp_path)


def test_what_is_missing_is_said_and_stands_in_the_status(declared: Lab, tmp_path: Path) -> None:
    """`auto` without an image: one line in `lab up`, and the same words in `lab status` until it changes."""
    said: list[str] = []
    read = lab(declared, tmp_path)
    assert ["not running"] == [row.state for row in grafana_page(read, tmp_path, "not running")]

    settle(read, "", "this engine has no image x", tmp_path, said.append)
    settle(read, "", "", tmp_path, said.append)  # a run does not look for an image
    row = grafana_page(read, tmp_path, "not running")[0]

    assert ["no Grafana: this engine has no image x"] == said
    assert ("", "missing: this engine has no image x") == (row.address, row.state)
    forget(tmp_path)  # lab down
    assert "not running" == grafana_page(read, tmp_path, "not running")[0].state


def test_the_token_reaches_no_container_no_output_and_no_file(
    declared: Lab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What `lab up` starts, what it and a run do with somebody's Grafana, and what is left of both; by each service."""
    caplog.set_level(logging.DEBUG)
    started: list[Spec] = []

    def start(_client: object, spec: Spec, *_: object) -> tuple[None, bool]:
        started.append(spec)
        return None, True

    monkeypatch.setattr(control, "ensure", start)
    monkeypatch.setattr(control, "ensure_probes", start)
    for name in ("ensure_network", "_ensure_volume", "pod_network", "_join", "_address"):
        monkeypatch.setattr(control, name, lambda *_: "x")
    images = dict.fromkeys(("swarm", "exporter", "prometheus", "probes"), "i")
    said: list[str] = []
    engine: Any = EngineWithout()
    with FakeGrafana() as fake:
        read = elsewhere(declared, tmp_path, fake.url)
        owner, pages = current_owner("up"), read.observability
        plane = control.ensure_control(engine, "x", owner, images, pages, {}, "0", read.grafana)
        settle(read, plane.grafana_url, "", tmp_path, said.append)
        marks = open_marks(read, plane.grafana_url, tmp_path)
        with marks.during("a run", ["run", "r1"]):
            pass
        said += [marks.close(), *story.put(read), *story.take_out(read)]
        assert (1, []) == (len(fake.annotations), fake.wrong)

    assert 4 == len(started)
    assert fake.url in str(started)  # the master's page leads there
    left = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert left
    seen = "\n".join([*map(repr, started), repr(plane), repr(read), *said, *capfd.readouterr(), caplog.text, *left])
    assert TOKEN not in seen


def test_off_is_off(declared: Lab, tmp_path: Path) -> None:
    """No row, no line, and what was remembered of another time is dropped."""
    said: list[str] = []
    settle(lab(declared, tmp_path), "", "gone", tmp_path, said.append)
    off = lab(declared, tmp_path, use="off")
    settle(off, "", "", tmp_path, said.append)

    assert ([], None, 1) == (grafana_page(off, tmp_path, "running"), read_record(tmp_path), len(said))


def test_down_forgets_the_labs_own_and_not_somebodys(tmp_path: Path) -> None:
    """What is in somebody's Grafana is still there."""
    for is_own in (True, False):
        story._write(tmp_path, Record("http://g", READY, is_own))
        forget(tmp_path)
        assert (read_record(tmp_path) is None) == is_own


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 1}'])
def test_a_garbled_record_is_none(tmp_path: Path, text: str) -> None:
    """A status line is no reason to fail."""
    (tmp_path / "grafana.json").write_text(text)

    assert read_record(tmp_path) is None


def test_provisioning_by_hand_needs_an_address(declared: Lab, tmp_path: Path) -> None:
    """The lab's own is no business of `lab grafana`."""
    with pytest.raises(BadInput, match=r"grafana\.url names no Grafana"):
        story.put(lab(declared, tmp_path))
    with FakeGrafana() as fake:
        read = elsewhere(declared, tmp_path, fake.url)
        assert 6 == len(story.put(read)) == len(story.take_out(read))
        assert ({}, {}, {}, []) == (fake.sources, fake.folders, fake.dashboards, fake.wrong)


def test_a_reports_link_is_to_the_runs_own_time(tmp_path: Path) -> None:
    """From its start to its end, or to now; none where no Grafana was ready."""
    at, end = "2026-11-23T08:20:36+00:00", "2026-11-23T08:24:00+00:00"
    run = Run("r1", "quick", at, end, {}, Plan("quick", 1, (), ()), ())
    assert "" == dashboard_link(tmp_path, run)

    story._write(tmp_path, Record("http://g", READY, True))
    link = "http://g/d/netpoll-lab-compare?var-run=r1&from=1795422036000&to="
    assert f"{link}1795422240000" == dashboard_link(tmp_path, run)
    assert f"{link}now" == dashboard_link(tmp_path, replace(run, finished_at=None))

    story._write(tmp_path, Record("http://g", "it does not answer", True))
    assert "" == dashboard_link(tmp_path, run)


class EngineWithout:
    """An engine without any container."""

    def __init__(self) -> None:
        self.containers = self
        self.api = SimpleNamespace(containers=lambda **_: [])

    def get(self, name: str) -> Any:
        raise NotFound(name)
