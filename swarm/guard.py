"""Let this process connect to the lab's own targets and to nothing else, whoever asks.

`Guard.check` decides about a target before its first connection in a test: a literal address in 127.0.0.0/8, a listener
there in this network namespace, and the run's nonce from /healthz. `install` puts an audit hook (PEP 578) before every
connect of a Python socket, gevent's and a person's locustfile's included, and before every start of another process,
which would be under no hook; it cannot be taken back. ZeroMQ and the engine connect in C: the one to the master only,
the other refuses everything outside 127.0.0.0/8 and loads only what was checked here. What a person's code does in C
(ctypes, an extension of its own) no audit event tells of: docs/locustfile.md.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import gevent
from gevent import getcurrent
from gevent.lock import RLock

from swarm import kinds
from swarm.blocking import Client
from swarm.http1 import ClosedEarly, Malformed
from swarm.settings import Target
from swarm.sockdiag import listeners

PATIENCE_S = 5.0  # for /healthz, which takes a millisecond
LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
EVERYWHERE = ("0.0.0.0", "::")
SENDS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
LOOKUPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})

# Neither the lab, Locust nor gevent starts one in a worker. gevent's own Popen tells of its fork only.
STARTS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"})


class TargetRefused(PermissionError):
    """No load goes there; the message is one line that begins with "target refused: "."""


class Guard:
    """What this process may connect to."""

    def __init__(self) -> None:
        self._master: tuple[str, int] | None = None
        self._checked: dict[Target, str] = {}
        self._allowed: dict[tuple[str, int], str] = {}
        self._checking: dict[int, tuple[str, int]] = {}  # by greenlet: only the check itself may ask /healthz
        self._locks: dict[Target, RLock] = defaultdict(RLock)

    def allow_master(self, host: str, port: int) -> None:
        """Locust's master may be reached, under the name or address it was given; from now on no other name is looked
        up. (Before, Locust itself looks up its master's.)"""
        self._master = host, port

    def forget(self) -> None:
        """A new test begins: every target is checked anew."""
        self._checked, self._allowed = {}, {}

    def check(self, target: Target) -> None:
        """Return if `target` may be loaded in this test. Raises TargetRefused, again and again, if not."""
        if target not in self._checked:  # thousands of users ask, and a lock they all wait for would be slow
            with self._locks[target]:
                if target not in self._checked:
                    why = self._examine(target)
                    self._checked[target] = why
                    if not why:
                        self._allowed[target.host, target.port] = target.variant
        if why := self._checked[target]:
            raise TargetRefused(f"{kinds.REFUSED}: {target.variant} at {target.host}:{target.port}: {why}")

    def look_at(self, targets: Iterable[Target]) -> None:
        """Check all of them at once, so that later each `check` only says what is known. Takes PATIENCE_S at most."""

        def look(target: Target) -> None:
            with suppress(TargetRefused):
                self.check(target)

        gevent.joinall([gevent.spawn(look, target) for target in targets])

    def judge(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise TargetRefused for an audit event that reaches outside, or past this guard."""
        if event in SENDS:
            sock, address = arguments
            if sock.family in (socket.AF_INET, socket.AF_INET6) and address is not None:
                self._judge_address(address)
        elif event in STARTS:
            raise TargetRefused(f"{kinds.REFUSED}: {event}: a worker starts no process, which nothing would guard")
        elif event in LOOKUPS and self._master is not None:
            host = arguments[0].decode("latin-1") if isinstance(arguments[0], bytes) else arguments[0]
            if host and not _is_literal(host) and host != self._master[0]:
                raise TargetRefused(f"{kinds.REFUSED}: {host} is a name; only literal addresses are loaded")

    def _judge_address(self, address: Any) -> None:
        host, port = str(address[0]), address[1]
        if (host, port) in self._allowed or (host, port) == self._master:
            return
        if self._checking.get(id(getcurrent())) == (host, port):
            return
        known = ", ".join(f"{variant} {host}:{port}" for (host, port), variant in self._allowed.items())
        raise TargetRefused(f"{kinds.REFUSED}: {host}:{port} is no checked target of this lab: {known or 'none yet'}")

    def _examine(self, target: Target) -> str:
        """Return why `target` must not be loaded, or an empty string."""
        if ipaddress.ip_address(target.host) not in LOOPBACK:
            return f"expected an address in {LOOPBACK}"
        try:
            found = {listener.address for listener in listeners(target.port)}
        except OSError as error:
            return f"its listener cannot be looked up: {error}"
        if not found & {target.host, f"::ffff:{target.host}", *EVERYWHERE}:
            return "nothing listens there in this worker's network namespace"
        return "" if target.nonce is None else self._compare_nonce(target)

    def _compare_nonce(self, target: Target) -> str:
        me = id(getcurrent())
        self._checking[me] = target.host, target.port
        try:
            late = TimeoutError(f"no answer within {PATIENCE_S:g} s")  # in all, however slowly it drips
            with gevent.Timeout(PATIENCE_S, late), Client(target.host, target.port, PATIENCE_S) as client:
                answer = client.ask("/healthz")
        except (OSError, Malformed, ClosedEarly) as error:
            return f"GET /healthz: {type(error).__name__}: {str(error)[:100]}"
        finally:
            del self._checking[me]
        if answer.status != 200:
            return f"GET /healthz: expected status 200, saw {answer.status}"
        seen = answer.headers.get("lab-nonce")
        if seen != target.nonce:
            return f"GET /healthz: expected this run's Lab-Nonce, saw {'none' if seen is None else 'another'}"
        return ""


def install(guard: Guard) -> None:
    """Put `guard` before every connect of this process, for good."""

    watched = SENDS | LOOKUPS | STARTS  # its own: at the interpreter's end the module's names go before the hook does

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in watched:
            guard.judge(event, arguments)

    sys.addaudithook(hook)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
