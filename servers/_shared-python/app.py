"""What all Python servers do alike: count, tell /stats, answer whatever needs no waiting."""

import errno
import gc
import json
import os
import threading
from collections import Counter
from typing import Any

from shared.config import Config
from shared.http1 import Request
from shared.reply import USUAL, Route, render, render_hello

ACCEPT_BACKOFF_S = 0.1  # after EMFILE: long enough not to spin, short beside a client's patience
INPUT_MAX = 96 * 1024  # the longest request and room for pipelined ones; beyond, a waiting client is not read
HEAD_TIMEOUT_S, BODY_TIMEOUT_S, SEND_TIMEOUT_S = 10.0, 30.0, 30.0
LINGER_S = 2.0


class App:
    lines: bytes  # Server and Date; renewed at least each second

    def __init__(self, variant: str) -> None:
        self.variant = variant
        self.config = Config()
        self.connections: set[Any] = set()
        self.held: set[Any] = set()  # of these: in /hold
        self.accepted = self.requests = 0
        self.errors: Counter[str] = Counter()
        self.lock = threading.Lock()  # errors, the spare descriptor
        self.lag_s: float | None = None  # how late the event loop ran its last tick
        self.is_draining = False
        self.nonce_line = f"Lab-Nonce: {self.config.nonce}\r\n".encode() if self.config.nonce else b""
        self.spare_fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def release(self) -> int:
        """Answer all who wait in /hold; return how many."""
        raise NotImplementedError

    # ---- counting ----------------------------------------------------------------------------------

    def count_error(self, error: OSError) -> None:
        with self.lock:
            self.errors[errno.errorcode.get(error.errno or 0, str(error.errno))] += 1

    def count_requests(self) -> int:
        return self.requests

    def count_entries(self, folder: str) -> int | None:
        with self.lock:  # the descriptor given up must not be given up twice
            os.close(self.spare_fd)  # reading a folder takes a descriptor, and at EMFILE there is no other
            try:
                with os.scandir(folder) as entries:
                    return sum(1 for _ in entries)
            except OSError:
                return None  # never 0: it was not counted
            finally:
                self.spare_fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def stats(self) -> bytes:
        return json.dumps(
            {
                "variant": self.variant,
                "accepted": self.accepted,
                "active": len(self.connections),
                "requests": self.count_requests(),
                "held": len(self.held),
                "instance": self.config.instance,
                "errors": self.errors,
                "open_fds": self.count_entries("/proc/self/fd"),
                "threads": self.count_entries("/proc/self/task"),
                "loop_lag_s": None if self.lag_s is None else round(self.lag_s, 6),
                "gc_cycles": sum(generation["collections"] for generation in gc.get_stats()),
            }
        ).encode()

    # ---- answering ---------------------------------------------------------------------------------

    def answer(self, r: Request, route: Route, body: bytes, *, keep_alive: bool) -> bytes:
        """The reply to any route, for /delay and /hold the one after the wait."""
        lines = self.lines
        if route in (USUAL, "plain", "hold") or isinstance(route, float):
            return render_hello(lines, r, keep_alive=keep_alive)
        if isinstance(route, int):
            return render(lines, route, r, keep_alive=keep_alive)
        if route == "echo":
            return render(lines, 200, r, body, b"application/octet-stream", keep_alive=keep_alive)
        if route == "healthz":
            return render(lines + self.nonce_line, 200, r, b"ok\n", keep_alive=keep_alive)
        text = self.stats() if route == "stats" else b'{"released": %d}' % self.release()
        return render(lines, 200, r, text, b"application/json", keep_alive=keep_alive)
