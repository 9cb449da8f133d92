"""Master, exporter and engine as the load phase meets them, played by the test.

Time is the test's own: `Clock` moves when the code under test sleeps.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orchestrator import offer as offering
from orchestrator.containers.launch import Running
from orchestrator.load.master import Ramp, Row, SwarmState, Window
from orchestrator.model import Ramp as Stairs
from orchestrator.model import Scenario, TrialSpec
from orchestrator.observe.exporter_client import Reading
from orchestrator.observe.marks import Mark, Marks
from orchestrator.offer import asked, phase, timed
from orchestrator.offer import hold as holding
from orchestrator.offer import ramp as ramping
from orchestrator.pod import Pod

WORKERS = ("t0-worker-0", "t0-worker-1")
POD = Pod("t0", Running("h", "holder", 1), (Running("s", "server", 2),), tuple(Running(w, w, 3) for w in WORKERS))
CLOSED = Scenario("plain", "", "closed", "/plain", 50, 0.0, 2.0, 6.0, 10.0)
HOLD = Scenario("hold", "", "hold", "/delay", 100, 5.0, 0.0, 0.0, 10.0)
RELEASE = replace(HOLD, path="/hold", delay_s=0.0, answer="release")
OPEN = replace(CLOSED, kind="open", rate_per_s=1000.0)
SPEC = TrialSpec(0, 0, "c-epoll", "x", "closed", "default", 1, 2, "", users="engine")


class Clock:
    """Monotonic seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += max(seconds, 0.001)


class Noted(Marks):
    """Marks by the test's clock: when each began and ended, since its start."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(None, clock.monotonic)
        self.began: list[tuple[float, tuple[str, ...]]] = []
        self.ended: list[float] = []

    def begin(self, text: str, tags: Sequence[str]) -> Mark:
        mark = super().begin(text, tags)
        self.began.append((mark.since_s - 1000.0, mark.tags))
        return mark

    def end(self, mark: Mark) -> None:
        self.ended.append(self._clock() - 1000.0)


class Swarm:
    """The master: `tell` says what the swarm's connections are at a time since the start."""

    def __init__(self, clock: Clock, tell: Callable[[float], dict[str, Any]] = lambda _: {}) -> None:
        self.clock, self.tell = clock, tell
        self.orders: list[Any] = []
        self.read: list[str] = []  # the windows that were read whole
        self.started_s: float | None = None
        self.ramps: list[Ramp] = []
        self.closed_after_s = 0.0
        self.answered = 1
        self.marks = Noted(clock)

    def state(self) -> SwarmState:
        since_s = -1.0 if self.started_s is None else self.clock.now_s - self.started_s
        told = {"workers": dict.fromkeys(WORKERS, "running"), "established": 0, "answered": 0, "failed": 0}
        return SwarmState(self.clock.now_s + 5000.0, user_count=2, **{"state": "running", **told, **self.tell(since_s)})

    def label(self, *words: str) -> None:
        self.orders.append(("label", *words))

    def open_window(self, name: str, start_s: float, end_s: float) -> None:
        self.orders.append(("window", name, start_s - self.clock.now_s - 5000.0, end_s - start_s))

    def start(self, *form: Any) -> None:
        self.started_s = self.clock.now_s
        self.orders.append(("start", *form))

    def stop(self) -> None:
        self.orders.append(("stop",))

    def read_window(self, name: str) -> Window:
        self.read.append(name)
        errors = {"ECONNREFUSED in connect": 9} if name == "ramp-2" else {}
        row = Row("c-epoll", "/plain", self.answered, {10: 1} if self.answered else {}, errors, 1)
        return Window(dict.fromkeys(WORKERS, self._is_closed()), {}, (row,), {}, dict.fromkeys(WORKERS, 40000000))

    def count_parts(self, name: str) -> int:
        return len(WORKERS) if self._is_closed() else 0

    def _is_closed(self) -> bool:
        return self.clock.now_s - (self.started_s or 0.0) >= self.closed_after_s

    def complaints(self) -> list[str]:
        return ["target refused: c-epoll at 127.0.0.1:8080: nothing listens there"]

    def read_ramp(self) -> Ramp:
        return self.ramps.pop(0) if len(self.ramps) > 1 else self.ramps[0]


class Exporter:
    """Readings with `sockets(now)` TCP sockets."""

    def __init__(self, clock: Clock, sockets: Callable[[], float] = lambda: 4.0) -> None:
        self.clock, self.sockets = clock, sockets
        self.asked_s: list[float] = []
        self.read_s: list[float] = []

    def ask_stats(self, name: str) -> None:
        self.asked_s.append(self.clock.now_s)

    def read(self, name: str) -> Reading:
        self.read_s.append(self.clock.now_s)
        return Reading(self.clock.now_s, {"tcp_sockets": self.sockets()}, {}, {}, {})


class Bench:
    """What a trial has at hand, with nothing real behind it."""

    def __init__(self, scenario: Scenario, master: Swarm, exporter: Exporter) -> None:
        variant = type(
            "V",
            (),
            {
                "speaks": "http",
                "has_contract_routes": True,
                "port": 8080,
                "connections_most": None,
                "lacks": (),
                "tells_runtime": True,
            },
        )
        self.lab = type("L", (), {"scenarios": {"x": scenario}, "variants": {"c-epoll": variant}})
        self.site = type("S", (), {"client": None, "lab": "0"})
        self.master, self.exporter, self.run_id = master, exporter, "r"
        self.locustfile = None
        self.marks = master.marks


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    for module in (phase, timed, holding, ramping):
        monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr(phase, "fallen", lambda *_: [])
    monkeypatch.setattr(asked, "run_inside", lambda *_: (0, answer(100)))
    yield made


def answer(active: int, released: int = 0) -> str:
    told = {"instances": {"0": {"active": active + 1, "held": 0}}, "released": released, "missing": [], "error": ""}
    return json.dumps(told)


def run(clock: Clock, scenario: Scenario, swarm: Swarm, exporter: Exporter | None = None, **spec: Any) -> offering.Load:
    bench: Any = Bench(scenario, swarm, exporter or Exporter(clock))
    load = offering.offer(bench, replace(SPEC, **spec), POD)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "_stop_quietly" in thread.name:
            thread.join()
    return load


STAIRS = Stairs("connections", 50.0, 200.0, 2.0, 3.0, 1.0, 0.01, 0.1)
RAMP = replace(CLOSED, kind="ramp", warmup_s=0.0, measure_s=0.0, ramp=STAIRS)
