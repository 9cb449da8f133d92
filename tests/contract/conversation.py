"""One client of the planted server: its requests read, answered, waited for; the defects of each in their places.

The bytes come and go in wire.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from tests.contract.reading import BODY_MOST, HEAD_MOST, Chunks, Refused, Request, parse_head
from tests.contract.wire import Gone, Wire

if TYPE_CHECKING:
    from tests.contract.planted import Server

METHODS = {"/plain": b"GET", "/delay": b"GET", "/hold": b"GET", "/release": b"POST", "/echo": b"POST",
           "/healthz": b"GET", "/stats": b"GET"}  # fmt: skip
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
           431: "Request Header Fields Too Large", 501: "Not Implemented"}  # fmt: skip
INPUT_MOST = 96 * 1024
HELLO = b"Hello, world!"


class Connection(Wire):
    def __init__(self, server: Server, sock: socket.socket):
        super().__init__(sock, server.settings, server.planted)
        self.server = server
        self.task: asyncio.Task[None] | None = None
        self.replies = 0
        self.is_idle, self.in_body, self.in_delay = True, False, False

    async def serve(self) -> None:
        was_reset = False
        try:
            await self.open()
            await self.talk()
        except Gone:
            was_reset = self.planted == "no-aborts"
        except ConnectionError as error:
            if self.planted != "reset-uncounted":
                self.server.errors[errno.errorcode.get(error.errno or 0, "ECONNRESET")] += 1
            if self.planted == "delay-left-rst" and self.in_delay:
                self.server.active += 1
        except asyncio.CancelledError:
            pass
        finally:
            if was_reset:
                self.reset()
            self.writer.close()
            self.server.active -= 1
            self.server.connections.discard(self)

    async def head(self, *, is_first: bool) -> bytes:
        """Return the next head without its empty line. Raises Refused or Gone."""
        limit_s = self.settings.head_timeout_s
        deadline_s = None if not is_first and self.planted != "idle-stays" else time.monotonic() + limit_s
        if is_first and self.planted == "silent-client":
            deadline_s = None
        self.segments = 0
        while True:
            while self.data.startswith(b"\r\n"):
                del self.data[:2]
            end = self.data.find(b"\r\n\r\n")
            await self.refuse_head(end)
            if end >= 0:
                head = bytes(self.data[:end])
                del self.data[: end + 4]
                return head
            if self.data and deadline_s is None and not (self.planted == "slow-second-head" and not is_first):
                deadline_s = time.monotonic() + limit_s
            if self.data and is_first and self.planted == "slowloris":
                deadline_s = time.monotonic() + limit_s
            self.is_idle = not self.data
            await self.fill(deadline_s)
            self.is_idle = False

    async def refuse_head(self, end: int) -> None:
        head = bytes(self.data if end < 0 else self.data[: end + 4])
        most = {"head-below-16k": 8192, "header-16k": 20 * 1024}.get(self.planted, HEAD_MOST)
        if len(head) > most:
            if self.planted == "header-1m" and max(len(line) for line in head.split(b"\n")) > 20 * 1024:
                await asyncio.sleep(60)
            if self.planted == "headers-10000" and head.count(b"\n") > 1000:
                await asyncio.sleep(60)
            raise Refused(431)
        while head[:1] == b"\x16" and self.planted == "tls-hello":
            await self.fill(None)  # until the client leaves
        if re.search(rb"(?<!\r)\n", head) and self.planted != "bare-lf":
            raise Refused(400)
        if self.segments > 1 and self.planted == "byte-by-byte":
            raise Refused(400)

    async def body(self, request: Request) -> None:
        """Read the request's body. Raises Refused or Gone."""
        if request.length > BODY_MOST and not request.is_chunked:
            raise Refused(400 if self.planted == "echo-too-large" else 413)
        if self.planted == "unwanted-body" and request.method == b"GET":
            return
        deadline_s: float | None = time.monotonic() + self.settings.body_timeout_s
        if self.planted == ("slow-chunks" if request.is_chunked else "slow-body"):
            deadline_s = None
        chunks = Chunks(self.planted)
        while True:
            if request.is_chunked:
                if chunks.feed(self.data):
                    request.body = bytes(chunks.body)
                    return
            elif len(self.data) >= request.length:
                request.body = bytes(self.data[: request.length])
                del self.data[: request.length]
                return
            if request.expects_continue and not self.data and self.planted != "expect-continue":
                request.expects_continue = False
                await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self.flush()
            self.in_body = True
            await self.fill(deadline_s)
            self.in_body = False

    async def talk(self) -> None:
        is_first = True
        while True:
            try:
                head = await self.head(is_first=is_first)
                request = parse_head(head, self.planted)
                await self.body(request)
            except Refused as refused:
                await self.send(self.render(refused.status, None))
                await self.flush()
                await self.linger()
                return
            is_first = False
            if not (self.planted == "stats-requests" and request.method == b"HEAD"):
                self.server.requests += 1
            if self.planted == "stats-connections":
                self.server.accepted += 1
            await self.send(await self.answer(request))
            if not self.keeps(request):
                await self.flush()
                if self.data:
                    await self.linger()
                return
            if self.planted == "split-anywhere" and self.data.startswith(b"GET") and b"\r\n\r\n" not in self.data:
                self.data.clear()
            if self.planted != "pipelined-delay" or not self.data:
                await self.flush()

    def keeps(self, request: Request) -> bool:
        if self.planted == "http10-closes" and request.is_old:
            return True
        return request.keeps_alive and not self.server.is_draining

    def render(
        self, status: int, request: Request | None, body: bytes = b"", kind: str = "text/plain", more: str = ""
    ) -> bytes:
        self.replies += 1
        is_head = request is not None and request.method == b"HEAD"
        keeps = request is not None and self.keeps(request)
        length = 0 if is_head and self.planted == "head" else len(body)
        date = self.server.begun if self.planted == "date-advances" else formatdate(usegmt=True)
        if self.planted == "plain" and body == HELLO:
            kind = "text/plain; charset=utf-8"
        name = "other" if self.planted == "server-name" else self.settings.variant
        lines = f"HTTP/1.1 {status} {REASONS[status]}\r\nServer: {name}\r\nDate: {date}\r\nContent-Type: {kind}\r\n"
        lines += f"Content-Length: {length}\r\n{more}"
        if self.planted == "healthz" and not more:
            lines += f"Lab-Nonce: {self.settings.nonce}\r\n"
        if not keeps or (self.planted == "keep-alive" and self.replies > 15):
            lines += "Connection: close\r\n"
        elif request and request.is_old:
            lines += "Connection: keep-alive\r\n"
        return lines.encode() + b"\r\n" + (b"" if is_head else body)

    async def answer(self, request: Request) -> bytes:
        path, _, query = request.target.decode("latin-1").partition("?")
        if self.planted == "not-found" and path.startswith("/plain"):
            path = "/plain"
        if path not in METHODS:
            return self.render(404, request)
        is_right = request.method == METHODS[path] or (request.method == b"HEAD" and METHODS[path] == b"GET")
        if not is_right and not (self.planted == "method-not-allowed" and request.method == b"DELETE"):
            return self.render(405, request)
        if path == "/echo":
            return self.render(200, request, self.echoed(request), "application/octet-stream")
        if path == "/healthz":
            return self.render(200, request, b"ok\n", more=f"Lab-Nonce: {self.settings.nonce}\r\n")
        if path == "/stats":
            return self.render(200, request, self.server.stats(), "application/json")
        if path == "/release":
            released, self.server.waiting = self.server.waiting, []
            for event in released:
                event.set()
            count = len(released) + (1 if self.planted == "release" else 0)
            return self.render(200, request, b'{"released": %d}' % count, "application/json")
        if path == "/hold":
            return await self.hold(request)
        if path == "/delay":
            ms = re.search(r"(?:^|&)ms=([^&]*)", query)
            most = 120001 if self.planted == "delay-bounds" else 120000
            if not ms or not re.fullmatch(r"[0-9]{1,9}", ms[1]) or int(ms[1]) > most:
                return self.render(400, request)
            delay_s = int(ms[1]) / 1000 * (0.5 if self.planted == "delay" else 1)
            self.in_delay = True
            await self.wait(asyncio.sleep(delay_s), is_deaf=self.planted == "delay-left-fin")
            self.in_delay = False
            if self.planted == "drain-in-flight" and self.server.is_draining:
                return self.render(200, request, HELLO).replace(b"Connection: close\r\n", b"")
        return self.render(200, request, HELLO)

    def echoed(self, request: Request) -> bytes:
        body, server = request.body, self.server
        if self.planted == "echo" and not request.is_chunked:
            return bytes(byte if byte < 128 else 63 for byte in body)
        if self.planted == "no-cache" and len(body) < 4:
            return server.short_bodies.setdefault(len(body), body)
        if self.planted == "echo-crowd" and server.active > 300:
            body, server.last_body = server.last_body, body
        return body

    async def hold(self, request: Request) -> bytes:
        event = asyncio.Event()
        self.server.waiting.append(event)
        self.server.held += 1
        try:
            await self.wait(event.wait())
        finally:
            if event in self.server.waiting:
                self.server.waiting.remove(event)
            if event.is_set() or self.planted != "hold-left":
                self.server.held -= 1
        return self.render(200, request, b"Hello, waiter" if self.planted == "hold" else HELLO)

    async def wait(self, what: object, *, is_deaf: bool = False) -> None:
        """Wait while listening whether the client leaves. Raises Gone."""
        if self.planted != "pipelined-delay":
            await self.flush()
        waited = asyncio.ensure_future(what)  # type: ignore[call-overload]
        try:
            while not waited.done():
                if len(self.data) > INPUT_MOST:
                    await waited
                    return
                reading = asyncio.ensure_future(self.reader.read(65536))
                await asyncio.wait({waited, reading}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await reading
                elif data := reading.result():
                    self.data += data
                elif is_deaf:
                    await waited
                else:
                    raise Gone
        finally:
            waited.cancel()
