"""What one user does until it is stopped: the closed loop and the hold loop.

Both run in the user's own greenlet and end only by being killed; what is open then is closed, and a hold exchange
that nobody will see the end of is counted as unanswered.
"""

from __future__ import annotations

import random
import time

import gevent

from swarm.choice import path_of
from swarm.client import Connection, Failed
from swarm.http1 import render_get
from swarm.kinds import UNANSWERED
from swarm.recorder import Recorder
from swarm.row import Row
from swarm.settings import Scenario, Target

LEAST_PAUSE_S, MOST_PAUSE_S = 0.01, 1.0  # after an error, doubling: a dead server must not make the swarm spin
FOREVER_S = 10.0**6

_now_ns = time.monotonic_ns


def find_row(recorder: Recorder, scenario: Scenario, target: Target) -> Row:
    """Return the row this scenario fills for this target."""
    holds = scenario.kind == "hold"
    if target.speaks == "raw":
        return recorder.row(target.variant, "raw", "raw", holds=holds)
    name = path_of(scenario, target).partition("?")[0]
    return recorder.row(target.variant, name, "GET", holds=holds, body_bytes=len(target.body))


def live(recorder: Recorder, scenario: Scenario, target: Target, *, once: bool) -> None:
    """Be one user of `target`; never returns."""
    row = find_row(recorder, scenario, target)
    row.users += 1
    try:
        if scenario.kind == "closed":
            _ask_again_and_again(recorder, row, scenario, target)
        else:
            _hold(recorder, row, scenario, target, once=once)
    finally:
        row.users -= 1


def _ask_again_and_again(recorder: Recorder, row: Row, scenario: Scenario, target: Target) -> None:
    """One keep-alive connection; the next request leaves as soon as the answer is in.

    Latency: from just before the send to the last byte.
    """
    connection = Connection(target, row, render_get(path_of(scenario, target), target.host, target.port))
    patience_s, answer, ask = scenario.patience_s, recorder.answer, connection.ask
    pause_s = 0.0
    try:
        while True:
            begun_ns = _now_ns()
            try:
                if not connection.is_open:
                    connection.open(patience_s)
                while connection.is_open:
                    connection.started_ns = begun_ns = _now_ns()
                    answer(row, begun_ns, ask(patience_s))
                    pause_s = 0.0
            except Failed as failure:
                recorder.error(row, str(failure), begun_ns, _now_ns())
                pause_s = _longer(pause_s)
                gevent.sleep(pause_s * random.uniform(0.5, 1.0))
    finally:
        connection.close()


def _hold(recorder: Recorder, row: Row, scenario: Scenario, target: Target, *, once: bool) -> None:
    """One connection per exchange: open, send, wait out the delay, check the answer, close.

    Latency: from just before the connect to the last byte, so that a slow accept shows.
    """
    connection = Connection(target, row, render_get(path_of(scenario, target), target.host, target.port))
    exchange = connection.echo if target.speaks == "raw" else connection.ask
    pause_s = 0.0
    while True:
        begun_ns = _now_ns()
        connection.started_ns = begun_ns
        try:
            connection.open(scenario.patience_s)
            recorder.answer(row, begun_ns, exchange(scenario.patience_s))
            pause_s = 0.0
        except Failed as failure:
            recorder.error(row, str(failure), begun_ns, _now_ns())
            pause_s = _longer(pause_s)
        except gevent.GreenletExit:
            if once:
                recorder.error(row, UNANSWERED, begun_ns, _now_ns())
            raise
        finally:
            connection.close()
        if once:
            gevent.sleep(FOREVER_S)
        elif pause_s:
            gevent.sleep(pause_s * random.uniform(0.5, 1.0))


def _longer(pause_s: float) -> float:
    return min(MOST_PAUSE_S, pause_s * 2 or LEAST_PAUSE_S)
