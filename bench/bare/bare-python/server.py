#!/usr/bin/python3
"""bare-python: what a model costs when nothing else is done; BARE_MODEL says which.

Every request gets the contract's answer to GET /plain, whatever it asked: no parser, no limits of time, no counters, no
drain. What servers/py-* take beyond this is what keeping the contract costs them (docs/bench.md, rivals).
"""

import _thread
import asyncio
import os
import socket
import sys
import time
from email.utils import formatdate

from shared.config import Config, listen

END = b"\r\n\r\n"
hello = b""


def renew() -> None:
    global hello
    hello = (
        f"HTTP/1.1 200 OK\r\nServer: bare-python\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: text/plain\r\n"
        "Content-Length: 13\r\n\r\nHello, world!"
    ).encode()


# ---- a thread per connection ---------------------------------------------------------------------------


def talk(client: socket.socket) -> None:
    with client:
        while data := client.recv(4096):
            if data.endswith(END):
                client.send(hello)


def renew_for_ever() -> None:
    while True:
        time.sleep(1)
        renew()


def serve_threads(listener: socket.socket) -> None:
    listener.setblocking(True)
    sys.setswitchinterval(0.1)  # as py-threads has it
    _thread.start_new_thread(renew_for_ever, ())
    while True:
        client, _ = listener.accept()
        _thread.start_new_thread(talk, (client,))


# ---- asyncio's interface, on asyncio's loop or on uvloop's ---------------------------------------------------


class Bare(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        if data.endswith(END):
            self.write(hello)


async def serve_loop(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(Bare, sock=listener)
    async with server:
        while True:
            await asyncio.sleep(1)
            renew()


def serve_asyncio(listener: socket.socket) -> None:
    asyncio.run(serve_loop(listener))


def serve_uvloop(listener: socket.socket) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_loop(listener))


# ---- a greenlet per connection -------------------------------------------------------------------------


def serve_gevent(listener: socket.socket) -> None:
    import gevent
    import gevent.socket

    def renew_at_times() -> None:
        while True:
            gevent.sleep(1)
            renew()

    gevent.spawn(renew_at_times)
    waiting = gevent.socket.socket(fileno=listener.detach())
    while True:
        client, _ = waiting.accept()
        gevent.spawn(talk, client)


if __name__ == "__main__":
    MODELS = {"threads": serve_threads, "asyncio": serve_asyncio, "uvloop": serve_uvloop, "gevent": serve_gevent}
    serve = MODELS.get(os.environ.get("BARE_MODEL", ""))
    if serve is None:
        print(f"BARE_MODEL: expected one of {', '.join(MODELS)}", file=sys.stderr)
        sys.exit(2)
    renew()
    serve(listen(Config(), "bare-python"))
