"""`lab watch`: what is shown is what master and Prometheus said; what nobody said is a dash with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rich.console import Console

from orchestrator.config.load import load_lab
from orchestrator.errors import NotReady, StoreDamaged
from orchestrator.model import Lab, Run
from orchestrator.planning.plan import make_plan
from orchestrator.report.watching import Figures, Now, Target, Trial, watch_document, watch_lines, watch_screen
from orchestrator.results.folder import read_progress, run_folder, write_run
from orchestrator.watch import look, watch
from tests.serving import serving

SOUND = Path(__file__).parent / "broken" / "sound.yaml"
BUSY = Figures("c-epoll", 101_234.0, 0.00031, 0.0012, 0.0, 2.0, 50.0, 0.98, 3.1 * 2**20, 1.0)
NOW = Now(
    at="12:34:56", run_id="r1", scenario="plain", state="running", users=2, connections=50,
    trial=Trial("quick", 3, 12, "c-epoll", "plain"),
    targets=(Target("swarm", "up"), Target("exporter", "down", "connection refused")),
    rung="ebpf", variants=(BUSY, Figures("c-threads", threads=9.0)),
)  # fmt: skip


class Service(ThreadingHTTPServer):
    """Master and Prometheus in one: answers a path with what it was given."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.state: Any = None  # of GET /lab/state; None: 503
        self.values: dict[str, list[tuple[dict[str, str], str]]] = {}  # part of an expression -> samples
        self.targets: list[dict[str, Any]] = []
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/lab/state":
            return self._send(self.server.state)
        if path == "/api/v1/targets":
            return self._send({"status": "success", "data": {"activeTargets": self.server.targets}})
        asked = query["query"][0]
        self.server.asked.append(asked)
        found = next((samples for part, samples in self.server.values.items() if part in asked), [])
        result = [{"metric": labels, "value": [0, text]} for labels, text in found]
        return self._send({"status": "success", "data": {"resultType": "vector", "result": result}})

    def _send(self, told: Any) -> None:
        body = json.dumps(told).encode()
        self.send_response(503 if told is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service()
    with serving(server):
        yield server


@pytest.fixture
def lab(tmp_path: Path, service: Service) -> Lab:
    """A lab whose master and Prometheus are the service."""
    read = load_lab(SOUND)
    pages = replace(read.observability, web_port=service.server_port, prometheus_port=service.server_port)
    return replace(read, root=tmp_path, observability=pages)


def state(run_id: str = "arena") -> dict[str, Any]:
    return {
        "monotonic_s": 1.0, "state": "running", "user_count": 2, "workers": [], "run_id": run_id, "scenario": "plain",
        "connections": {"established": 50, "answered": 7, "failed": 0},
    }  # fmt: skip


def screen(now: Now, width: int = 140, ascii_only: bool = False) -> str:
    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as shown:
        console.print(watch_screen(now, width, ascii_only))
    return shown.get()


def test_an_ordinary_terminal_shows_every_figure_whole() -> None:
    """Eighty columns: no bar, no users, and nothing is cut."""
    text = screen(replace(NOW, variants=(replace(BUSY, variant="go-nethttp"),)), width=80)
    (row,) = (line for line in text.splitlines() if line.startswith("go-nethttp"))

    assert "go-nethttp 101,234 310 µs 1.20 ms 0 50 0.98 3.10 MiB 1" == " ".join(row.split())
    assert "…" not in text


def test_the_screen_has_the_essentials() -> None:
    """Which trial, who answers, and each variant's figures with their units; unknown is a dash."""
    text = screen(NOW)
    busy, idle = (
        next(line for line in text.splitlines() if line.startswith(name)) for name in ("c-epoll", "c-threads")
    )

    assert "run r1: trial 3 of 12, plain c-epoll, running, 2 users, 50 connections" in text
    assert "swarm up" in text and "exporter down (connection refused)" in text and "kernel side: ebpf" in text
    assert ["101,234", "310", "µs", "1.20", "ms", "0", "2", "50", "0.98", "3.10", "MiB", "1"] == [
        word for word in busy.split()[1:] if not set(word) <= set("█▏▎▍▌▋▊▉")
    ]
    assert ["-"] * 8 + ["9"] == idle.split()[1:]


def test_a_terminal_without_our_signs_can_show_it() -> None:
    """Nothing but ASCII leaves."""
    assert screen(NOW, ascii_only=True).isascii()


def test_lines_say_what_is_known_and_nothing_else() -> None:
    """For a pipe: the lab, then each variant; a dash is left out."""
    lines = watch_lines(replace(NOW, troubles=("Prometheus is slow",)))

    assert "12:34:56 c-threads: threads 9" == lines[2]
    assert lines[1].startswith("12:34:56 c-epoll: answers/s 101,234, p50 310 µs, p99 1.20 ms, errors 0, ")
    assert "12:34:56 Prometheus is slow" == lines[-1]


def test_the_document_is_json() -> None:
    """Base units and null for unknown; it survives the way through JSON."""
    told = json.loads(json.dumps(watch_document(NOW)))

    assert (0.0012, None) == tuple(one["p99_s"] for one in told["variants"])
    assert {"suite": "quick", "number": 3, "of": 12, "variant": "c-epoll", "scenario": "plain"} == told["trial"]


def test_before_any_load_it_says_what_to_do_next() -> None:
    """An empty table would say nothing; between two trials there is nothing to do."""
    assert "lab run quick" in screen(replace(NOW, variants=(), trial=None))
    assert "Between two trials" in screen(replace(NOW, variants=()))
    assert "all 12 trials are done" in screen(replace(NOW, trial=Trial("quick", 13, 12, "c-epoll", "plain")))


def test_figures_are_the_panels_own_asked_for_this_run(lab: Lab, service: Service) -> None:
    """Only who has a server or users now; 0 / 0 is no figure; only established connections count as open."""
    service.state = state()
    service.targets = [{"labels": {"job": "swarm"}, "health": "up", "lastError": ""}]
    epoll, gone = {"variant": "c-epoll"}, {"variant": "gone"}
    service.values = {
        "lab_server_threads": [(epoll, "1")],
        "lab_probe_rung": [({"rung": "perf"}, "0"), ({"rung": "taskstats"}, "1")],
        "histogram_quantile(0.99,": [(epoll, "NaN")],
        "histogram_quantile(0.5,": [(epoll, "0.001")],
        'outcome="answered"}[5s]))': [(epoll, "1000"), (gone, "0")],
        "lab_client_connections": [(epoll | {"state": "connecting"}, "3"), (epoll | {"state": "established"}, "50")],
    }
    now = look(lab)

    assert (Figures("c-epoll", throughput_per_s=1000.0, p50_s=0.001, connections=50.0, threads=1.0),) == now.variants
    assert ((Target("swarm", "up"),), "taskstats") == (now.targets, now.rung)
    assert ("arena", "plain", "running", 2, 50) == (now.run_id, now.scenario, now.state, now.users, now.connections)
    assert all('run_id="arena"' in asked for asked in service.asked if "lab_probe_rung" not in asked)


def test_the_trial_under_way_is_read_from_the_runs_folder(lab: Lab, service: Service) -> None:
    """One more than are finished; when the run is over, one more than there are."""
    plan = make_plan(lab, "quick", nofile_granted=None)
    run = Run("r1", "quick", "now", None, {}, plan, ())
    results = lab.root / "results"
    write_run(results, run)
    service.state = state("r1")
    first = look(lab).trial
    (run_folder(results, "r1") / "trial-000-a-b.json").write_text("{}")
    second = look(lab).trial
    write_run(results, replace(run, finished_at="now"))
    last = look(lab).trial

    assert first == Trial("quick", 1, len(plan.trials), plan.trials[0].variant, plan.trials[0].scenario)
    assert second is not None and (2, plan.trials[1].variant) == (second.number, second.variant)
    assert last is not None and last.number == last.of + 1
    assert read_progress(results, "another") is None


def test_a_garbled_plan_is_one_line(lab: Lab, service: Service) -> None:
    """It stands among the troubles, and the rest is shown."""
    folder = run_folder(lab.root / "results", "r1")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("[]")
    service.state = state("r1")
    now = look(lab)

    assert now.trial is None
    assert ["run.json"] == [name for name in ("run.json",) if any(name in trouble for trouble in now.troubles)]
    with pytest.raises(StoreDamaged, match="lab show r1"):
        read_progress(lab.root / "results", "r1")


def test_a_silent_master_hides_nothing_of_prometheus(lab: Lab, service: Service) -> None:
    """Its part is unknown, with the reason; who is scraped is shown all the same."""
    service.targets = [{"labels": {"job": "swarm"}, "health": "down", "lastError": "timeout"}]
    now = look(lab)

    assert (None, None, None) == (now.users, now.connections, now.trial)
    assert (Target("swarm", "down", "timeout"),) == now.targets
    assert any("503" in trouble for trouble in now.troubles)


def test_nobody_at_all_is_an_error_with_the_next_step(lab: Lab) -> None:
    """A watcher of nothing would watch for ever."""
    nowhere = replace(lab, observability=replace(lab.observability, web_port=1, prometheus_port=1))
    with pytest.raises(NotReady, match=r"nothing of the lab answers.*Try: lab up") as caught:
        next(watch(nowhere))

    assert "\n" not in str(caught.value)


def test_watching_ends_when_the_lab_is_taken_down(lab: Lab, service: Service) -> None:
    """Three looks without an answer, a second apart; one look alone is a master that is being replaced."""
    service.state = state()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            service.shutdown()
            service.server_close()

    assert 2 == len(list(watch(lab, sleep)))
    assert 4 == len(slept)
