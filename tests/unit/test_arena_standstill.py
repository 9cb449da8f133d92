"""The arena stands still for a run whatever the run before left of it, and is itself again whatever happens."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from orchestrator import arena
from orchestrator.config.load import load_lab
from orchestrator.containers.labels import ROLE
from orchestrator.errors import EnvironmentMissing, NotReady
from orchestrator.load.master import SwarmState

LAB = load_lab(Path(__file__).resolve().parents[2] / "lab.yaml")
CONTROL: Any = SimpleNamespace(master_url="http://127.0.0.1:1", master_ip="172.17.0.2")


@dataclass
class Container:
    """One of the engine's: it refuses to pause what does not run, as the engine does."""

    name: str
    role: str
    status: str = "running"
    is_broken: bool = False  # the engine can do nothing with it
    dies_on_waking: bool = False

    @property
    def id(self) -> str:
        return self.name

    @property
    def labels(self) -> dict[str, str]:
        return {ROLE: self.role}

    def reload(self) -> None:
        """Its status is always the present one."""

    def pause(self) -> None:
        self._go("running", "paused")

    def unpause(self) -> None:
        if self.dies_on_waking:
            self.status = "exited"
        self._go("paused", "running")

    def _go(self, expected: str, then: str) -> None:
        if self.is_broken or self.status != expected:
            raise APIError(f"409 Conflict: container {self.name} is {self.status}")
        self.status = then


@dataclass
class Engine:
    """Its running and paused containers, and what was asked of the master."""

    found: list[Container]
    state: SwarmState = field(default_factory=lambda: SwarmState(1.0, "ready", 0, {}, 0, 0, 0))
    asked: list[str] = field(default_factory=list)
    forgets: bool = True

    @property
    def containers(self) -> Any:
        return SimpleNamespace(list=lambda **_: [one for one in self.found if one.status in ("running", "paused")])

    def statuses(self) -> dict[str, str]:
        return {one.name.rpartition("arena-")[2]: one.status for one in self.found}


class Master:
    """Stands for Locust's master."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.state = lambda: engine.state

    def forget(self, workers: list[str]) -> None:
        if not self.engine.forgets:
            raise NotReady("the master does not answer")

    def stop(self) -> None:
        self.engine.asked.append("stop")

    def label(self, run_id: str, scenario: str) -> None:
        self.engine.asked.append(f"label {run_id}")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An arena of two servers and a worker."""
    prefix = "netpoll-lab-ab12-arena"
    made = Engine(
        [
            Container(prefix, "holder"),
            Container(f"{prefix}-c-epoll", "server"),
            Container(f"{prefix}-c-threads", "server"),
            Container(f"{prefix}-worker-0", "worker"),
        ]
    )
    monkeypatch.setattr(arena, "Master", lambda _url: Master(made))
    monkeypatch.setattr(arena, "stop", lambda _client, name, _grace_s: _end(made, name))
    monkeypatch.setattr(arena, "start_holder", lambda *_: None)
    monkeypatch.setattr(arena, "start_worker", lambda *_: _begin(made, f"{prefix}-worker-0"))
    monkeypatch.setattr(arena, "arena_nonce", lambda _folder: "ab" * 16)
    return made


def _end(engine: Engine, name: str) -> None:
    engine.found = [one for one in engine.found if one.name != name]


def _begin(engine: Engine, name: str) -> None:
    _end(engine, name)
    engine.found.append(Container(name, "worker"))


def still(engine: Engine) -> Any:
    site: Any = SimpleNamespace(client=engine, lab="ab12", container_name=lambda name: f"netpoll-lab-ab12-{name}")
    return arena.standstill(LAB, site, CONTROL)


AT_WORK = {"netpoll-lab-ab12-arena": "running", "c-epoll": "running", "c-threads": "running", "worker-0": "running"}


def test_it_is_paused_meanwhile_and_runs_again_afterwards(engine: Engine) -> None:
    """Servers paused, the worker gone, the holder at work; then all as before."""
    with still(engine):
        meanwhile = engine.statuses()

    assert {"netpoll-lab-ab12-arena": "running", "c-epoll": "paused", "c-threads": "paused"} == meanwhile
    assert AT_WORK == engine.statuses()
    assert ["label arena"] == engine.asked


def test_what_a_killed_run_left_bars_no_other(engine: Engine) -> None:
    """Paused servers are not paused twice, which the engine refuses, and the worker that it took comes back."""
    _end(engine, "netpoll-lab-ab12-arena-worker-0")
    for one in engine.found[1:]:
        one.status = "paused"
    with still(engine):
        meanwhile = engine.statuses()

    assert {"paused"} == {meanwhile["c-epoll"], meanwhile["c-threads"]}
    assert AT_WORK == engine.statuses()


def test_a_killed_runs_swarm_is_stopped_and_a_persons_is_not(engine: Engine) -> None:
    """Only the arena's own worker can be a person's; those of a run went with it, and Locust still waits for them."""
    engine.state = replace(engine.state, state="running", workers={"c0ffee-t003-worker-0": "running"})
    with still(engine):
        pass
    engine.state = replace(engine.state, workers={"arena-worker-0": "running"})
    with pytest.raises(EnvironmentMissing, match="a swarm started in the web UI"), still(engine):
        pass

    assert ["stop", "label arena"] == engine.asked
    assert AT_WORK == engine.statuses()


@pytest.mark.parametrize("trouble", ["master", "engine"])
def test_one_that_cannot_be_stilled_is_left_at_work(engine: Engine, trouble: str) -> None:
    """What had been taken away or paused by then comes back."""
    engine.forgets = trouble != "master"
    engine.found[2].is_broken = trouble == "engine"
    with pytest.raises((NotReady, APIError)), still(engine):
        pass

    assert AT_WORK == engine.statuses()


def test_a_server_that_ends_meanwhile_keeps_nobody_paused(engine: Engine) -> None:
    """It cannot be woken; the others can."""
    with still(engine):
        engine.found[1].dies_on_waking = True

    assert {"c-epoll": "exited", "c-threads": "running"}.items() <= engine.statuses().items()
