"""What the benchmark reads from outside: the kernel's files, a frozen process, what Locust printed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from bench.throughput import read_entries
from bench.truth import freeze, is_stopped
from bench.witness import available_bytes, read_sockets, rss_bytes

CHILD_BYTES = 32_000_000


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    text = f"import time; kept = bytearray(b'1' * {CHILD_BYTES}); print('ready', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.stdout.close()
    process.kill()
    process.wait()


def test_a_frozen_process_stands_still_for_as_long_as_is_said(child: subprocess.Popen[bytes]) -> None:
    """Stopped when told, going on afterwards, and the two instants lie as far apart as the stall was."""
    sent: list[signal.Signals] = []
    states: list[bool] = []

    def send(number: signal.Signals) -> None:
        states.append(is_stopped(child.pid))
        sent.append(number)
        os.kill(child.pid, number)

    before_s = time.monotonic()
    stall = freeze(0.05, child.pid, send)

    assert [signal.SIGSTOP, signal.SIGCONT] == sent
    assert [False, True] == states
    assert not is_stopped(child.pid)
    assert before_s <= stall.began_s <= stall.ended_s - 0.05 + 0.005  # an instant is half-way of what it took


def test_a_process_goes_on_even_when_freezing_it_fails(child: subprocess.Popen[bytes]) -> None:
    """Nothing stays frozen: the server's teardown would hang on it."""

    def send(number: signal.Signals) -> None:
        os.kill(child.pid, number)
        if number == signal.SIGSTOP:
            raise PermissionError

    with pytest.raises(PermissionError):
        freeze(0.05, child.pid, send)

    assert not is_stopped(child.pid)


def test_both_ends_of_a_connection_are_counted() -> None:
    """Two sockets for each connection, which is why the witness halves the kernel's count."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        crowd = 500  # far above what anybody else opens or closes meanwhile
        before = read_sockets(os.getpid())
        clients, ends = [], []
        for _ in range(crowd):
            clients.append(socket.create_connection(server.getsockname()))
            ends.append(server.accept()[0])
        during = read_sockets(os.getpid())
        for each in (*clients, *ends):
            each.close()

    assert abs(during - before - 2 * crowd) < crowd


def test_memory_is_that_of_the_process_and_its_children(child: subprocess.Popen[bytes]) -> None:
    """A worker that forks cannot hide what its children take."""
    own = rss_bytes(os.getpid())

    assert own > rss_bytes(child.pid) > CHILD_BYTES
    assert available_bytes() > 0


def test_arrays_of_several_processes_are_read_from_one_output() -> None:
    """Locust's worker prints an empty array of its own beside its master's."""
    output = '[]\n[\n  {"name": "/plain", "num_failures": 3}\n]\n'

    assert [{"name": "/plain", "num_failures": 3}] == read_entries(output)
    assert [] == read_entries("no answer at all")
