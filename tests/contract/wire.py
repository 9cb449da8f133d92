"""One client's bytes at the planted server: taken in, kept back, sent, discarded or reset, with the defects of that."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.contract.planted import Settings


class Gone(Exception):
    """The client has left, or was too slow."""


class Wire:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def __init__(self, sock: socket.socket, settings: Settings, planted: str):
        self.sock, self.settings, self.planted = sock, settings, planted
        self.data = bytearray()
        self.out = b""
        self.swapped = b""
        self.segments = 0  # of one byte, in a row

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(sock=self.sock)
        if self.planted == "tcp-nodelay":  # asyncio sets it on its own
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        self.writer.transport.set_write_buffer_limits(0)

    async def fill(self, deadline_s: float | None) -> None:
        left_s = None if deadline_s is None else deadline_s - time.monotonic()
        try:
            data = await asyncio.wait_for(self.reader.read(65536), left_s)
        except TimeoutError:
            raise Gone from None
        self.segments = self.segments + 1 if len(data) == 1 else 0
        if not data:
            raise Gone
        self.data += data

    async def send(self, data: bytes) -> None:
        if self.planted == "pipelined-ten" and self.data.count(b"POST /echo") == 4 and not self.swapped:
            self.swapped = data  # comes behind the next one
            return
        self.out += data + self.swapped
        self.swapped = b""

    async def flush(self) -> None:
        data, self.out = self.out, b""
        if not data:
            return
        self.writer.write(data)
        limit_s = None if self.planted == "slow-reader" else self.settings.body_timeout_s
        try:
            await asyncio.wait_for(self.writer.drain(), limit_s)
        except TimeoutError:
            self.writer.transport.abort()
            raise Gone from None

    async def linger(self) -> None:
        """Discard what still comes, so that the refusal can be read."""
        if self.planted != "no-abort-on-refusal":
            with contextlib.suppress(OSError):
                self.writer.write_eof()
        limit_s = {"lingering-close": 0.1, "linger-ends": 60.0}.get(self.planted, self.settings.linger_s)
        deadline_s = time.monotonic() + limit_s
        with contextlib.suppress(TimeoutError):
            while await asyncio.wait_for(self.reader.read(65536), deadline_s - time.monotonic()):
                if time.monotonic() > deadline_s:
                    break
        if self.planted == "no-abort-on-refusal":
            self.reset()

    def reset(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
