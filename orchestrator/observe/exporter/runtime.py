"""Ask a variant's own /stats for what only its runtime knows: goroutines, pauses, how late the loop is.

Each ask is a connection and a request that the server counts, so it is never part of a reading and never made in a
window that is scored: in the arena every EACH_S, in a trial when the story says so (it warms up, or holds everything).
It asks over a fresh connection that it says it will close, and reads to the end, so that nothing is open afterwards
and nobody is reset. Several processes behind one port are met by chance; only what all of them said is told.
Format of the answer: servers/CONTRACT.md.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from .errors import Absent, Malformed, Unavailable
from .namespace import open_within
from .target import Address

EACH_S = 5.0
SHOWN_S = 10.0  # how old an answer may be to be told as what is
ANSWER_WITHIN_S = 5.0
MOST_INSTANCES = 16  # meeting each by chance takes ten connections for each
_TRIES_EACH = 10
_MOST_BYTES = 65536
# Key of /stats -> how the processes of a server make one number of it.
_MERGE: dict[str, Callable[[Iterable[float]], float]] = {
    "goroutines": sum, "jvm_threads": sum, "processes": sum, "run_queue": sum, "heap_bytes": sum, "gc_cycles": sum,
    "gc_pause_s": sum, "sched_latency_p99_s": max, "loop_lag_s": max,
}  # fmt: skip
RUNTIME_NAMES = tuple(f"runtime_{key}" for key in _MERGE)


class Runtime:
    """What one target's servers said last; safe to share between threads."""

    def __init__(self, namespace: Path) -> None:
        self._namespace = namespace
        self._lock = threading.Lock()
        self._told: Mapping[str, float] = {}
        self._told_s = self._asked_s = float("-inf")
        self._is_asking = self._tells_nothing = False

    def begin(self, *, now: bool) -> bool:
        """Tell whether to ask, and if so keep others from asking at the same time. now: however short ago it was."""
        with self._lock:
            at_s = time.monotonic()
            if self._is_asking or self._tells_nothing or not (now or at_s - self._asked_s >= EACH_S):
                return False
            self._is_asking, self._asked_s = True, at_s
            return True

    def ask(self, at: Address, instances: int) -> None:
        """Ask all processes and keep what they say. Only after `begin`.

        Raises OSError, HTTPException, Malformed or Unavailable; what was kept is as it was then.
        """
        try:
            told = merge(self._ask_all(at, instances))
            with self._lock:
                self._told, self._told_s, self._tells_nothing = told, time.monotonic(), not told
        finally:
            with self._lock:
                self._is_asking = False

    def told(self) -> Mapping[str, float]:
        """Return name -> value. Raises Absent when there is no answer, or none new enough."""
        with self._lock:
            if self._tells_nothing:
                raise Absent("its /stats tells nothing of a runtime")
            if time.monotonic() - self._told_s > SHOWN_S:
                raise Absent(f"its /stats was not answered within the last {SHOWN_S:.0f} s")
            return self._told

    def _ask_all(self, at: Address, instances: int) -> list[Mapping[str, object]]:
        if instances > MOST_INSTANCES:
            raise Unavailable(f"/stats: {instances} processes share the port; at most {MOST_INSTANCES} are asked")
        found: dict[object, Mapping[str, object]] = {}
        for _ in range(_TRIES_EACH * instances):
            told = self._ask_one(at)
            found[told.get("instance")] = told
            if len(found) == instances:
                return list(found.values())
        raise Unavailable(f"/stats: of {instances} processes {len(found)} were met in {_TRIES_EACH * instances} tries")

    def _ask_one(self, at: Address) -> Mapping[str, object]:
        connection = HTTPConnection(at.host, at.port)
        connect = partial(socket.create_connection, (at.host, at.port), ANSWER_WITHIN_S)
        connection.sock = open_within(self._namespace, connect)
        try:
            connection.request("GET", "/stats", headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES)
            answer.close()
        finally:
            connection.close()
        try:
            told = json.loads(body)
        except ValueError:
            told = None
        if answer.status != 200 or not isinstance(told, dict):
            raise Malformed(f"/stats: expected 200 with a JSON object, saw {answer.status} with {body[:80]!r}")
        return told


def merge(answers: Iterable[Mapping[str, object]]) -> Mapping[str, float]:
    """Make one set of values of what several processes said, without what one of them lacks or could not count."""
    rows = list(answers)
    found: dict[str, float] = {}
    for key, how in _MERGE.items():
        values = [row.get(key) for row in rows]
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if rows and len(numbers) == len(rows):
            found[f"runtime_{key}"] = float(how(numbers))
    return found


ASK_FAILURES = (OSError, HTTPException, Malformed, Unavailable)
