"""A server on an event loop with asyncio's interface: accepting, measuring the loop, stopping.

What one client sees is protocol.py's work.
"""

import asyncio
import contextlib
import signal
import time

from shared.app import ACCEPT_BACKOFF_S, App
from shared.config import listen
from shared.protocol import Connection
from shared.reply import name_and_date

ACCEPTS_MAX = 64  # per turn: a burst of new clients must not starve those already here
LAG_INTERVAL_S = 0.1


class LoopServer(App):
    def __init__(self, variant: str) -> None:
        super().__init__(variant)
        self.starting: set[asyncio.Task] = set()  # accepted, transport not made yet; the loop itself holds tasks weakly

    def release(self) -> int:
        released, self.held = self.held, set()
        for connection in released:  # in turns of their own: answering here could recurse into another /release
            connection.set_timer(0, connection.answer_waiting)
        return len(released)

    def tick(self, due_s: float) -> None:
        """Measures how late the loop runs its timers, and renews the date."""
        now_s = time.monotonic()  # not loop.time(): uvloop's counts milliseconds and stands still during a turn
        self.lag_s = max(0.0, now_s - due_s)
        self.lines = name_and_date(self.variant)
        self.loop.call_later(LAG_INTERVAL_S, self.tick, now_s + LAG_INTERVAL_S)

    def accept_some(self, most: int = ACCEPTS_MAX) -> None:
        # Not loop.create_server(): at EMFILE asyncio's tries `backlog` times in a row before it backs off, and libuv's
        # accepts and closes whoever waits; neither counts.
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
            made = self.loop.connect_accepted_socket(lambda: Connection(self), client)
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

    async def serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, stop.set)
        self.listener = listen(self.config, self.variant)
        self.tick(time.monotonic())
        self.loop.add_reader(self.listener, self.accept_some)
        await stop.wait()
        with contextlib.suppress(TimeoutError):  # whoever is left has had LAB_DRAIN_S
            await asyncio.wait_for(self.drain(), self.config.drain_s)
