#!/usr/bin/python3
"""py-gevent: a greenlet per connection; blocking code on an event loop.

The code of a connection is that of py-threads, line for line (shared/blocking.py): it says recv() and seems to block.
gevent's sockets are non-blocking underneath: a recv() that finds nothing hands the socket to libev's loop (epoll) and
switches to another greenlet. A switch copies the C stack's used part away and stays in one thread, so there is no lock
to fight for, no stack to reserve, and no surprise between two calls that do not wait.

A greenlet in /hold waits for its client, and a release ends that wait by raising Released in it.

Needs: Linux 2.6.28, Python 3.11, gevent (Debian's python3-gevent). Leaves out: monkey patching (whoever calls the
standard library's blocking sockets stops all clients), a second core (start several with LAB_REUSEPORT=1), TLS.
By hand: ln -sfn ../_shared-python shared; LAB_PORT=8080 python3 server.py & curl -i 'http://127.0.0.1:8080/delay?ms=500'
"""

import os
import signal
import time

import gevent
import gevent.event
import gevent.socket
from shared.app import ACCEPT_BACKOFF_S, INPUT_MAX, SEND_TIMEOUT_S
from shared.blocking import PIECE, BlockingApp, Conversation, Gone
from shared.config import listen
from shared.reply import name_and_date, render_usual

ACCEPTS_MAX = 64  # per turn: a burst of new clients must not starve those already here
LAG_INTERVAL_S = 0.1

# ---- a greenlet ----------------------------------------------------------------------------------------


class Released(Exception):
    """POST /release."""


class Greenlet(Conversation):
    app: "Server"
    greenlet: gevent.Greenlet

    def set_timeout(self, timeout_s: float | None) -> None:
        self.sock.settimeout(timeout_s)
        self.is_timed = timeout_s is not None

    def send(self, data: bytes) -> None:
        # The socket is non-blocking underneath, and nearly every reply goes at once: then no timeout need be set.
        try:
            sent = os.write(self.sock.fileno(), data) if data else 0
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.set_timeout(SEND_TIMEOUT_S)
            self.sock.sendall(data[sent:])
            self.end_timeout()

    def wait_delay(self, delay_s: float) -> None:
        self.wait(time.monotonic() + delay_s)

    def wait_hold(self) -> None:
        self.app.held.add(self)
        try:
            self.wait(None)
        except Released:
            pass
        finally:
            self.app.held.discard(self)

    def wait(self, until_s: float | None) -> None:
        """Listens meanwhile: a client that leaves must not keep its greenlet."""
        while until_s is None or until_s > time.monotonic():
            left_s = None if until_s is None else max(0.001, until_s - time.monotonic())
            if len(self.input.data) >= INPUT_MAX:  # asks on and on: not read any more
                gevent.event.Event().wait(left_s)
                continue
            self.set_timeout(left_s)
            try:
                data = self.sock.recv(PIECE)
            except TimeoutError:
                continue
            if not data:
                raise Gone
            self.input.data += data


# ---- the server: accepting, counting, stopping -----------------------------------------------------------


class Server(BlockingApp):
    def __init__(self) -> None:
        super().__init__("py-gevent")
        self.renew()
        self.changed = gevent.event.Event()  # a connection has ended

    def release(self) -> int:
        released, self.held = self.held, set()
        for one in released:
            one.greenlet.kill(Released, block=False)  # raised where it waits, in a turn of its own
        return len(released)

    def forget(self, conversation: Conversation) -> None:
        super().forget(conversation)
        self.changed.set()

    def tick(self) -> None:
        """Measures how late the loop wakes whoever sleeps, and renews the date."""
        while True:
            due_s = time.monotonic() + LAG_INTERVAL_S
            gevent.sleep(LAG_INTERVAL_S)
            self.lag_s = max(0.0, time.monotonic() - due_s)
            self.renew()

    def renew(self) -> None:
        self.lines = name_and_date(self.variant)
        self.usual = render_usual(self.lines)

    def accept_some(self, most: int = ACCEPTS_MAX) -> float:
        """Returns how long to leave the listener alone, in seconds."""
        for _ in range(most):
            try:
                client, _ = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionAbortedError as error:
                self.count_error(error)  # that one client left; the next may still be there
            except OSError as error:  # EMFILE, ENFILE, ENOBUFS, ENOMEM
                self.count_error(error)
                return ACCEPT_BACKOFF_S
            else:
                self.accepted += 1
                one = Greenlet(self, client)
                self.connections.add(one)
                one.greenlet = gevent.spawn(one.run)
        return 0.0

    def accept_for_ever(self) -> None:
        while True:
            gevent.socket.wait_read(self.listener.fileno())
            gevent.sleep(self.accept_some())  # 0: let the others have their turn

    def run(self) -> None:
        stop = gevent.event.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, stop.set)
        self.listener = gevent.socket.socket(fileno=listen(self.config, self.variant).detach())
        self.listener.settimeout(0.0)  # accept() raises instead of waiting: gevent's own would end at EMFILE
        accepting = gevent.spawn(self.accept_for_ever)
        gevent.spawn(self.tick)
        stop.wait()

        accepting.kill()
        self.accept_some(1 << 20)  # who is queued already: closing the listener would reset them
        self.listener.close()
        gevent.sleep(0.01)  # one turn each, so that a request that has just come is read and served
        self.hang_up_idle()
        with gevent.Timeout(self.config.drain_s, False):  # whoever is left has had LAB_DRAIN_S
            while self.connections:
                self.changed.clear()
                self.changed.wait()


if __name__ == "__main__":
    Server().run()
