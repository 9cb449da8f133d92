"""Locust's own kinds of users, as a person writes them on a first day: what the engine is compared with.

    locust -f users.py Fast --headless --processes 1 -u 50 -r 50 --run-time 8s

The status is checked by Locust itself; nothing else is.
"""

from __future__ import annotations

from locust import FastHttpUser, HttpUser, task

import swarm.fasthttp  # noqa: F401 - keep-alive beyond 1,000 sockets, as in the lab's own locustfile

TARGET = "http://127.0.0.1:8080"


class Fast(FastHttpUser):
    """The faster of the two."""

    host = TARGET

    @task
    def ask(self) -> None:
        self.client.get("/plain")


class Ordinary(HttpUser):
    """The one that every tutorial begins with."""

    host = TARGET

    @task
    def ask(self) -> None:
        self.client.get("/plain")
