"""What the load phase tells the swarm, waits for and brings back, and what breaks it off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.containers.launch import Running
from orchestrator.errors import Lost
from orchestrator.model import Scenario
from orchestrator.offer import phase
from tests.unit.load_played import CLOSED, HOLD, OPEN, POD, RELEASE, WORKERS, Clock, Exporter, Swarm, clock, run

__all__ = ["clock"]  # pytest finds the fixture by this name


def test_engine_users_are_one_for_each_worker_with_its_share(clock: Clock) -> None:
    """The window begins after settling and warm-up and is as long as the scenario measures."""
    swarm = Swarm(clock)
    load = run(clock, CLOSED, swarm)

    assert [
        ("label", "r", "plain"),
        ("window", "t0", 3.0, 6.0),
        ("start", 2, 2, "plain", ["c-epoll"], 0),
        ("stop",),
    ] == swarm.orders
    assert (6.0, 80_000_000) == (load.window_s, load.generator_memory_bytes)
    assert (3.0, 9.0) == (load.first.at_s - 1000.0 if load.first else None, load.last.at_s - 1000.0)
    assert [(3.0, ("netpoll-lab", "window", "r", "x", "c-epoll"))] == swarm.marks.began
    assert [9.0] == swarm.marks.ended


def test_locust_users_are_one_for_each_connection(clock: Clock) -> None:
    """As many users as the scenario has connections, and no word of connections per user."""
    swarm = Swarm(clock)
    run(clock, CLOSED, swarm, users="locust")

    assert ("start", 50, 50, "plain", ["c-epoll"]) in swarm.orders


def test_many_locust_users_are_begun_at_a_rate_that_leaves_workers_their_heartbeat(clock: Clock) -> None:
    """All at once, 100,000 silence their workers for so long that Locust ends the test."""
    swarm = Swarm(clock, lambda since_s: {"answered": 100_000} if since_s > 1.0 else {})
    run(clock, replace(HOLD, connections=100_000), swarm, users="locust")

    assert ("start", 100_000, 10_000, "hold", ["c-epoll"]) in swarm.orders


def test_an_open_load_goes_on_until_every_planned_arrival_has_its_outcome(clock: Clock) -> None:
    """Stopping at the window's end would turn what is under way into missing answers; closed loops stop there."""
    swarm = Swarm(clock)
    swarm.closed_after_s = 15.0
    stopped_s: list[float] = []
    swarm.stop = lambda: stopped_s.append(clock.now_s - 1000.0)  # type: ignore[method-assign]
    load = run(clock, OPEN, swarm)

    assert stopped_s[0] >= 15.0
    assert dict.fromkeys(WORKERS, True) == load.window.workers_closed
    assert 1 == len(swarm.read)


def test_parts_that_do_not_come_are_waited_for_until_a_deadline(clock: Clock) -> None:
    """What is there by then is read, once and whole; the trial judges it."""
    swarm = Swarm(clock)
    swarm.closed_after_s = 10.0**6
    load = run(clock, CLOSED, swarm)

    assert (dict.fromkeys(WORKERS, False), 1) == (load.window.workers_closed, len(swarm.read))


def test_a_worker_that_ends_breaks_the_trial_off_within_seconds(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine says so long before Locust does; the text has the container and its exit code."""
    swarm = Swarm(clock)

    def fallen(_client: Any, _lab: str, containers: list[Running]) -> list[Running]:
        assert [*POD.workers, POD.holder] == containers
        return [POD.workers[1]] if clock.now_s > 1005.0 else []

    monkeypatch.setattr(phase, "fallen", fallen)
    monkeypatch.setattr(phase, "ended", lambda _client, one: f"{one.name} ended during the trial with exit code 137")
    with pytest.raises(Lost, match=r"^t0-worker-1 ended during the trial with exit code 137; the trial was broken off"):
        run(clock, CLOSED, swarm)

    assert clock.now_s < 1007.0
    assert ("stop",) in swarm.orders


@pytest.mark.parametrize(("silent_s", "is_lost"), [(3.0, False), (60.0, True)])
def test_a_worker_that_hangs_is_lost_and_one_that_is_late_is_not(clock: Clock, silent_s: float, is_lost: bool) -> None:
    """Locust calls a busy worker missing until its next heartbeat."""

    def tell(since_s: float) -> dict[str, Any]:
        is_silent = 1.0 < since_s < 1.0 + silent_s
        return {"workers": {WORKERS[0]: "missing" if is_silent else "running", WORKERS[1]: "running"}}

    if not is_lost:
        run(clock, CLOSED, Swarm(clock, tell))
        return
    with pytest.raises(Lost, match="1 of 2 workers have been silent"):
        run(clock, CLOSED, Swarm(clock, tell))


@pytest.mark.parametrize("scenario", [CLOSED, OPEN, HOLD, RELEASE], ids=["closed", "open", "hold", "release"])
def test_a_load_that_ends_by_itself_breaks_the_trial_off_within_seconds(clock: Clock, scenario: Scenario) -> None:
    """Locust ends a test when its last worker is silent; what the load before this one left is no end of this one."""

    def tell(since_s: float) -> dict[str, Any]:
        return {"state": "stopped" if since_s < 0.6 else "running" if since_s < 3.0 else "stopped"}

    with pytest.raises(Lost, match=r"^Locust's master says stopped though nobody told it to stop; the trial"):
        run(clock, scenario, Swarm(clock, tell))

    assert clock.now_s < 1005.0


def test_what_kept_the_load_from_beginning_is_brought_back(clock: Clock) -> None:
    """A refusal comes before the window opens; Locust's own count has it. With answers nobody asks for it."""
    swarm = Swarm(clock)
    assert () == run(clock, CLOSED, swarm).complaints
    swarm.answered = 0

    assert ("target refused: c-epoll at 127.0.0.1:8080: nothing listens there",) == run(clock, CLOSED, swarm).complaints


def test_a_runtime_is_asked_before_the_window_and_never_in_it(clock: Clock) -> None:
    """Once, under load, between the order to start and the reading that begins the window."""
    swarm, exporter = Swarm(clock), Exporter(clock)
    run(clock, CLOSED, swarm, exporter)

    assert swarm.started_s is not None
    _, first_s, _ = exporter.read_s
    assert 1 == len(exporter.asked_s)
    assert swarm.started_s < exporter.asked_s[0] < first_s


def test_a_runtime_behind_its_wall_is_not_asked(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who accepts nobody would leave the question in its queue, and a place in it taken."""
    exporter = Exporter(clock)
    monkeypatch.setattr(phase.Phase, "can_ask_servers", False)
    run(clock, CLOSED, Swarm(clock), exporter)

    assert [] == exporter.asked_s
