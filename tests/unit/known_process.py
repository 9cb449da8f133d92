"""A real process of known behaviour, and how the tests of a reading ask for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.observe.exporter.look import Watched, watch
from orchestrator.observe.exporter.reading import Ledger, Reading, take
from orchestrator.observe.exporter.target import Container, Target
from orchestrator.observe.exporter.taskstats import Taskstats

ROOT = Path("/sys/fs/cgroup")
# 7 threads beside the first; one epoll instance watching 5 pipes; 100 sleeps; then it says so and waits.
KNOWN = """
import os, select, sys, threading, time
ends = [os.pipe() for _ in range(5)]
epoll = select.epoll()
for reader, _ in ends:
    epoll.register(reader, select.EPOLLIN)
stop = threading.Event()
threads = [threading.Thread(target=stop.wait) for _ in range(7)]
for thread in threads:
    thread.start()
for _ in range(100):
    time.sleep(0.001)
print(len(os.listdir("/proc/self/fd")) - 1, flush=True)
sys.stdin.readline()
stop.set()
for thread in threads:
    thread.join()
print("joined", flush=True)
sys.stdin.readline()
"""


class Known:
    """The process of known behaviour."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", KNOWN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.open_fds = int(self.hear())

    def hear(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def tell(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def watched(self) -> Watched:
        labels = {"run_id": "r", "scenario": "s", "variant": "known"}
        return watch(Target("known", labels, (Container("", self.process.pid),)), ROOT)


@pytest.fixture
def known() -> Iterator[Known]:
    known = Known()
    yield known
    known.process.kill()
    known.process.communicate()


def read(watched: Watched, ledger: Ledger | None = None, taskstats: Taskstats | None = None) -> Reading:
    return take(watched, taskstats or Taskstats(), ledger or Ledger(), fresh=True)


def number(reading: Reading, name: str) -> float:
    value = reading.values.get(name)
    assert isinstance(value, int | float), f"{name} is missing: {reading.missing.get(name)}"
    return value
