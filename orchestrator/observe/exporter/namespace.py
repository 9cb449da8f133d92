"""Ask from within a target's network namespace: sock_diag over a socket that is kept, and /stats over TCP.

A socket belongs for good to the namespace in which it was made. So a thread that is made for it enters the namespace
(setns(2), CAP_SYS_ADMIN), opens the socket and ends; nobody else ever leaves the exporter's own. A socket kept open
keeps its namespace alive: it is closed when the target is forgotten, or its first process is gone.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import diag
from .errors import Absent, Malformed

_CLONE_NEWNET = 0x40000000
_DATAGRAM_BYTES = 65536  # the kernel makes them as big as was asked for before, up to 32 KiB
_ANSWER_WITHIN_S = 2.0  # for each datagram; the kernel makes them as they are read
# A dump of 100,000 connections takes 0.15 s of CPU, and the load may be on the same one: it is taken in small pieces.
AT_ONCE_S = 0.002
BREAK_S = 0.01
_FAMILIES = (socket.AF_INET, socket.AF_INET6)

_libc = ctypes.CDLL(None, use_errno=True)


def open_within(namespace: Path, make: Callable[[], socket.socket]) -> socket.socket:
    """Return the socket that `make` makes in the network namespace /proc/P/ns/net.

    Raises OSError where entering it is refused, or `make` fails.
    """
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def enter() -> None:
        try:
            with namespace.open("rb") as file:
                if _libc.setns(file.fileno(), _CLONE_NEWNET):
                    number = ctypes.get_errno()
                    why = f"{os.strerror(number)}; the exporter needs CAP_SYS_ADMIN to enter it"
                    raise OSError(number, why, str(namespace))
            made.append(make())
        except OSError as why:  # raised again, in the thread that asked
            failed.append(why)

    thread = threading.Thread(target=enter, name="namespace")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


class Sockets:
    """Asks about the TCP sockets of one namespace; safe to share between threads."""

    def __init__(self, namespace: Path) -> None:
        self._namespace = namespace
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_closed = False

    def queues(self, host: str, port: int) -> list[diag.Listener]:
        """Return the listeners that take connections to host:port, one for each socket; cheap, however many connect."""
        return diag.serving(self._ask(_FAMILIES, 1 << diag.LISTEN, port).listeners, host)

    def connections(self, host: str, port: int) -> diag.Tally:
        """Return the server's ends of all connections to host:port.

        Costs about 1.5 µs of CPU for each, and takes breaks of BREAK_S every AT_ONCE_S of it. Only the families that
        somebody listens in are asked for: in another the kernel goes through all sockets for one answer, without a
        break, 45 ms for 200,000 that are not wanted.
        """
        families = {listener.family for listener in self.queues(host, port)}
        return self._ask(tuple(families) or _FAMILIES, diag.CONNECTED, port, host, memory=True)

    def rest(self) -> None:
        """Let go of the namespace until it is asked about again."""
        with self._lock:
            self._drop()

    def close(self) -> None:
        """Let go of the namespace, for good; a dump that is under way is broken off."""
        self._is_closed = True
        with self._lock:
            self._drop()

    def _ask(
        self,
        families: tuple[socket.AddressFamily, ...],
        states: int,
        port: int,
        host: str = "",
        *,
        memory: bool = False,
    ) -> diag.Tally:
        tally = diag.Tally()
        with self._lock:
            self._require_open()
            if self._socket is None:
                self._socket = open_within(self._namespace, _netlink)
            try:
                begun_s = time.thread_time()
                for family in families:
                    self._socket.send(diag.question(family, states, port, host, memory=memory))
                    while not tally.take(self._socket.recv(_DATAGRAM_BYTES)):
                        if time.thread_time() - begun_s >= AT_ONCE_S:
                            time.sleep(BREAK_S)
                            begun_s = time.thread_time()
                        self._require_open()
            except (OSError, Malformed, Absent):
                self._drop()  # what is left of this answer must not be taken for the next one's
                raise
        return tally

    def _require_open(self) -> None:
        if self._is_closed:
            raise Absent("the target was forgotten")

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _netlink() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, diag.PROTOCOL)
    made.settimeout(_ANSWER_WITHIN_S)
    return made
