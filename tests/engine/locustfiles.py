"""Locustfiles of a person's own: one that keeps to its target, and one that does not."""

from __future__ import annotations

from pathlib import Path

OWN = """
from locust import FastHttpUser, constant_throughput, task
from swarm import EngineUser


class Crowd(EngineUser):
    fixed_count = 1
    connections = 40
    path = "/delay"
    delay_s = 0.05


class Mine(FastHttpUser):
    wait_time = constant_throughput(20)

    @task(3)
    def plain(self):
        self.client.get("/plain")

    @task
    def slow(self):
        self.client.get("/delay?ms=10", name="/delay")
"""
FOREIGN = """
from locust import FastHttpUser, constant_throughput, task


class Abroad(FastHttpUser):
    wait_time = constant_throughput(20)

    @task
    def plain(self):
        self.client.get("/plain")

    @task
    def abroad(self):
        self.client.get("http://192.0.2.1/plain", name="abroad")
"""


def write(folder: Path, text: str) -> str:
    (folder / "mine.py").write_text(text)
    return str(folder / "mine.py")
