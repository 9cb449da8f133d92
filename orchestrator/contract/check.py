"""What a check is given (`Site`), and the register of all of them.

A check is a function of a Site. It returns what it saw, or raises Broken, or Skipped with the reason.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from .table import BY_ID
from .talk import Broken, Reply, Talk
from .told import Told

BODY = b"Hello, world!"
POLL_S = 0.02


class Skipped(Exception):
    """The check cannot be made here; the text says why."""


Check = Callable[["Site"], str | None]
CHECKS: dict[str, Check] = {}


def keeps(id_: str) -> Callable[[Check], Check]:
    """Register a function as the check of one line of the table."""
    if id_ not in BY_ID or id_ in CHECKS:
        raise KeyError(f"{id_}: not in the table, or registered twice")

    def register(check: Check) -> Check:
        CHECKS[id_] = check
        return check

    return register


class Site:
    """The server under test, as one check sees it. Remembers its connections, so that a failure can show them."""

    def __init__(self, told: Told, shared: dict[str, Any], say: Callable[[dict[str, Any]], None]):
        """shared: what the checks of one act leave for each other. say: tell who asked a line beside the results."""
        self.told, self.shared, self.say = told, shared, say
        self.last: Talk | None = None

    def talk(self, patience_s: float | None = None, receive_buffer: int | None = None) -> Talk:
        """Open a connection; use it in a `with`."""
        told = self.told
        self.last = Talk(told.host, told.port, patience_s or told.patience_s, receive_buffer)
        return self.last

    def ask(self, path: str, method: str = "GET", *, headers: str = "", body: bytes | None = None) -> Reply:
        """Ask once, over a connection of its own."""
        with self.talk() as talk:
            return talk.ask(path, method, headers=headers, body=body)

    def still_serves(self) -> None:
        """See that a fresh client gets its answer. Raises Broken."""
        with self.talk() as talk:
            expect(talk, talk.ask("/plain"), 200, BODY, "/plain still answered afterwards")

    def stats(self, talk: Talk | None = None) -> dict[str, Any]:
        """Return /stats, asked on `talk` or on a connection of its own."""
        if talk is None:
            with self.talk() as own:
                return self.stats(own)
        reply = talk.ask("/stats")
        try:
            told = json.loads(reply.body)
        except ValueError:
            told = None
        if reply.status != 200 or not isinstance(told, dict):
            raise Broken("200 and a JSON object from /stats", str(reply), talk)
        return told

    def wait_for(self, expected: str, seen: Callable[[], str | None], within_s: float | None = None) -> None:
        """Wait until `seen` returns None; what it said last is what a failure shows."""
        deadline_s = time.monotonic() + (within_s or self.told.patience_s)
        while (said := seen()) is not None:
            if time.monotonic() > deadline_s:
                raise Broken(expected, f"{said}, {within_s or self.told.patience_s:g} s later")
            time.sleep(POLL_S)


def expect(talk: Talk, reply: Reply, status: int, body: bytes | None = None, what: str = "") -> None:
    """See that a reply has this status and, unless None, this body."""
    right = reply.status == status and (body is None or reply.body == body)
    if not right:
        wanted = f"{status}" if body is None else f"{status} with {len(body)} bytes {body[:40]!r}"
        raise Broken(f"{what}: {wanted}" if what else wanted, str(reply), talk)


def counted(stats: dict[str, Any], key: str) -> int:
    """Return a count of /stats. Raises Skipped where the variant cannot count it."""
    value = stats.get(key)
    if value is None:
        raise Skipped(f"/stats: {key} is null: it cannot be counted here")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Broken(f"/stats: {key} a count or null", repr(value))
    return value
