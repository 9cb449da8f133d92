"""The engine's library as it is, and servers to put before it: what the tests of the engine stand on."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cffi

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "swarm" / "engine"
BODY = b"Hello, world!"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + BODY
CLOSED, OPEN, HOLD, STORM = range(4)
SOCKET, CONNECT, SEND, FIRST_BYTE, IN_BODY, CLOSE = range(6)
TIMEOUT, ENDED, MALFORMED, LENGTH, WRONG_BODY, UNANSWERED, STATUS = 5000, 5001, 5002, 5003, 5004, 5005, 6000
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST
Serve = Callable[[socket.socket], None]


class Loose:
    """The library as it is: numbers in, numbers out."""

    def __init__(self, library: Path):
        self.ffi = cffi.FFI()
        self.ffi.cdef(re.sub(r"^#.*$", "", (ENGINE / "engine.h").read_text(), flags=re.MULTILINE))
        lib: Any = self.ffi.dlopen(str(library))
        made: Any = self.ffi.new("struct engine **")
        assert 0 == lib.engine_start(made)
        self.lib, self.engine = lib, made[0]
        self._kept: list[Any] = []

    def row(self, *, by_start: bool = False) -> int:
        return int(self.lib.engine_add_row(self.engine, by_start))

    def group(self, row: int, kind: int, port: int, connections: int, **changes: Any) -> int:
        """Begin a group; what is not said is a patient client of one source address that compares every body."""
        told: dict[str, Any] = {
            "row": row, "kind": kind, "host": b"127.0.0.1", "port": port, "connections": connections, "sample": 1,
            "request": b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", "body": BODY, "patience_ns": 10**10, "once": 0,
            "sources": b"127.64.0.1 127.64.0.2", "first_ns": time.monotonic_ns() + 10**7, "every_ns": 10**9, "seed": 1,
        } | changes  # fmt: skip
        struct_: Any = self.ffi.new("struct engine_group *")
        for key in ("request", "body", "sources"):
            buffer = self.ffi.new("char[]", told[key])
            self._kept.append(buffer)
            setattr(struct_, key, buffer)
        struct_.request_len, struct_.body_len = len(told["request"]), len(told["body"])
        for key in told.keys() - {"request", "body", "sources"}:
            setattr(struct_, key, told[key])
        return int(self.lib.engine_add_group(self.engine, struct_))

    def counts(self, row: int) -> dict[str, int]:
        counts = self.ffi.new("struct engine_counts *")
        self.lib.engine_counts(self.engine, row, counts)
        return {key: int(getattr(counts, key)) for key in dir(counts)}

    def take(self, row: int) -> dict[str, Any]:
        return self._record(self.lib.engine_take(self.engine, row))

    def scored(self, row: int) -> dict[str, Any]:
        return self._record(self.lib.engine_scored(self.engine, row))

    def window(self, start_ns: int, end_ns: int) -> None:
        self.lib.engine_window(self.engine, start_ns, end_ns)

    def end(self, group: int, *, count_unanswered: bool = False) -> None:
        assert 0 == self.lib.engine_end_group(self.engine, group, count_unanswered)

    def _record(self, record: Any) -> dict[str, Any]:
        assert record != self.ffi.NULL
        read: dict[str, Any] = {
            key: {int(cell.key): int(cell.count) for cell in (getattr(record, key)[0 : getattr(record, f"{key}_len")])}
            for key in ("answered", "failed", "lag", "errors")
        }
        read["errors"] = {(key >> 16, key & 0xFFFF): count for key, count in read["errors"].items()}
        for key in ("planned", "sent", "late", "dropped", "unanswered", "oldest_ns"):
            read[key] = int(getattr(record, key))
        self.lib.engine_record_free(record)
        return read


def answering(*answers: bytes, pause_s: float = 0.0) -> Serve:
    """Return a server that gives these answers in turn, for ever, on a connection that stays open."""

    def serve(connection: socket.socket) -> None:
        turn = 0
        while connection.recv(4096):
            if pause_s:
                time.sleep(pause_s)
            connection.sendall(answers[turn % len(answers)])
            turn += 1

    return serve


def saying(*pieces: bytes, reset: bool = False) -> Serve:
    """Return a server that reads one request, says these pieces one by one, and closes (or resets)."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.005)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    return serve


def silence(connection: socket.socket) -> None:
    """Never answer; leave when the client does."""
    while connection.recv(4096):
        pass


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "it did not come to pass"
        time.sleep(0.005)
