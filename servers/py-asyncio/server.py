#!/usr/bin/python3
"""py-asyncio: the standard library's event loop, with a Protocol and a parser by hand.

One thread, one epoll instance inside asyncio's selector loop. A Protocol rather than streams: streams give each
connection a task, which the loop must schedule again after every wait; a Protocol is called with the bytes as soon as
they are read, and answers in the same turn. What waits is a timer of the loop.

Needs: Linux 2.6.28, Python 3.11. Leaves out: a second core (start several with LAB_REUSEPORT=1), TLS, uvloop.
By hand: LAB_PORT=8080 python3 server.py & curl -i 'http://127.0.0.1:8080/delay?ms=500'
"""

import asyncio
import contextlib
import errno
import gc
import ipaddress
import json
import os
import re
import signal
import socket
import sys
import threading
from collections import Counter
from email.utils import formatdate
from pathlib import Path

from connection import Connection

VARIANT = "py-asyncio"
ACCEPT_BACKOFF_S = 0.1  # after EMFILE: long enough not to spin, short beside a client's patience
ACCEPTS_MAX = 64  # per turn: a burst of new clients must not starve those already here
LAG_INTERVAL_S = 0.1

# ---- configuration ---------------------------------------------------------------------------------


def refuse(name: str, expected: str) -> None:
    print(f"{name}: expected {expected}, got {os.environ[name]!r}", file=sys.stderr)
    sys.exit(2)


def read_number(name: str, fallback: float, least: float, most: float, form: str = r"\d{1,9}") -> float:
    text = os.environ.get(name, str(fallback))
    if not re.fullmatch(form, text, re.ASCII) or not least <= float(text) <= most:
        refuse(name, f"a number from {least} to {most}")
    return float(text)


class Config:
    def __init__(self) -> None:
        self.host = os.environ.get("LAB_HOST", "0.0.0.0")
        try:
            ipaddress.IPv4Address(self.host)
        except ValueError:
            refuse("LAB_HOST", "an IPv4 address")
        self.port = int(read_number("LAB_PORT", 8080, 1, 65535))
        self.backlog = int(read_number("LAB_BACKLOG", 4096, 1, 1 << 20))
        self.drain_s = read_number("LAB_DRAIN_S", 5, 0, 3600, r"\d{1,4}(\.\d{1,6})?")
        self.reuseport = read_number("LAB_REUSEPORT", 0, 0, 1) == 1
        self.nonce = os.environ.get("LAB_NONCE")
        if self.nonce is not None and not re.fullmatch("[0-9a-f]{16,64}", self.nonce):
            refuse("LAB_NONCE", "16 to 64 hex digits in lower case")
        self.instance = int(read_number("LAB_INSTANCE", 0, 0, 9999)) if "LAB_INSTANCE" in os.environ else None


def listen(config: Config) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only on sockets that know they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if config.reuseport:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((config.host, config.port))
    listener.listen(config.backlog)
    return listener


# ---- the server: accepting, counting, stopping --------------------------------------------------------


class Server:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.connections: set[Connection] = set()
        self.held: set[Connection] = set()  # in /hold
        self.accepted = self.requests = 0
        self.errors: Counter[str] = Counter()
        self.lag_s = 0.0
        self.is_draining = False
        self.name_and_date = b""
        self.nonce_line = f"Lab-Nonce: {config.nonce}\r\n".encode() if config.nonce else b""
        self.spare_fd = os.open("/dev/null", os.O_RDONLY)
        self.starting: set[asyncio.Task] = set()  # accepted, transport not made yet; the loop itself holds tasks weakly

    def count_error(self, error: OSError) -> None:
        self.errors[errno.errorcode.get(error.errno, str(error.errno))] += 1

    def count_descriptors(self) -> int | None:
        os.close(self.spare_fd)  # reading the folder takes a descriptor, and at EMFILE there is no other
        try:
            return len(list(Path("/proc/self/fd").iterdir()))
        except OSError:
            return None  # never 0: it was not counted
        finally:
            self.spare_fd = os.open("/dev/null", os.O_RDONLY)

    def stats(self) -> bytes:
        gc_runs = sum(generation["collections"] for generation in gc.get_stats())
        return json.dumps(
            {
                "variant": VARIANT,
                "accepted": self.accepted,
                "active": len(self.connections),
                "requests": self.requests,
                "held": len(self.held),
                "instance": self.config.instance,
                "errors": self.errors,
                "open_fds": self.count_descriptors(),
                "threads": threading.active_count(),
                "loop_lag_s": round(self.lag_s, 6),
                "gc_cycles": gc_runs,
            }
        ).encode()

    def tick(self, due_s: float) -> None:
        """Measures how late the loop runs its timers, and renews the date."""
        now_s = self.loop.time()
        self.lag_s = max(0.0, now_s - due_s)
        self.name_and_date = f"Server: {VARIANT}\r\nDate: {formatdate(usegmt=True)}\r\n".encode()
        self.loop.call_at(now_s + LAG_INTERVAL_S, self.tick, now_s + LAG_INTERVAL_S)

    def accept_some(self, most: int = ACCEPTS_MAX) -> None:
        # Not loop.create_server(): at EMFILE that tries `backlog` times in a row before it backs off, and counts none.
        for _ in range(most):
            try:
                client, _ = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError as error:
                self.count_error(error)  # that one client left; the next may still be there
                continue
            except OSError as error:  # EMFILE, ENFILE, ENOBUFS, ENOMEM
                self.count_error(error)
                self.loop.remove_reader(self.listener)
                self.loop.call_later(ACCEPT_BACKOFF_S, self.accept_again)
                return
            self.accepted += 1
            client.setblocking(False)
            made = self.loop.connect_accepted_socket(lambda: Connection(self), client)  # sets TCP_NODELAY too
            task = self.loop.create_task(made)
            self.starting.add(task)
            task.add_done_callback(self.starting.discard)

    def accept_again(self) -> None:
        if not self.is_draining:
            self.loop.add_reader(self.listener, self.accept_some)

    async def drain(self) -> None:
        """Takes in who is queued, closes the listener and every idle connection. The rest may finish."""
        self.is_draining = True
        self.loop.remove_reader(self.listener)
        self.accept_some(1 << 20)  # closing the listener would reset them
        self.loop.remove_reader(self.listener)  # an error above may have planned to go on
        self.listener.close()
        if self.starting:
            await asyncio.wait(self.starting)
        await asyncio.sleep(0.01)  # one round of the loop, so that a request that has just come is read and served
        for connection in list(self.connections):
            if connection.is_idle():
                connection.transport.close()
        if self.connections:
            await self.stopped.wait()

    async def run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, stop.set)
        self.listener = listen(self.config)
        self.tick(self.loop.time())
        self.loop.add_reader(self.listener, self.accept_some)
        c = self.config
        print(f"{VARIANT}: listening on {c.host}:{c.port}, backlog {c.backlog}", file=sys.stderr)
        await stop.wait()
        with contextlib.suppress(TimeoutError):  # whoever is left has had LAB_DRAIN_S
            await asyncio.wait_for(self.drain(), self.config.drain_s)


if __name__ == "__main__":
    try:
        asyncio.run(Server(Config()).run())
    except OSError as error:
        print(f"{VARIANT}: cannot listen: {error}", file=sys.stderr)
        sys.exit(1)
