"""Real Locust processes against one server: both kinds of users count the same, and every kind of load adds up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.processes.lab import RAMP, Lab, quantile_us, row_of, wait_for

SCENARIOS: dict[str, Any] = {
    f"{kind}-{users}": {
        "kind": kind, "path": path, "delay_s": delay_s, "users": users, "connections": 90, "timeout_s": 10,
    }
    for users in ("locust", "engine")
    for kind, path, delay_s in (("closed", "/plain", 0.0), ("hold", "/delay", 1.5))
}  # fmt: skip


@pytest.fixture(scope="module")
def trial(c_epoll: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A swarm as a trial has it: once, two workers with a share each."""
    with Lab(tmp_path_factory.mktemp("trial"), c_epoll, SCENARIOS, once=True) as lab:
        lab.start_swarm(2)
        yield lab


def users_of(kind: str) -> tuple[int, int]:
    """Return how a trial starts 90 connections: users, connections per user."""
    return (2, 0) if kind == "engine" else (90, 1)


def test_a_hold_is_the_same_with_either_kind_of_user(trial: Lab) -> None:
    """90 connections opened, 90 requests, 90 right answers, no error, by the server too; the latency agrees."""
    seen = {}
    for kind in ("locust", "engine"):
        before = trial.server_stats()
        assert before is not None
        trial.open_window(f"hold-{kind}", 0.0, 600.0)
        assert trial.start(f"hold-{kind}", *users_of(kind))["success"]
        wait_for("all are held at once", lambda: trial.connections()["established"] == 90)
        wait_for("all are answered", lambda: trial.connections()["answered"] == 90)
        trial.stop()
        row, after = row_of(trial.wait_window(f"hold-{kind}")), trial.server_stats()
        assert after is not None
        counted = (row["answered"], row["connections_opened"], row["sent"], row["errors"], row["unanswered"])
        # Asking for /stats is a connection and a request itself, and so is each worker's look at the nonce.
        server = (after["accepted"] - before["accepted"] - 3, after["requests"] - before["requests"] - 3)
        seen[kind] = (counted, server, quantile_us(row["histogram_us"], 0.5))

    for kind in seen:
        assert ((90, 90, 90, {}, 0), (90, 90)) == seen[kind][:2], kind
    assert 1 / 2 < seen["engine"][2] / seen["locust"][2] < 2


def test_a_closed_loop_is_the_same_with_either_kind_of_user(trial: Lab) -> None:
    """90 connections, each request sent was received, no error; medians within an order of magnitude."""
    seen = {}
    for kind in ("locust", "engine"):
        before = trial.server_stats()
        assert before is not None
        trial.open_window(f"closed-{kind}", 1.0, 1.5)
        assert trial.start(f"closed-{kind}", *users_of(kind))["success"]
        row = row_of(trial.wait_window(f"closed-{kind}"))
        trial.stop()
        sent = trial.connections()["sent"]
        wait_for("the server has let go of all", lambda: (trial.server_stats() or {}).get("active") == 1)
        after = trial.server_stats()
        assert after is not None
        assert {} == row["errors"]
        assert row["answered"] > 100
        assert 90 == row["connections_opened"]
        # What was under way at the stop may have been read by the server or not: 90 connections had one each. The
        # waits above and the question before are requests too, so the server's own count is an upper bound.
        received = after["requests"] - before["requests"]
        assert sent - 90 <= received
        seen[kind] = quantile_us(row["histogram_us"], 0.5)

    assert 1 / 20 < seen["engine"] / seen["locust"] < 20


ARENA: dict[str, Any] = {
    "open": {"kind": "open", "users": "engine", "connections": 40, "rate_per_s": 400, "timeout_s": 5},
    "poisson": {"kind": "open", "users": "engine", "connections": 40, "rate_per_s": 400, "arrivals": "poisson"},
    "narrow": {
        "kind": "open", "path": "/delay", "delay_s": 0.5, "users": "engine", "connections": 2, "rate_per_s": 40,
        "timeout_s": 0.5,
    },
    "storm": {"kind": "storm", "users": "engine", "connections": 60, "every_s": 0.5},
    "release": {"kind": "hold", "path": "/hold", "answer": "release", "users": "engine"},
    "release-py": {"kind": "hold", "path": "/hold", "answer": "release", "users": "locust"},
    "ramp": {
        "kind": "ramp", "path": "/delay", "delay_s": 0.05, "users": "engine", "connections": 2,
        "ramp": RAMP | {"first": 8, "last": 72, "factor": 3},
    },
    "loops": {
        "kind": "ramp", "users": "engine", "connections": 9,
        "path": "/delay", "delay_s": 0.1, "ramp": RAMP | {"of": "connections", "first": 3, "last": 9, "factor": 1.5},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def arena(c_epoll: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A swarm as `lab up` leaves it, but with two workers."""
    with Lab(tmp_path_factory.mktemp("arena"), c_epoll, ARENA) as lab:
        lab.start_swarm(2)
        yield lab


@pytest.mark.parametrize(("scenario", "slack"), [("open", 2), ("poisson", 260)])
def test_every_planned_arrival_has_an_outcome(arena: Lab, scenario: str, slack: int) -> None:
    """400/s for 2 s over two workers are 800 arrivals (Poisson: within nine sigma), answered, each with a lag."""
    arena.open_window(f"w-{scenario}", 1.0, 2.0)
    assert arena.start(scenario, 4, 10)["success"]
    row = row_of(arena.wait_window(f"w-{scenario}"))
    arena.stop()

    assert abs(800 - row["planned"]) <= slack
    assert {} == row["errors"]
    assert row["planned"] == row["sent"] + row["dropped"] == row["answered"] + row["dropped"]
    assert row["sent"] == sum(row["lag_us"].values())


def test_arrivals_that_find_no_connection_are_dropped(arena: Lab) -> None:
    """Two connections answered after 0.5 s serve 4/s of 40/s; the others wait out their patience and are dropped."""
    arena.open_window("w-narrow", 0.5, 2.0)
    assert arena.start("narrow", 2, 1)["success"]
    row = row_of(arena.wait_window("w-narrow"))
    arena.stop()
    failures = arena.get("/stats/requests")["errors"]

    assert row["dropped"] > row["answered"] > 0
    assert row["planned"] == row["sent"] + row["dropped"]
    assert row["sent"] == row["answered"] + sum(row["errors"].values())
    assert ["dropped: no connection was free in time"] == [entry["error"] for entry in failures]


def test_storm_bursts_are_together_and_add_up(arena: Lab) -> None:
    """Every half second 2 x 30 connects: four bursts in two seconds, one exchange and one connection each."""
    assert arena.start("storm", 2, 30)["success"]
    wait_for("both users have sent a burst", lambda: arena.connections()["planned"] >= 4 * 30)
    arena.open_window("w-storm", 0.3, 2.0)
    row = row_of(arena.wait_window("w-storm"))
    arena.stop()

    assert (240, 240, 0, {}) == (row["planned"], row["answered"], row["dropped"], row["errors"])


@pytest.mark.parametrize(("scenario", "users", "per_user"), [("release", 2, 20), ("release-py", 40, 1)])
def test_the_arena_releases_its_holds(arena: Lab, scenario: str, users: int, per_user: int) -> None:
    """Nobody else would; each release answers all forty, and the next round begins."""
    arena.open_window(f"w-{scenario}", 0.0, 60.0)
    assert arena.start(scenario, users, per_user)["success"]
    wait_for("two rounds are answered", lambda: arena.connections()["answered"] >= 80)
    wait_for("all are open again", lambda: arena.connections()["established"] == 40)
    failed = arena.connections()["failed"]
    arena.stop()

    assert 0 == failed


def test_a_ramp_of_the_rate_finds_where_latency_binds(arena: Lab) -> None:
    """Two connections with 50 ms answers serve 40/s: 24/s holds, 72/s queues up, and the test stops by itself."""
    assert arena.start("ramp", 2, 1)["success"]
    ramp = wait_for("the ramp ends", lambda: (seen := arena.get("/lab/ramp")) and not seen["running"] and seen)
    arena.wait_ready(2)

    assert ([8, 24, 72], ["", "", "latency"]) == (
        [step["offered"] for step in ramp["steps"]],
        [step["binds"] for step in ramp["steps"]],
    )
    assert (24, "latency") == (ramp["breaking_point"], ramp["bound_by"])
    assert "closed" in arena.get(f"/lab/window/{ramp['windows'][-1]}")


def test_a_ramp_of_connections_opens_more_until_its_last_step(arena: Lab) -> None:
    """3, 5, 8 and 9 loops with 100 ms answers: nothing binds."""
    assert arena.start("loops", 2, 1)["success"]
    ramp = wait_for("the ramp ends", lambda: (seen := arena.get("/lab/ramp")) and not seen["running"] and seen)
    arena.wait_ready(2)

    assert ([3, 5, 8, 9], [3, 5, 8, 9]) == (
        [step["offered"] for step in ramp["steps"]],
        [step["established"] for step in ramp["steps"]],
    )
    assert (9, "nothing up to 9") == (ramp["breaking_point"], ramp["bound_by"])
