"""One client's connection told from top to bottom, by the thread or greenlet that serves it: wait, read, answer, close.

How one waits, so that a client that leaves and a release are both noticed, is each variant's own file.
"""

import socket
import time
from contextlib import suppress

from shared.app import BODY_TIMEOUT_S, HEAD_TIMEOUT_S, LINGER_S, App
from shared.http1 import KNOWN, Broken, Input
from shared.reply import USUAL, render, route_of

PIECE = 4096  # per recv(): Python sets as much memory aside before it waits, for each client


class Gone(Exception):
    """The client has left, or its time is up."""


class BlockingApp(App):
    """Knows all conversations. Each counts its own requests, because `+= 1` by many threads at once loses some."""

    usual: bytes  # the reply to a usual request, with `lines` in it

    def forget(self, conversation: "Conversation") -> None:
        with self.lock:
            self.connections.discard(conversation)
            self.requests += conversation.requests

    def count_requests(self) -> int:
        with self.lock:
            return self.requests + sum(one.requests for one in self.connections)

    def hang_up_idle(self) -> None:
        self.is_draining = True
        for conversation in list(self.connections):
            conversation.hang_up()


class Conversation:
    def __init__(self, app: BlockingApp, sock: socket.socket) -> None:
        self.app, self.sock = app, sock
        self.input = Input()
        self.requests = 0
        self.is_idle = False  # between two requests: may be hung up on
        self.limit_kind = "head"  # of the first request: from accept
        self.deadline_s: float | None = time.monotonic() + HEAD_TIMEOUT_S
        self.is_timed = False  # the socket has a timeout

    # ---- each variant's own ------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Raises TimeoutError when the client does not take it."""
        raise NotImplementedError

    def wait_delay(self, delay_s: float) -> None:
        """Raises Gone when the client leaves. What it sends meanwhile goes to `input.data`."""
        raise NotImplementedError

    def wait_hold(self) -> None:
        """Returns when released; otherwise the same. Is in `app.held` meanwhile."""
        raise NotImplementedError

    # ---- one connection ----------------------------------------------------------------------------

    def run(self) -> None:
        """The whole of it. Closes the socket."""
        try:
            self.talk()
        except (Gone, TimeoutError):
            pass
        except OSError as error:
            self.app.count_error(error)
        finally:
            self.is_idle = False
            self.sock.close()
            self.app.forget(self)

    def hang_up(self) -> None:
        """From outside: end it if it is idle. recv() returns what has come already, then nothing."""
        if self.is_idle:
            with suppress(OSError):  # it has ended by itself
                self.sock.shutdown(socket.SHUT_RD)

    def receive(self) -> bytes:
        """Raises Gone at the end of input, TimeoutError when the deadline has passed."""
        if self.deadline_s is not None:
            self.sock.settimeout(max(0.001, self.deadline_s - time.monotonic()))
            self.is_timed = True
        else:
            self.end_timeout()
        data = self.sock.recv(PIECE)
        if not data:
            raise Gone
        return data

    def end_timeout(self) -> None:
        if self.is_timed:  # a socket with a timeout is non-blocking underneath, and each call costs a poll()
            self.sock.settimeout(None)
            self.is_timed = False

    def set_limit(self, kind: str, limit_s: float | None) -> None:
        """A limit is not moved by each byte: who sends slowly gains nothing."""
        if kind != self.limit_kind:
            self.limit_kind = kind
            self.deadline_s = None if limit_s is None else time.monotonic() + limit_s

    def talk(self) -> None:
        app, given = self.app, self.input
        goes_on = is_calm = True  # calm: between two requests
        while goes_on:
            self.is_idle = is_calm  # then is_draining is read; who drains goes the other way round
            if is_calm and app.is_draining:
                self.deadline_s = 0.0  # unless a request has just come
            data = self.receive()
            self.is_idle = False
            if is_calm and self.is_usual(data):
                data = self.talk_usually()
                if not data:
                    continue
            given.data += data
            goes_on = self.answer_all()
            is_calm = given.is_empty()
            if given.head:
                self.set_limit("body", BODY_TIMEOUT_S)
            elif given.data:
                self.set_limit("head", HEAD_TIMEOUT_S)
            else:
                self.set_limit("", None)

    def is_usual(self, data: bytes) -> bool:
        """Whether this is one whole request of the kind that is asked most, and it may be answered the short way."""
        r = KNOWN.get(data)
        return r is not None and r.route is USUAL and not self.app.is_draining

    def talk_usually(self) -> bytes:
        """Answers one usual request, and the next ones while they are; with the same answers as answer_all.

        Returns what else has come, b"" to drain. Raises as receive() does. Kept short: most clients meet nothing else.
        """
        app, recv, send, is_usual = self.app, self.sock.recv, self.send, self.is_usual
        self.set_limit("", None)
        self.end_timeout()
        while True:
            self.requests += 1
            send(app.usual)
            self.is_idle = True  # then is_draining is read, as in talk()
            if app.is_draining:
                return b""
            if not (data := recv(PIECE)):
                raise Gone
            self.is_idle = False
            if not is_usual(data):
                return data

    def answer_all(self) -> bool:
        """Answers every complete request, in order; the replies go out together. False: it was the last one."""
        replies: list[bytes] = []
        goes_on, is_broken = True, False
        try:
            while goes_on and (whole := self.input.next_request(replies)):
                r, body = whole
                self.requests += 1
                self.set_limit("", None)
                route = route_of(r)
                if isinstance(route, float) or route == "hold":
                    self.send(b"".join(replies))  # earlier replies do not wait with this one
                    replies.clear()
                    if route == "hold":
                        self.wait_hold()
                    else:
                        self.wait_delay(route)
                goes_on = r.keep_alive and not self.app.is_draining
                replies.append(self.app.answer(r, route, body, keep_alive=goes_on))
        except Broken as broken:
            replies.append(render(self.app.lines, broken.status, None, keep_alive=False))
            goes_on, is_broken = False, True
        self.send(b"".join(replies))
        if is_broken or (not goes_on and self.input.data):
            self.linger()
        return goes_on

    def linger(self) -> None:
        """Closing with unread input would make the kernel send a reset that can overtake the reply."""
        self.sock.shutdown(socket.SHUT_WR)
        self.deadline_s = time.monotonic() + LINGER_S
        while True:
            self.receive()
            self.input.data.clear()
