"""Calls and load do not wait for each other: neither for the interpreter's lock nor for many groups at once."""

from __future__ import annotations

import errno
import itertools
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from gevent import monkey

from tests.swarm.loose import ANSWER, CLOSED, OPEN, ROOT, STORM, Loose, Serve, answering, eventually

SERVER = """
import sys
from tests.swarm.moody import rightly, serve

with serve(rightly) as port:
    print(port, flush=True)
    sys.stdin.read()
"""


def test_answers_are_counted_while_python_holds_the_interpreter_lock(engine: Loose) -> None:
    """All of a window lies in one call that never gives the lock away: no Python ran in it, and the engine did."""
    stamps: list[int] = []
    is_over = False
    sleep: Any = monkey.get_original("time", "sleep")

    def witness() -> None:
        while not is_over:
            stamps.append(time.monotonic_ns())
            sleep(0.001)

    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        row = engine.row()
        group = engine.group(row, CLOSED, int(process.stdout.readline()), 8)
        eventually(lambda: engine.counts(row)["answered"] > 100)
        # A real thread: importing Locust, as other tests do, makes greenlets of the usual ones.
        monkey.get_original("_thread", "start_new_thread")(witness, ())
        for size in (10**7 << doubled for doubled in range(8)):
            start_ns = time.monotonic_ns() + 50 * 10**6
            end_ns = start_ns + 200 * 10**6
            engine.window(start_ns, end_ns)
            sum(range(size))
            done_ns = time.monotonic_ns()
            seen = [stamp for stamp in stamps if start_ns <= stamp < end_ns]
            if done_ns > end_ns and not seen:
                break
        is_over = True
        answered = sum(engine.scored(row)["answered"].values())
        engine.end(group)
        process.stdin.close()

    assert (True, []) == (done_ns > end_ns, seen), "the lock was never held that long"
    assert answered > 20


def test_groups_change_while_they_run(engine: Loose, server: Callable[[Serve], int]) -> None:
    """More connections, another rate; never fewer connections."""
    row, other = engine.row(), engine.row()
    port = server(answering(ANSWER, pause_s=0.002))
    closed = engine.group(row, CLOSED, port, 2)
    eventually(lambda: engine.counts(row)["established"] == 2)
    assert 0 == engine.lib.engine_change_group(engine.engine, closed, -1.0, 0.0, 7)
    eventually(lambda: engine.counts(row)["established"] == 7)
    assert -errno.EINVAL == engine.lib.engine_change_group(engine.engine, closed, -1.0, 0.0, 3)
    clocked = engine.group(other, OPEN, port, 4, rate_per_s=1.0)
    assert 0 == engine.lib.engine_change_group(engine.engine, clocked, 400.0, 0.0, -1)
    eventually(lambda: engine.counts(other)["answered"] > 100, within_s=5.0)
    assert -errno.EINVAL == engine.lib.engine_change_group(engine.engine, clocked, 400.0, 1.0, -1)
    assert -errno.ENOENT == engine.lib.engine_change_group(engine.engine, 99, 1.0, 0.0, -1)


def test_calls_are_answered_while_the_engine_is_flat_out(engine: Loose, server: Callable[[Serve], int]) -> None:
    """A call waits for an event's work, not for a pause in the load: 200 of them take less than the load's own time."""
    row = engine.row()
    engine.group(row, CLOSED, server(answering(ANSWER)), 100)
    eventually(lambda: engine.counts(row)["answered"] > 100)
    before, begun_s = engine.counts(row)["answered"], time.monotonic()
    for _ in range(200):
        engine.counts(row)
    assert time.monotonic() - begun_s < 10.0
    eventually(lambda: engine.counts(row)["answered"] > before)


def test_many_groups_due_at_once_keep_no_caller_waiting(engine: Loose) -> None:
    """Forty bursts planned for one instant: calls are answered between two groups' turns, not after all forty."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        row, port = engine.row(), listener.getsockname()[1]
        start_ns = time.monotonic_ns() + 300 * 10**6
        for _ in range(40):
            engine.group(row, STORM, port, 64, first_ns=start_ns, every_ns=3600 * 10**9)
        seen = [0]
        while seen[-1] < 40 * 64:
            seen.append(engine.counts(row)["opened"])
            assert time.monotonic_ns() < start_ns + 60 * 10**9, "the bursts were not opened"
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    between = sorted(later - sooner for sooner, later in itertools.pairwise(seen) if later > sooner)

    assert between[len(between) // 2] <= 2 * 64, between  # a turn of one group, or two where the caller was late
