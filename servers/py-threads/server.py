#!/usr/bin/python3
"""py-threads: one thread per connection, blocking sockets, under Python's one interpreter lock.

The same model as c-threads, and the code of a connection reads as plainly (shared/blocking.py). What differs is the
lock: only the thread that holds it runs Python, so threads overlap their waiting but never their computing. A thread
that comes back from recv() must get the lock first, and while it has to wait it wakes every switch interval to ask.

Two kinds of thread must be woken. Those in /hold poll() their client and an eventfd that all of one generation share:
a release makes it readable, and later comers get a new one. Idle ones at shutdown are woken by shutdown(SHUT_RD).

Needs: Linux 2.6.28, Python 3.11. Leaves out: a limit on threads, a second core (several with LAB_REUSEPORT=1), TLS.
By hand: ln -sfn ../_shared-python shared; LAB_PORT=8080 python3 server.py & curl -i 'http://127.0.0.1:8080/delay?ms=500'
"""

import _thread
import errno
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import suppress

from shared.app import ACCEPT_BACKOFF_S, INPUT_MAX, SEND_TIMEOUT_S
from shared.blocking import PIECE, BlockingApp, Conversation, Gone
from shared.config import listen
from shared.reply import name_and_date, render_usual

STACK_BYTES = 256 * 1024  # address space; what is touched is some 30 KiB. The default of 8 MiB ends at vm limits.
# Python's default is 5 ms. With 10,000 threads waiting for the lock, as after a release, these are 2 million wakings
# a second: all were answered after 26 s, and with 0.1 s after 2 s (both on a busy machine). Nobody here keeps the lock
# for so long anyway: each request ends in a send(), which gives it up.
SWITCH_INTERVAL_S = 0.1

# ---- a thread ------------------------------------------------------------------------------------------


class Generation:
    """Those who came to /hold between two releases."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC)  # never read: once written it stays readable, for all
        self.waiting = 0
        self.is_over = False

    def close_if_done(self) -> None:
        if self.is_over and not self.waiting:
            os.close(self.fd)


class Thread(Conversation):
    app: "Server"

    def send(self, data: bytes) -> None:
        if self.is_timed:
            self.end_timeout()
        # It blocks, so less than all means that SO_SNDTIMEO has passed; nothing at all raises the same.
        if data and self.sock.send(data) < len(data):
            raise BlockingIOError(errno.EAGAIN, "the client does not read")

    def wait_delay(self, delay_s: float) -> None:
        self.wait(time.monotonic() + delay_s, -1)

    def wait_hold(self) -> None:
        with self.app.lock:
            generation = self.app.generation
            generation.waiting += 1
            self.app.held.add(self)
        try:
            self.wait(None, generation.fd)
        finally:
            with self.app.lock:
                self.app.held.discard(self)
                generation.waiting -= 1
                generation.close_if_done()

    def wait(self, until_s: float | None, wake_fd: int) -> None:
        """Until then, or until wake_fd is readable. Listens meanwhile: who leaves must not keep a thread."""
        self.end_timeout()
        poll = select.poll()
        if wake_fd >= 0:
            poll.register(wake_fd, select.POLLIN)
        while True:
            is_full = len(self.input.data) >= INPUT_MAX  # asks on and on: only hear it leave
            poll.register(self.sock, select.POLLRDHUP if is_full else select.POLLIN)
            ready = poll.poll(None if until_s is None else max(0.0, until_s - time.monotonic()) * 1000)
            if not ready or ready[0][0] == wake_fd:
                return
            if is_full or not (data := self.sock.recv(PIECE, socket.MSG_DONTWAIT)):
                raise Gone
            self.input.data += data


# ---- the server: accepting, counting, stopping -----------------------------------------------------------


class Server(BlockingApp):
    def __init__(self) -> None:
        super().__init__("py-threads")
        self.generation = Generation()
        self.second, self.cached_lines, self.cached_usual = 0, b"", b""
        self.all_gone = threading.Event()

    @property
    def lines(self) -> bytes:
        self.renew()
        return self.cached_lines

    @property
    def usual(self) -> bytes:
        if int(time.time()) != self.second:
            self.renew()
        return self.cached_usual

    def renew(self) -> None:
        second = int(time.time())
        if second != self.second:
            self.cached_lines = name_and_date(self.variant)
            self.cached_usual = render_usual(self.cached_lines)
            self.second = second  # last: it says that they are there

    def release(self) -> int:
        with self.lock:
            if not self.held:
                return 0
            try:
                following = Generation()
            except OSError:  # EMFILE: nobody is released, and the answer says so
                return 0
            released, self.held = len(self.held), set()
            over, self.generation = self.generation, following
            over.is_over = True
            os.eventfd_write(over.fd, 1)
        return released

    def start_thread(self, client: socket.socket) -> None:
        self.accepted += 1
        thread = Thread(self, client)
        self.connections.add(thread)
        try:
            _thread.start_new_thread(self.serve, (thread,))  # threading.Thread waits until it runs: twice the price
        except RuntimeError:  # a limit on threads. This client is turned away, the others stay.
            self.count_error(OSError(errno.EAGAIN, "thread"))
            with suppress(OSError):
                client.recv(PIECE, socket.MSG_DONTWAIT)  # so that close() does not reset it
            client.close()
            self.forget(thread)

    def serve(self, thread: Thread) -> None:
        thread.run()
        if self.is_draining and not self.connections:
            self.all_gone.set()

    def accept_all(self) -> float | None:
        """Until the queue is empty. Returns how long to leave it alone, in seconds."""
        while True:
            try:
                client, _ = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                return None
            except ConnectionAbortedError as error:
                self.count_error(error)  # that one client left; the next may still be there
            except OSError as error:  # EMFILE, ENFILE, ENOBUFS, ENOMEM
                self.count_error(error)
                return ACCEPT_BACKOFF_S
            else:
                self.start_thread(client)

    def run(self) -> None:
        stop_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os.eventfd_write(stop_fd, 1))
        threading.stack_size(STACK_BYTES)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self.listener = listen(self.config, self.variant)
        patience = struct.pack("ll", int(SEND_TIMEOUT_S), 0)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)  # Linux hands it down
        resting, all_ears = select.poll(), select.poll()
        resting.register(stop_fd, select.POLLIN)
        all_ears.register(stop_fd, select.POLLIN)
        all_ears.register(self.listener, select.POLLIN)
        backoff_s = None
        while True:
            ready = all_ears.poll() if backoff_s is None else resting.poll(backoff_s * 1000)
            if any(fd == stop_fd for fd, _ in ready):
                break
            backoff_s = self.accept_all()

        self.accept_all()  # who is queued already: closing the listener would reset them
        self.listener.close()
        self.hang_up_idle()
        if self.connections:
            self.all_gone.wait(self.config.drain_s)


if __name__ == "__main__":
    Server().run()
    os._exit(0)  # whoever is left has had LAB_DRAIN_S; the interpreter would wait for its threads
