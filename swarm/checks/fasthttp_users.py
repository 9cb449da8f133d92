"""FastHttpUsers that ask for /plain of LAB_TARGET (http://address:port), with the keep-alive fix.

    LAB_TARGET=http://127.0.0.1:8080 locust -f /opt/lab/swarm/checks/fasthttp_users.py --headless -u 1600 -r 400 -t 10

A server that counts accepts must count one per user.
"""

from __future__ import annotations

import os

from locust import FastHttpUser, constant, task

import swarm.fasthttp  # noqa: F401 - the fix under test


class PlainUser(FastHttpUser):
    """One keep-alive connection, one request a second."""

    host = os.environ.get("LAB_TARGET", "http://127.0.0.1:8080")
    wait_time = constant(1)

    @task
    def ask(self) -> None:
        self.client.get("/plain")
