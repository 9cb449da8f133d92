"""The probe window: after the scored one, at the probes' own instants, and never at the trial's cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.offer import phase, probed
from orchestrator.offer.phase import Load
from tests.unit.load_played import CLOSED, HOLD, OPEN, Bench, Clock, Swarm, clock, run
from tests.unit.test_probed import AFTER, BEFORE

__all__ = ["clock"]  # pytest finds the fixture by this name


class Service:
    """The probes' service as the engine reaches it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[tuple[str, str]] = []
        self.told: dict[str, Any] = {}
        self.rung = "ebpf"
        self.ready_after_s = 0.3
        self.late_s = 0.001
        self.refuses = ""

    def inside(self, _client: Any, container: str, command: list[str]) -> tuple[int, str]:
        assert (["python3", "-m", "service.ask"], "probes") == (command[:3], container)
        method, path = command[3:5]
        self.asked.append((method, path))
        if self.refuses:
            return 1, json.dumps({"error": self.refuses})
        if method == "PUT":
            self.told = json.loads(command[5])
            self.clock.sleep(self.ready_after_s)
            ready_s = self.clock.now_s + 5000.0
            marks = [ready_s + in_s for in_s in self.told["marks_in_s"]] if self.rung != "taskstats" else []
            self.marks = marks
            refused = {} if self.rung == "ebpf" else {"ebpf": "no BTF"}
            return 0, json.dumps({"rung": self.rung, "refused": refused, "missing": {}, "marks_s": marks})
        due = [
            {**counts, "due_s": due_s, "at_s": due_s + self.late_s}
            for due_s, counts in zip(self.marks, (BEFORE, AFTER), strict=True)
        ]
        return 0, json.dumps({"marks": due})


@pytest.fixture
def service(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    made = Service(clock)
    monkeypatch.setattr(probed, "time", clock)
    monkeypatch.setattr(Bench, "control", type("C", (), {"probes": "probes"}), raising=False)
    monkeypatch.setattr(probed, "run_inside", made.inside)
    yield made


def offered(clock: Clock, swarm: Swarm, scenario: Any = CLOSED, **spec: Any) -> Load:
    return run(clock, scenario, swarm, **{"probe_s": 2.0, **spec})


@pytest.mark.parametrize("scenario", [CLOSED, OPEN])
def test_the_probes_have_a_window_of_their_own_after_the_scored_one(
    clock: Clock,
    service: Service,
    scenario: Any,
) -> None:
    """Both windows in this order, the second as long as asked for, and the swarm stops after it only."""
    swarm = Swarm(clock)
    load = offered(clock, swarm, scenario)
    windows = [order for order in swarm.orders if order[0] == "window"]

    assert [("window", "t0", 3.0, 6.0), "t0-probe"] == [windows[0], windows[1][1]]
    assert pytest.approx(2.0) == windows[1][3]
    assert ("stop",) == swarm.orders[-1]
    assert load.probe is not None
    assert ("ebpf", 1) == (load.probe.rung, load.probe.answered)
    assert pytest.approx(2.0) == load.probe.window_s
    assert 301.0 == load.probe.figures["syscalls_per_request"]
    assert [("PUT", "/targets/t0"), ("POST", "/finish/t0")] == service.asked
    assert ([2], 1) == (service.told["pids"], service.told["net"])


def test_nothing_that_is_scored_is_read_once_the_probes_are_on(clock: Clock, service: Service) -> None:
    """The last reading is that of the scored window's end, before the service is even asked."""
    load = offered(clock, Swarm(clock))

    assert 9.0 == load.last.at_s - 1000.0
    assert load.window_s == 6.0


def test_without_a_wish_there_is_no_probe_window(clock: Clock, service: Service) -> None:
    """The service is not asked, and the swarm stops where it always did."""
    swarm = Swarm(clock)
    load = offered(clock, swarm, probe_s=0.0)

    assert load.probe is None
    assert [] == service.asked


def test_a_hold_is_not_probed(clock: Clock, service: Service) -> None:
    """Its load ends with the last answer: there is nothing more to probe."""
    swarm = Swarm(clock, lambda since_s: {"answered": 100} if since_s > 5 else {"established": 100})

    assert offered(clock, swarm, HOLD).probe is None


def test_on_the_last_rung_the_window_is_still_held_and_the_exporter_read(
    clock: Clock,
    service: Service,
) -> None:
    """Answers per second are known; what only a probe counts is missing with the reason."""
    service.rung = "taskstats"
    load = offered(clock, Swarm(clock))

    assert load.probe is not None
    assert ("taskstats", {"ebpf": "no BTF"}) == (load.probe.rung, load.probe.refused)
    assert pytest.approx(0.5) == load.probe.figures["answers_per_s"]
    assert "no BTF" in load.probe.missing["syscalls_per_request"]
    assert [("PUT", "/targets/t0")] == service.asked


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"refuses": "the service is broken"}, "the service is broken"),
        ({"late_s": 0.2}, "200 ms late"),
    ],
)
def test_a_probe_that_fails_is_a_reason_and_no_void(
    clock: Clock,
    service: Service,
    change: dict[str, Any],
    why: str,
) -> None:
    """The scored figures stand; nothing of the probe becomes a number."""
    for name, value in change.items():
        setattr(service, name, value)
    load = offered(clock, Swarm(clock))

    assert load.probe is not None
    assert "" == load.probe.rung
    assert {} == load.probe.figures
    assert all(why in reason for reason in load.probe.missing.values())
    assert 1 == sum(row.answered for row in load.window.rows)


def test_a_worker_that_goes_in_the_probe_window_does_not_void_the_trial(
    clock: Clock,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By then everything scored has been handed in."""
    swarm = Swarm(clock)
    begun: list[float] = []
    inside = service.inside

    def note(*words: Any) -> tuple[int, str]:
        begun.append(clock.now_s)
        return inside(*words)

    monkeypatch.setattr(probed, "run_inside", note)
    monkeypatch.setattr(phase, "fallen", lambda *_: ["t0-worker-0"] if begun else [])
    monkeypatch.setattr(phase, "ended", lambda *_: "t0-worker-0 ended during the trial with exit code 137")
    load = offered(clock, swarm)

    assert load.probe is not None
    assert "exit code 137" in load.probe.missing["syscalls_per_request"]
