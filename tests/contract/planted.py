"""A small server that keeps servers/CONTRACT.md, with at most one planted defect: what the contract suite is judged by.

A task per connection (conversation.py). `self.planted == "id"` makes the one mistake that the check of that id is there
to find; the defects in reading requests are in reading.py. Started by alone.py, told by Settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from tests.contract.conversation import Connection

REST_S = 0.1


@dataclass(frozen=True, slots=True)
class Settings:
    """planted: the id of the check that is to fail, "" for none."""

    port: int
    planted: str = ""
    variant: str = "planted"
    nonce: str = "a1" * 16
    backlog: int = 200
    drain_s: float = 3.0
    head_timeout_s: float = 2.0
    body_timeout_s: float = 3.5
    linger_s: float = 0.8


class Server:
    def __init__(self, settings: Settings):
        self.settings, self.planted = settings, settings.planted
        self.accepted = self.active = self.held = self.requests = 0
        self.errors: Counter[str] = Counter()
        self.waiting: list[asyncio.Event] = []
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.is_draining = False
        self.begun = formatdate(usegmt=True)
        self.short_bodies: dict[int, bytes] = {}
        self.last_body = b""
        self.leaked: list[int] = []
        self.spare_fd = os.open("/dev/null", os.O_RDONLY)

    def count_descriptors(self) -> int:
        os.close(self.spare_fd)
        try:
            return len(list(Path("/proc/self/fd").iterdir()))
        finally:
            self.spare_fd = os.open("/dev/null", os.O_RDONLY)

    def stats(self) -> bytes:
        threads: object = threading.active_count()
        return json.dumps(
            {
                "variant": self.settings.variant, "instance": None, "accepted": self.accepted, "active": self.active,
                "held": self.held, "requests": self.requests, "errors": self.errors,
                "open_fds": self.count_descriptors(), "threads": str(threads) if self.planted == "stats" else threads,
                "goroutines": 7 if self.planted == "stats-runtime" else len(self.tasks), "gc_cycles": 0,
                "gc_pause_s": 0.0, "sched_latency_p99_s": 0.0,
            }
        ).encode()  # fmt: skip

    def take_in(self, client: socket.socket) -> None:
        self.accepted += 1
        self.active += 1
        if self.accepted % 100 == 0 and self.planted == "descriptors-back":
            self.leaked.append(os.open("/dev/null", os.O_RDONLY))
        if self.accepted % 100 == 0 and self.planted == "threads-back":
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, client)
        self.connections.add(connection)
        task = asyncio.create_task(connection.serve())
        connection.task = task
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError as error:
                if self.planted != "emfile-counted":
                    self.errors[errno.errorcode[error.errno or 0]] += 1
                if self.planted == "emfile-survived":
                    return
                rest_end_s = time.monotonic() + REST_S
                while time.monotonic() < rest_end_s and self.planted == "emfile-no-spin":
                    await asyncio.sleep(0)
                await asyncio.sleep(max(0.0, rest_end_s - time.monotonic()))
            else:
                self.take_in(client)

    async def run(self) -> None:
        settings, stop = self.settings, asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        listener = socket.create_server(("127.0.0.1", settings.port))
        listener.listen(settings.backlog + (1 if self.planted == "backlog" else 0))
        listener.setblocking(False)
        accepting = asyncio.create_task(self.accept(listener))
        await stop.wait()
        self.is_draining = True
        if self.planted != "drain-listener":
            accepting.cancel()
            with contextlib.suppress(OSError):
                while True:
                    self.take_in(listener.accept()[0])
            listener.close()
        await asyncio.sleep(0.02)  # what has just come is read
        for connection in list(self.connections):
            must_end = connection.is_idle and self.planted != "drain-idle"
            if connection.task and (must_end or (connection.in_body and self.planted == "drain-body")):
                connection.task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=60 if self.planted == "drain-exit" else settings.drain_s)
        os._exit(0)  # whoever is left has had LAB_DRAIN_S
