"""How long a connection lasts, and what the kernel shows of the listener."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from .check import BODY, Site, Skipped, expect, keeps
from .kernel import listeners
from .talk import Broken, render

NAGLE_S = (
    0.033  # the kernel's shortest delayed acknowledgement is 40 ms, cut to its ticks; a reply held back waits for it
)
NAGLE_TRIES = 30  # the quickest counts, so a busy machine does not look like Nagle's algorithm


@keeps("keep-alive")
def keep_alive(site: Site) -> str:
    with site.talk() as talk:
        for number in range(20):
            reply = talk.ask("/plain")
            expect(talk, reply, 200, BODY, f"reply {number + 1} on one connection")
            if reply.says_close:
                raise Broken("no Connection: close", "Connection: close", talk)
        talk.expect_silence(0.2, "the connection stays open")
    return "20 replies on one connection"


@keeps("connection-close")
def connection_close(site: Site) -> str:
    for value in ("close", "Close", "x-more, close"):
        with site.talk() as talk:
            reply = talk.ask("/plain", headers=f"Connection: {value}\r\n")
            expect(talk, reply, 200, BODY)
            if not reply.says_close:
                raise Broken(f"Connection: close in reply to {value!r}", repr(reply.header("connection")), talk)
            talk.expect_end()
    return "closed after the reply"


@keeps("http10-closes")
def http10_closes(site: Site) -> str:
    for headers in ("", "Connection: close\r\n"):
        with site.talk() as talk:
            expect(talk, talk.ask("/plain", headers=headers, version="1.0"), 200, BODY)
            talk.expect_end()
    with site.talk() as talk:
        talk.send(b"GET /plain HTTP/1.0\r\n\r\n")
        expect(talk, talk.reply(), 200, BODY, "HTTP/1.0 without Host")
        talk.expect_end()
    return "closed after the reply"


@keeps("http10-keep-alive")
def http10_keep_alive(site: Site) -> str:
    with site.talk() as talk:
        for _ in range(3):
            reply = talk.ask("/plain", headers="Connection: keep-alive\r\n", version="1.0")
            expect(talk, reply, 200, BODY)
            if "keep-alive" not in (reply.header("connection") or "").lower():
                raise Broken("Connection: keep-alive", repr(reply.header("connection")), talk)
    return "3 replies on one connection"


@keeps("tcp-nodelay")
def tcp_nodelay(site: Site) -> str:
    """Ask for two replies some milliseconds apart and acknowledge nothing on one's own account.

    With Nagle's algorithm the second reply waits for the acknowledgement of the first, which the client's kernel
    delays by at least 40 ms. TCP_QUICKACK 0 makes it do so from the start (tcp(7)).
    """
    took_s = []
    with site.talk() as talk:
        for _ in range(3):
            expect(talk, talk.ask("/plain"), 200)
        for _ in range(NAGLE_TRIES):
            talk.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            begun_s = time.monotonic()
            talk.send(render("/plain") + render("/delay?ms=3"))
            for _ in range(2):
                expect(talk, talk.reply(), 200)
            took_s.append(time.monotonic() - begun_s)
            if took_s[-1] < NAGLE_S:
                return f"{took_s[-1] * 1000:.0f} ms for two replies 3 ms apart"
        expected = f"less than {NAGLE_S * 1000:.0f} ms for two replies 3 ms apart, once in {NAGLE_TRIES} times"
        raise Broken(expected, f"{min(took_s) * 1000:.0f} ms at best", talk)


@keeps("backlog")
def backlog(site: Site) -> str:
    if site.told.backlog is None:
        raise Skipped("no backlog was told")
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    wanted = min(site.told.backlog, most)
    seen = [one.backlog for one in listeners(site.told.host, site.told.port)]
    if not seen or set(seen) != {wanted}:
        raise Broken(f"{wanted}: the lesser of {site.told.backlog} and net.core.somaxconn {most}", f"{seen}")
    return f"{wanted} on {len(seen)} listening sockets"
