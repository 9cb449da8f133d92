"""What the master tells, as docs/architecture.md gives it, becomes values: the swarm's state, windows, a ramp."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import NotReady
from orchestrator.load.master import Ramp, Row, SwarmState, Window
from orchestrator.model import Step
from tests.unit.fake_master import ROW, FakeMaster, fake, state, window

__all__ = ["fake"]  # pytest finds the fixture by this name


def test_a_state_is_read_value_for_value(fake: FakeMaster) -> None:
    """Connections being opened are nobody's yet, so they are not kept."""
    seen = state(
        {"w0": "running", "w1": "missing"},
        "running",
        user_count=70,
        connections={"connecting": 9, "established": 50, "answered": 7, "failed": 4},
    )

    assert (
        SwarmState(
            123.4,
            "running",
            70,
            {"w0": "running", "w1": "missing"},
            established=50,
            answered=7,
            failed=4,
            worker_cpu_ratio={"w0": 0.1, "w1": 0.1},
        )
        == fake.told("GET /lab/state", seen).state()
    )


def test_a_state_has_when_connections_opened_and_what_workers_weigh(fake: FakeMaster) -> None:
    """Null where nothing was opened yet; a worker that did not say is left out, not 0."""
    told = state({"w0": "running", "w1": "running"})
    told["workers"][0] |= {"memory_bytes": 52_000_000, "cpu_ratio": None, "engine_cpu_ratio": 0.3}
    told["connections"] |= {"waiting": 3, "planned": 9, "sent": 8, "first_connect_s": 12.5, "last_established_s": None}
    seen = fake.told("GET /lab/state", told).state()

    assert (3, 9, 8, 12.5, None) == (
        seen.waiting, seen.planned, seen.sent, seen.first_connect_s, seen.last_established_s,
    )  # fmt: skip
    assert {"w0": 52_000_000} == seen.memory_bytes
    assert ({"w1": 0.1}, {"w0": 0.3}) == (seen.worker_cpu_ratio, seen.engine_cpu_ratio)


def test_workers_are_ready_once_all_others_are_gone_and_the_master_rests(fake: FakeMaster) -> None:
    """A stranger, one that is not ready, one too few and a swarm still running are each waited out."""
    states = [
        state({"t1-0": "ready", "t1-1": "ready", "t0-0": "ready"}),
        state({"t1-0": "ready", "t1-1": "spawning"}),
        state({"t1-0": "ready"}),
        state({"t1-0": "ready", "t1-1": "ready", "t1-2": "ready"}),
        state({"t1-0": "ready", "t1-1": "ready"}, "stopping"),
        state({"t1-0": "ready", "t1-1": "ready"}, "stopped", monotonic_s=125.0),
    ]
    seen = fake.told("GET /lab/state", *states).wait_workers("t1-", 2, 10.0)

    assert (125.0, {"t1-0": "ready", "t1-1": "ready"}, 6) == (seen.monotonic_s, seen.workers, len(fake.asked))


def test_a_missing_stranger_does_not_keep_workers_from_being_ready(fake: FakeMaster) -> None:
    """Locust remembers a worker that died without a goodbye."""
    seen = fake.told("GET /lab/state", state({"t1-0": "ready", "t0-0": "missing"})).wait_workers("t1-", 1, 0.0)

    assert "ready" == seen.state


def test_workers_that_do_not_come_are_named_with_what_was_seen(fake: FakeMaster) -> None:
    """Who was expected, who is there, in which state the master is, and where to look."""
    master = fake.told("GET /lab/state", state({"t1-0": "ready", "t0-0": "running"}, "running"))
    with pytest.raises(NotReady) as caught:
        master.wait_workers("t1-", 2, 0.0)

    assert (
        "swarm: expected 2 ready workers t1-* at a master at rest, seen {'t1-0': 'ready', 't0-0': 'running'} and "
        "running after 0 s. Try: docker logs of the worker containers (lab status names them)"
    ) == str(caught.value)


def test_a_window_is_read_value_for_value(fake: FakeMaster) -> None:
    """Latencies become numbers again."""
    seen = fake.told("GET /lab/window/x", window([ROW], w0=True)).read_window("x")

    assert (
        Window(
            {"w0": True},
            {"w0": 0.97},
            (Row("c-epoll", "/plain", 1000, {312: 996, 4000: 4}, {"ECONNRESET in receive": 2}, 50),),
            {"w0": 0.91},
            {"w0": 40_000_000},
        )
        == seen
    )


def test_the_row_of_an_open_window_has_its_arrivals_and_their_lag(fake: FakeMaster) -> None:
    """What was planned, what became of it, and how late it left."""
    arrivals: dict[str, Any] = {"planned": 1010, "sent": 1005, "late": 7, "dropped": 5, "unanswered": 3}
    arrivals["lag_us"] = {"12": 998, "4000": 7}
    (row,) = fake.told("GET /lab/window/x", window([ROW | arrivals], w0=True)).read_window("x").rows

    assert (1010, 1005, 7, 5, 3) == (row.planned, row.sent, row.late, row.dropped, row.unanswered)
    assert {12: 998, 4000: 7} == row.lag_us


def test_a_ramp_is_read_step_for_step(fake: FakeMaster) -> None:
    """The steps as the model has them, what held last and what bound."""
    steps = [
        {"offered": 50.0, "answered_per_s": 900.5, "p50_s": 0.001, "p99_s": 0.002, "errors_ratio": 0.0,
         "established": 50, "generator_cpu_ratio": 0.2, "binds": ""},
        {"offered": 75.0, "answered_per_s": 10.0, "p50_s": None, "p99_s": None, "errors_ratio": 1.0,
         "established": 0, "generator_cpu_ratio": 0.1, "binds": "errors"},
    ]  # fmt: skip
    told = {"running": False, "steps": steps, "breaking_point": 50.0, "bound_by": "errors"}

    assert (
        Ramp(
            False,
            (
                Step(50.0, 900.5, 0.001, 0.002, 0.0, 50, 0.2, ""),
                Step(75.0, 10.0, None, None, 1.0, 0, 0.1, "errors"),
            ),
            50.0,
            "errors",
        )
        == fake.told("GET /lab/ramp", told).read_ramp()
    )


def test_a_step_that_is_not_whole_is_named(fake: FakeMaster) -> None:
    """An image of another version shows as one line, not as a traceback."""
    told = {"running": True, "steps": [{"offered": 50.0}], "breaking_point": None, "bound_by": ""}
    with pytest.raises(NotReady, match=r"a step of a ramp that is not whole: .*answered_per_s"):
        fake.told("GET /lab/ramp", told).read_ramp()


def test_an_unclosed_workers_cpu_is_left_out(fake: FakeMaster) -> None:
    """It has handed nothing in; it is not 0."""
    seen = fake.told("GET /lab/window/x", window(w0=True, w1=False)).read_window("x")

    assert ({"w0": True, "w1": False}, {"w0": 0.97}) == (seen.workers_closed, seen.worker_cpu_ratio)


def test_parts_are_counted_without_what_they_hold(fake: FakeMaster) -> None:
    """One that has not shown up yet counts like one that is not done."""
    windows = [window(), window(w0=True), window(w0=True, w1=False), window(w0=True, w1=True)]
    master = fake.told("GET /lab/window/x?rows=no", *windows)

    assert [0, 1, 1, 2] == [master.count_parts("x") for _ in windows]
