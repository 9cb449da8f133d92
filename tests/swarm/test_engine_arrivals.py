"""When the engine opens and sends, and which window it counts in: every arrival that was planned has one outcome."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from tests.swarm.loose import (
    ANSWER,
    CLOSED,
    FIRST_BYTE,
    HOLD,
    OPEN,
    STORM,
    UNANSWERED,
    Loose,
    Serve,
    answering,
    eventually,
    silence,
)


def test_open_arrivals_are_all_accounted_for(engine: Loose, server: Callable[[Serve], int]) -> None:
    """planned = sent + dropped, sent = answered + failed, and the plan is the rate times the window."""
    row = engine.row()
    start_ns = time.monotonic_ns() + 50 * 10**6
    engine.window(start_ns, start_ns + 10**9)
    port = server(answering(ANSWER))
    engine.group(row, OPEN, port, 8, rate_per_s=500.0, first_ns=start_ns)
    eventually(lambda: time.monotonic_ns() > start_ns + 10**9 and engine.scored(row)["unanswered"] == 0)
    scored = engine.scored(row)
    assert 500 == scored["planned"]
    assert 500 == scored["sent"] + scored["dropped"]
    assert scored["sent"] == sum(scored["answered"].values()) == sum(scored["lag"].values())
    assert ({}, 0) == (scored["errors"], scored["dropped"])


def test_open_latency_runs_from_the_plan_through_a_stall(engine: Loose, server: Callable[[Serve], int]) -> None:
    """One connection and a server that takes 100 ms, asked 100 times a second: waiting for the connection counts."""
    row = engine.row()
    start_ns = time.monotonic_ns() + 20 * 10**6
    engine.window(start_ns, start_ns + 10**9)
    engine.group(row, OPEN, server(answering(ANSWER, pause_s=0.1)), 1, rate_per_s=100.0, first_ns=start_ns,
                 patience_ns=400 * 10**6)  # fmt: skip
    eventually(lambda: time.monotonic_ns() > start_ns + 10**9 and engine.scored(row)["unanswered"] == 0)
    scored = engine.scored(row)
    answered = sum(scored["answered"].values())
    assert 100 == scored["planned"] == answered + scored["dropped"] + sum(scored["errors"].values())
    assert scored["dropped"] > answered, "most arrivals find no connection within their patience"
    assert scored["late"] >= answered - 1
    assert max(scored["answered"]) >= 300_000, "some waited nearly all their patience before they were sent"


def test_poisson_arrivals_have_the_rate_and_the_spread(engine: Loose, server: Callable[[Serve], int]) -> None:
    """About 2,000 in two seconds (five standard deviations), and not evenly spaced."""
    row = engine.row()
    start_ns = time.monotonic_ns() + 20 * 10**6
    engine.window(start_ns, start_ns + 2 * 10**9)
    engine.group(row, OPEN, server(answering(ANSWER)), 64, rate_per_s=1000.0, first_ns=start_ns, arrivals=1, seed=7)
    eventually(lambda: time.monotonic_ns() > start_ns + 2 * 10**9 and engine.scored(row)["unanswered"] == 0)
    assert 2000 - 224 < engine.scored(row)["planned"] < 2000 + 224
    assert 2000 != engine.scored(row)["planned"]


def test_a_hold_is_answered_once_each_or_counted_as_missing(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Ended in the middle: answered and unanswered together are what was asked for."""
    waiting = threading.Barrier(21)

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        if waiting.wait(20) % 2:
            connection.sendall(ANSWER)
        silence(connection)

    row = engine.row(by_start=True)
    engine.window(time.monotonic_ns(), time.monotonic_ns() + 60 * 10**9)
    group = engine.group(row, HOLD, server(serve), 20, once=1, opening=3)
    eventually(lambda: engine.counts(row)["waiting"] == 20)
    assert (20, 20) == (engine.counts(row)["established"], engine.scored(row)["unanswered"])
    own = waiting.wait(20) % 2  # the test is one of the 21 who draw a number
    eventually(lambda: engine.counts(row)["answered"] == 10 - own)
    engine.end(group, count_unanswered=True)
    scored = engine.scored(row)
    assert {(FIRST_BYTE, UNANSWERED): 10 + own} == scored["errors"]
    assert 10 - own == sum(scored["answered"].values())
    eventually(lambda: engine.counts(row)["established"] == 0)


def test_first_connects_are_spread_at_the_rate_asked_for(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Never more than the rate allows by now, and all in the end; later connects are not held back."""
    row = engine.row()
    begun_s = time.monotonic()
    engine.group(row, CLOSED, server(answering(ANSWER, pause_s=0.05)), 100, opens_per_s=200.0)
    seen: list[tuple[int, float]] = []

    def are_all_open() -> bool:
        opened = engine.counts(row)["opened"]
        seen.append((opened, time.monotonic() - begun_s))
        return opened >= 100

    eventually(are_all_open)
    assert [] == [(opened, at_s) for opened, at_s in seen if opened > at_s * 200 + 1]
    assert len({opened for opened, _ in seen}) > 10


def test_storm_bursts_are_accounted_for(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Three bursts of 50 in a window, each connection asks once, on a connection of its own."""
    row = engine.row()
    start_ns = time.monotonic_ns() + 20 * 10**6
    engine.window(start_ns, start_ns + 3 * 200 * 10**6)
    engine.group(row, STORM, server(answering(ANSWER)), 50, every_ns=200 * 10**6, first_ns=start_ns)
    eventually(lambda: time.monotonic_ns() > start_ns + 600 * 10**6 and engine.scored(row)["unanswered"] == 0)
    scored = engine.scored(row)
    assert 150 == scored["planned"] == scored["sent"] + scored["dropped"]
    assert scored["sent"] == sum(scored["answered"].values()) + sum(scored["errors"].values())
    assert engine.counts(row)["opened"] >= scored["sent"]


def test_a_window_scores_what_completes_in_it(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Closed: nothing before, nothing after; a new window begins at nothing."""
    row = engine.row()
    engine.group(row, CLOSED, server(answering(ANSWER, pause_s=0.01)), 2)
    eventually(lambda: engine.counts(row)["answered"] > 10)
    start_ns = time.monotonic_ns() + 50 * 10**6
    engine.window(start_ns, start_ns + 300 * 10**6)
    assert 0 == sum(engine.scored(row)["answered"].values())
    eventually(lambda: time.monotonic_ns() > start_ns + 300 * 10**6)
    first = engine.scored(row)
    time.sleep(0.1)
    assert first["answered"] == engine.scored(row)["answered"]
    assert 0 < sum(first["answered"].values()) <= 62, "two clients, 10 ms each, 0.3 s"
    assert engine.counts(row)["answered"] > sum(first["answered"].values())


def test_groups_whose_rates_change_stay_interleaved(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Told at different moments, two groups of 10/s are half a period apart: near one's plan is none of the other's."""
    port, period_ns = server(answering(ANSWER)), 10**8
    rows = [engine.row(), engine.row()]
    groups = [engine.group(row, OPEN, port, 4, rate_per_s=7.0) for row in rows]
    for number, group in enumerate(groups):
        eventually(lambda row=rows[number]: engine.counts(row)["answered"] > 0)  # type: ignore[misc]
        assert 0 == engine.lib.engine_change_group(engine.engine, group, 10.0, number / 2, -1)
    for number in range(2):
        start_ns = (time.monotonic_ns() // period_ns + 2) * period_ns + period_ns // 4 + number * period_ns // 2
        end_ns = start_ns + period_ns // 2
        engine.window(start_ns, end_ns)
        eventually(lambda: all(engine.counts(row)["planned"] > 8 for row in rows))  # the window's end is long past
        assert time.monotonic_ns() > end_ns

        assert [number, 1 - number] == [engine.scored(row)["planned"] for row in rows]
