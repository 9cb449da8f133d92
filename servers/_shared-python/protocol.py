"""One client's connection as an asyncio Protocol: collect a request, answer or wait, write.

What accepts, counts and stops is loop.py's work.
"""

import asyncio
from typing import TYPE_CHECKING

from shared.app import BODY_TIMEOUT_S, HEAD_TIMEOUT_S, INPUT_MAX, LINGER_S, SEND_TIMEOUT_S
from shared.http1 import KNOWN, Broken, Input, Request
from shared.reply import USUAL, Route, render, render_usual, route_of

if TYPE_CHECKING:
    from shared.loop import LoopServer


class Connection(asyncio.Protocol):
    def __init__(self, server: "LoopServer") -> None:
        self.server = server

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.input = Input()
        self.waiting: Request | None = None  # in /delay or /hold
        self.is_calm = False  # between two requests, nothing special going on
        self.is_closing = False
        self.is_paused = False  # the client does not read
        self.limit_kind = ""
        self.timer: asyncio.TimerHandle | None = None
        self.server.connections.add(self)
        transport.set_write_buffer_limits(high=0)  # anything unsent pauses: a client has SEND_TIMEOUT_S to take it
        self.set_limit("head", HEAD_TIMEOUT_S)

    def connection_lost(self, error: Exception | None) -> None:
        if isinstance(error, OSError):
            self.server.count_error(error)
        self.set_timer(None)
        self.is_calm = False
        self.waiting = None  # whatever it waited for is cancelled
        self.server.held.discard(self)
        self.server.connections.discard(self)
        if self.server.is_draining and not self.server.connections:
            self.server.stopped.set()

    def data_received(self, data: bytes) -> None:
        if self.is_calm and (r := KNOWN.get(data)) and r.route is USUAL and not self.server.is_draining:
            self.server.requests += 1  # the short way, with the same answer as the long one below
            self.transport.write(render_usual(self.server.lines))
            return
        if self.is_closing:
            return  # lingering
        self.input.data += data
        if self.waiting or self.is_paused:
            if len(self.input.data) > INPUT_MAX:
                self.transport.pause_reading()
            return
        self.answer_all()

    # eof_received() is inherited: it closes, after what is already written.

    def pause_writing(self) -> None:
        self.is_paused, self.is_calm = True, False
        if not self.waiting:  # the timer belongs to the wait then
            self.set_limit("send", SEND_TIMEOUT_S)

    def resume_writing(self) -> None:
        self.is_paused = False
        self.transport.resume_reading()
        if not self.is_closing and not self.waiting:
            self.answer_all()

    def set_timer(self, delay_s: float | None, action=None, *arguments) -> None:
        if self.timer:
            self.timer.cancel()
        self.timer = None if delay_s is None else self.server.loop.call_later(delay_s, action, *arguments)

    def set_limit(self, kind: str, limit_s: float | None) -> None:
        """A limit is not moved by each byte: who sends slowly gains nothing."""
        if kind != self.limit_kind:
            self.limit_kind = kind
            self.set_timer(limit_s, self.transport.abort)

    def answer_all(self) -> None:
        """Answers every complete request, in order, with one write; stops at one that has to wait."""
        replies: list[bytes] = []
        is_broken = self.is_calm = False
        try:
            while not (self.is_closing or self.waiting) and (whole := self.input.next_request(replies)):
                self.set_limit("", None)
                self.server.requests += 1
                replies.append(self.answer(*whole))
        except Broken as broken:
            replies.append(render(self.server.lines, broken.status, None, keep_alive=False))
            self.is_closing = is_broken = True
        if replies:
            self.transport.write(replies[0] if len(replies) == 1 else b"".join(replies))
        if self.is_closing:
            self.finish(is_broken or bool(self.input.data))
        elif self.waiting:
            pass  # the timer is already set, or not wanted
        elif self.is_paused:
            self.set_limit("send", SEND_TIMEOUT_S)  # it may have been paused while it waited
        elif self.input.head:
            self.set_limit("body", BODY_TIMEOUT_S)
        elif self.input.data:
            self.set_limit("head", HEAD_TIMEOUT_S)
        else:
            self.set_limit("", None)
            self.is_calm = not self.transport.is_closing()

    def answer(self, r: Request, body: bytes) -> bytes:
        """The reply, or nothing yet if the request has to wait."""
        route: Route = route_of(r)
        if isinstance(route, float) or route == "hold":
            self.waiting, self.limit_kind = r, "wait"
            if route == "hold":
                self.set_timer(None)
                self.server.held.add(self)
            else:
                self.set_timer(route, self.answer_waiting)
            return b""
        keep_alive = r.keep_alive and not self.server.is_draining
        self.is_closing = not keep_alive
        return self.server.answer(r, route, body, keep_alive=keep_alive)

    def answer_waiting(self) -> None:
        r, self.waiting = self.waiting, None
        if r is None or self.transport.is_closing():
            return
        keep_alive = r.keep_alive and not self.server.is_draining
        self.is_closing = not keep_alive
        self.transport.write(self.server.answer(r, "hold", b"", keep_alive=keep_alive))
        self.transport.resume_reading()
        self.answer_all()  # and whatever it asked meanwhile

    def finish(self, must_linger: bool) -> None:
        if not must_linger:
            self.transport.close()  # after what is written
            if self.is_paused:
                self.set_limit("send", SEND_TIMEOUT_S)
            return
        # Closing with unread input would make the kernel send a reset that can overtake the reply.
        self.input.data.clear()
        self.transport.write_eof()
        self.limit_kind = "linger"
        self.set_timer(LINGER_S, self.transport.abort)

    def is_idle(self) -> bool:
        return self.input.is_empty() and not (self.waiting or self.is_closing or self.is_paused)
