"""The exporter's HTTP side: what it refuses, what it serves, and that its text is Prometheus's."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from orchestrator.errors import BadInput, NotReady
from orchestrator.observe import exporter_client, prometheus
from orchestrator.observe.exporter.metrics import render
from orchestrator.observe.exporter.reading import Reading
from orchestrator.observe.exporter.sampler import Sampler
from orchestrator.observe.exporter.server import LONGEST_BODY, Server
from orchestrator.observe.exporter.target import Container, Target
from tests.serving import serving

ID = "a" * 64
LABELS = {"run_id": "r", "scenario": "s", "variant": "v"}
SERIES = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? ([0-9.e+-]+)')


@pytest.fixture
def base_url() -> Iterator[str]:
    """A running exporter on a port of the kernel's choice; it samples this machine."""
    sampler = Sampler(Path("/sys/fs/cgroup"))
    server = Server(("127.0.0.1", 0), sampler)
    sampler.start()
    with serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"
    sampler.stop()


def body(**changes: object) -> dict[str, object]:
    return {"labels": LABELS, "containers": [{"id": ID, "pid": 1}], **changes}


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "expected a JSON object, saw list"),
        (json.dumps(body(labels={"variant": 1})).encode(), r"labels\.variant: expected text"),
        (json.dumps(body(labels={"color": "red"})).encode(), "labels: expected run_id, scenario, variant"),
        (json.dumps(body(containers=[])).encode(), "containers: expected a list of 1 to 64"),
        (json.dumps(body(containers=[{"id": "../etc", "pid": 1}])).encode(), "hexadecimal"),
        (json.dumps(body(containers=[{"id": ID, "pid": True}])).encode(), r"containers\[0\]\.pid"),
        (json.dumps(body(other=1)).encode(), "unknown key 'other'"),
        (json.dumps(body(listens={"host": "localhost", "port": 80})).encode(), r"listens\.host: expected an IPv4"),
        (json.dumps(body(listens={"host": "127.0.0.1", "port": 0})).encode(), r"listens\.port: expected 1 to 65535"),
        (json.dumps(body(listens={"host": "127.0.0.1"})).encode(), "listens: expected exactly host and port"),
        (json.dumps(body(stats="always")).encode(), "stats: expected never, or with `listens` told or always"),
        (json.dumps(body(containers=[{"id": ID, "pid": os.getpid()}])).encode(), "is not in container aaaaaaaaaaaa"),
        (json.dumps(body(containers=[{"id": ID, "pid": 4194305}])).encode(), "is not alive"),
        (b" " * (LONGEST_BODY + 1), "at most 65536 are read"),
    ],
)
def test_a_registration_that_cannot_be_used_is_a_400_of_one_line(base_url: str, sent: bytes, reason: str) -> None:
    """Each refusal says what was expected and what was seen."""
    answer = requests.put(f"{base_url}/targets/x", data=sent, timeout=5)

    assert 400 == answer.status_code
    assert 1 == answer.text.count("\n")
    assert re.search(reason, answer.json()["error"]), answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/readings/nobody"),
        ("DELETE", "/targets/nobody"),
        ("POST", "/stats/nobody"),
        ("GET", "/"),
        ("PUT", "/metrics"),
    ],
)
def test_what_is_not_there_is_a_404_of_one_line(base_url: str, method: str, path: str) -> None:
    """Unknown targets and unknown routes name what there is."""
    answer = requests.request(method, base_url + path, data=b"{}", timeout=5)

    assert 404 == answer.status_code
    assert 1 == answer.text.count("\n")
    assert re.search("registered: none|is not offered", answer.json()["error"])


def test_an_idle_exporter_is_healthy_and_its_own_series_parse(base_url: str) -> None:
    """Before anything is registered /metrics holds its own error counters, all zero."""
    exporter_client.Exporter(base_url).wait_ready(5)
    text = requests.get(f"{base_url}/metrics", timeout=5).text

    assert 'lab_collector_errors_total{source="taskstats"} 0.0' in text.splitlines()
    for line in text.splitlines():
        assert line.startswith("# ") or SERIES.fullmatch(line), line


def test_the_host_is_sampled_whoever_is_registered(base_url: str) -> None:
    """Steal and load concern every chart, so they are there before the first target is."""
    deadline_s = time.monotonic() + 5
    while True:
        found = samples(requests.get(f"{base_url}/metrics", timeout=5).text)
        health = requests.get(f"{base_url}/healthz", timeout=5).json()
        told = {"frequency_lowest_hz"} & set(health["host_missing"])
        has_frequency = 'lab_host_cpu_frequency_hertz{kind="lowest"}' in found
        is_whole = 'lab_host_cpu_seconds_total{mode="steal"}' in found and bool(told) != has_frequency
        if is_whole or time.monotonic() > deadline_s:  # sources are read one after another: a look may come between
            break
        time.sleep(0.05)

    assert found['lab_host_cpu_seconds_total{mode="idle"}'] > 0
    assert found["lab_collector_cpu_seconds_total"] > 0
    assert bool(told) != has_frequency


def reading(**values: float | dict[str, float]) -> Reading:
    return Reading(1.0, values, {}, {})


def target(variant: str, *, shared: bool = False) -> Target:
    return Target(variant, {**LABELS, "variant": variant}, (Container(ID, 1),), shared)


def samples(text: str) -> dict[str, float]:
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def test_a_value_becomes_the_series_its_metric_declares() -> None:
    """Kinds and reasons become labels; what is missing has no series."""
    row = reading(threads=3, context_switches_voluntary=7, tcp_aborts={"TCPAbortOnClose": 2.0})
    found = samples(render([(target("v"), row)], {}, {}))
    labels = 'run_id="r",scenario="s",variant="v"'

    assert {
        f"lab_server_threads{{{labels}}}": 3.0,
        f'lab_server_context_switches_total{{{labels},kind="voluntary"}}': 7.0,
        f'lab_net_tcp_aborts_total{{{labels},reason="TCPAbortOnClose"}}': 2.0,
    } == found


def test_label_values_are_escaped() -> None:
    """Quotes, backslashes and line ends cannot break the text."""
    text = render([(target('a"\\\n'), reading(up=1.0))], {}, {})

    assert r'lab_server_up{run_id="r",scenario="s",variant="a\"\\\n"} 1.0' in text.splitlines()


def test_counters_of_a_shared_namespace_appear_once() -> None:
    """Two variants of the arena share TCP counters and keep their own threads."""
    rows = [(target(name, shared=True), reading(threads=1, tcp_resets_sent=5)) for name in ("a", "b")]
    found = samples(render(rows, {}, {}))

    assert 3 == len(found)
    assert 5.0 == found['lab_net_tcp_resets_sent_total{run_id="r",scenario="s",variant="arena (shared)"}']


def test_the_client_says_who_what_and_what_next() -> None:
    """An exporter that is not there is named, with the next step."""
    exporter = exporter_client.Exporter("http://127.0.0.1:1")

    with pytest.raises(NotReady, match=r"GET http://127\.0\.0\.1:1/readings/x.*refused.*Try: lab up"):
        exporter.read("x")
    with pytest.raises(NotReady, match=r"no healthy answer from .* within 0 s.*refused"):
        exporter.wait_ready(0)


def test_the_client_passes_a_refusal_on(base_url: str) -> None:
    """The exporter's own reason reaches the person; forgetting twice is fine."""
    exporter = exporter_client.Exporter(base_url)
    exporter.forget("never")

    with pytest.raises(NotReady, match="is not in container aaaaaaaaaaaa"):
        exporter.register("x", LABELS, [(ID, os.getpid())])
    with pytest.raises(NotReady, match="no target 'x' is registered"):
        exporter.read("x")


def test_prometheus_is_told_each_job_and_the_interval() -> None:
    """A fraction of a second survives; the timeout is never longer than the interval."""
    config = yaml.safe_load(prometheus.render_config({"exporter": "exporter:9100", "swarm": "master:8089"}, 0.5))

    assert {"scrape_interval": "500ms", "scrape_timeout": "500ms"} == config["global"]
    assert ["exporter", "swarm"] == [job["job_name"] for job in config["scrape_configs"]]
    assert [{"targets": ["master:8089"]}] == config["scrape_configs"][1]["static_configs"]


def test_an_interval_prometheus_cannot_keep_is_refused() -> None:
    """Zero would be taken for its default of a minute."""
    with pytest.raises(BadInput, match=r"at least 0\.1 s"):
        prometheus.render_config({}, 0.0)


def test_a_prometheus_that_is_not_there_is_named() -> None:
    """The deadline passes with the reason in the text."""
    with pytest.raises(NotReady, match=r"expected exporter to be scraped within 0 s.*ConnectionError"):
        prometheus.wait_up("http://127.0.0.1:1", ["exporter"], 0)
