"""What dies under a running swarm: the server, the master, a worker's patience. Real processes, killed by pid."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engine.processes.lab import HOST, NONCE, Lab, row_of, wait_for

# locust 2.47, runners.py: HEARTBEAT_INTERVAL, and HEARTBEAT_LIVENESS of them until a worker that is silent is missing.
HEARTBEAT_S = 1.0
SILENCE_S = 3 * HEARTBEAT_S
SCENARIOS = {
    "engine": {"kind": "closed", "users": "engine", "connections": 40, "timeout_s": 1},
    "py": {"kind": "closed", "users": "locust", "timeout_s": 1},
    "hold": {"kind": "hold", "path": "/delay", "delay_s": 60, "users": "engine", "connections": 40, "timeout_s": 5},
}


@pytest.mark.parametrize("scenario", ["engine", "py"])
def test_a_server_that_dies_leaves_errors_by_kind(make_swarm: Any, c_epoll: Path, scenario: str) -> None:
    """kill -9 in the middle: open connections end, later ones are refused, nothing hangs, and the swarm stops."""
    lab: Lab = make_swarm(c_epoll, SCENARIOS)
    lab.start_swarm(1)
    lab.open_window("w", 0.0, 600.0)
    lab.start(scenario, 4, 10)
    wait_for("load runs", lambda: lab.connections()["answered"] > 1000)
    lab.kill("server")
    wait_for("the end is counted", lambda: lab.connections()["failed"] > 20)
    wait_for("nothing is open", lambda: lab.connections()["established"] == 0)
    lab.stop(1)
    errors = row_of(lab.wait_window("w"))["errors"]

    assert "ECONNREFUSED in connect" in errors
    ends = {"closed before the answer", "ECONNRESET in first byte", "ECONNRESET in send", "EPIPE in send"}
    assert set(errors) - {"ECONNREFUSED in connect", "ECONNRESET in connect"} <= ends, errors


@contextmanager
def garbage(answer: bytes) -> Iterator[int]:
    """Answer /healthz rightly and everything else with these bytes; gives the port."""
    healthz = f"HTTP/1.1 200 OK\r\nLab-Nonce: {NONCE}\r\nContent-Length: 2\r\n\r\nok".encode()

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while asked := connection.recv(4096):
                connection.sendall(healthz if b"/healthz" in asked else answer)

    def loop() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    with socket.create_server((HOST, 0), backlog=256) as listener:
        threading.Thread(target=loop, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"\x00\xff garbage\r\n\r\n", "malformed answer"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHello, world", "wrong length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello", "timeout in body"),
    ],
    ids=["garbage", "redirect", "length", "half"],
)
def test_a_server_that_answers_garbage_is_counted_alike_by_both(make_swarm: Any, answer: bytes, kind: str) -> None:
    """Both kinds of users use one word, and only this one."""
    with garbage(answer) as port:
        lab: Lab = make_swarm(None, SCENARIOS, port=port)
        lab.start_swarm(1)
        seen = {}
        for scenario in ("engine", "py"):
            lab.open_window(f"w-{scenario}", 0.0, 600.0)
            lab.start(scenario, 2, 2)
            wait_for("errors are counted", lambda: lab.connections()["failed"] > 3)
            lab.stop(1)
            row = row_of(lab.wait_window(f"w-{scenario}"))
            seen[scenario] = (row["answered"], list(row["errors"]))

    assert {"engine": (0, [kind]), "py": (0, [kind])} == seen


def test_workers_rejoin_a_restarted_master(make_swarm: Any, c_epoll: Path) -> None:
    """kill -9 the master under load, start it again on the same ports: both workers stop, are ready, and load again."""
    lab: Lab = make_swarm(c_epoll, SCENARIOS)
    lab.start_swarm(2)
    lab.start("engine", 2, 20)
    wait_for("load runs", lambda: lab.connections()["answered"] > 1000)
    lab.kill("master")
    lab.start_master()
    state = lab.wait_ready(2)
    wait_for("the old load has ended", lambda: lab.connections()["established"] == 0)
    stats = lab.server_stats()
    assert stats is not None
    lab.open_window("again", 0.0, 600.0)
    assert lab.start("engine", 2, 20)["success"]
    wait_for("load runs again", lambda: lab.connections()["answered"] > 1000)
    wait_for("on both workers", lambda: lab.connections()["established"] == 40)
    lab.stop(2)
    row = row_of(lab.wait_window("again"))

    assert {"w0", "w1"} == {worker["id"] for worker in state["workers"]}
    assert 1 == stats["active"]  # who asks
    assert (40, {}) == (row["connections_opened"], row["errors"])


def test_heartbeats_page_and_stop_are_prompt_while_the_engine_runs_flat_out(make_swarm: Any, c_epoll: Path) -> None:
    """No worker is missing or nearly so, reports go on, and page and stop take no longer than Locust's own patience."""
    lab: Lab = make_swarm(c_epoll, SCENARIOS)
    lab.start_swarm(2)
    lab.start("engine", 4, 25)
    wait_for("load runs", lambda: lab.connections()["answered"] > 1000)
    states: list[set[str]] = []
    counts, waits_s, lags_s = [], [], []
    end_s = time.monotonic() + 2 * SILENCE_S
    while time.monotonic() < end_s:
        begun_s = time.monotonic()
        state = lab.state()
        waits_s.append(time.monotonic() - begun_s)
        states.append({worker["state"] for worker in state["workers"]})
        counts.append(state["connections"]["answered"])
        known = [worker["loop_lag_s"] for worker in state["workers"] if worker["loop_lag_s"] is not None]
        lags_s += known  # None until a worker's first look at its loop
        time.sleep(0.5)
    page = lab.get("/stats/requests")
    begun_s = time.monotonic()
    lab.stop(2)
    stop_s = time.monotonic() - begun_s

    assert set().union(*states) <= {"spawning", "running"}
    assert sorted(set(counts)) == counts  # each look half a second later has seen more: no report was stuck
    assert 2 == len(known)
    assert max(lags_s) < HEARTBEAT_S  # whose loop is later than that sends a heartbeat late
    assert sorted(waits_s)[len(waits_s) // 2] < HEARTBEAT_S
    assert max(waits_s) < SILENCE_S
    assert stop_s < SILENCE_S + HEARTBEAT_S  # the master looks once a second whether all have stopped
    assert "Timeout waiting for all workers to stop" not in lab.log("master")
    assert 2 == page["worker_count"]
    assert 0 < page["stats"][0]["median_response_time"]


def test_a_stopped_worker_is_missed_and_a_continued_one_is_back(make_swarm: Any, c_epoll: Path) -> None:
    """SIGSTOP: the master says missing; SIGCONT: it counts again. The other worker goes on all the while."""
    lab: Lab = make_swarm(c_epoll, SCENARIOS)
    lab.start_swarm(2)
    lab.start("engine", 2, 10)
    wait_for("load runs", lambda: lab.connections()["answered"] > 1000)
    pid = lab.processes["w1"].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(
            "the stopped one is missed",
            lambda: {"w0": "running", "w1": "missing"} == {w["id"]: w["state"] for w in lab.state()["workers"]},
        )
        before = lab.connections()["answered"]
        wait_for("the other goes on", lambda: lab.connections()["answered"] > before + 1000)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for("it is back", lambda: {"running"} == {w["state"] for w in lab.state()["workers"]})
    lab.stop(2)
    wait_for("nothing is open", lambda: lab.connections()["established"] == 0)


def test_a_stop_ends_holds_at_once_and_counts_them_in_a_trial(make_swarm: Any, c_epoll: Path) -> None:
    """40 connections would wait a minute; stopped, they are closed and each is an exchange without an answer."""
    lab: Lab = make_swarm(c_epoll, SCENARIOS, once=True)
    lab.start_swarm(2)
    lab.open_window("w", 0.0, 600.0)
    lab.start("hold", 2, 0)
    wait_for("all are held", lambda: lab.connections()["waiting"] == 40)
    held = lab.state()["connections"]
    lab.stop(2)
    row = row_of(lab.wait_window("w"))

    assert held["first_connect_s"] < held["last_established_s"]
    assert ({"no answer before the end": 40}, 0) == (row["errors"], row["answered"])
    wait_for("the server has let go of all", lambda: (lab.server_stats() or {}).get("active") == 1)


def test_a_worker_without_the_engine_says_how_to_build_it(make_swarm: Any, c_epoll: Path) -> None:
    """One error, on the page and in the window; the worker lives on and serves Python users."""
    lab: Lab = make_swarm(c_epoll, SCENARIOS)
    lab.start_swarm(1, LAB_ENGINE="/nowhere/libengine.so")
    lab.open_window("w", 0.0, 600.0)
    lab.start("engine", 3, 2)
    wait_for("it is counted", lambda: lab.connections()["failed"])
    lab.stop(1)
    row = row_of(lab.wait_window("w"))
    ((kind, count),) = row["errors"].items()
    lab.start("py", 2)
    wait_for("Python users load", lambda: lab.connections()["answered"] > 100)

    assert kind.startswith("the load engine /nowhere/libengine.so is not there; build it: make -C swarm/engine")
    assert (1, 0) == (count, row["answered"])


def test_a_worker_that_was_told_to_go_stays_away(make_swarm: Any, c_epoll: Path) -> None:
    """SIGTERM under load: it is gone from the master's list at once, and nothing brings it back; the other goes on."""
    lab: Lab = make_swarm(c_epoll, SCENARIOS)
    lab.start_swarm(2)
    lab.start("engine", 2, 10)
    wait_for("load runs", lambda: lab.connections()["established"] == 20)
    lab.processes["w1"].terminate()
    lab.processes["w1"].wait(timeout=30)
    seen = []
    end_s = time.monotonic() + 4.0  # longer than it takes to ask a stranger in
    while time.monotonic() < end_s:
        seen.append(({worker["id"] for worker in lab.state()["workers"]}, lab.connections()["established"]))
        time.sleep(0.2)

    assert ({"w0"}, 20) == seen[-1]  # Locust gives the lost user to the one that stayed
    assert all(workers == {"w0"} for workers, _ in seen)
