"""Drive Locust's master over REST.

Words in, values out. Locust's own verbs are /swarm and /stop; the /lab routes are ours (docs/architecture.md). Times
are the master's CLOCK_MONOTONIC, which every container of one kernel shares.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from orchestrator.errors import NotReady

_TIMEOUT_S = 10.0  # the master shares its core with the swarm; it answered within 0.7 s at 100,000 connections


@dataclass(frozen=True, slots=True)
class SwarmState:
    """The swarm at one instant."""

    monotonic_s: float
    state: str  # Locust's: ready, spawning, running, cleanup, stopping, stopped
    user_count: int
    workers: Mapping[str, str]  # worker id -> its state
    established: int  # connections open now
    answered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Row:
    """What one variant answered within a window."""

    variant: str
    name: str
    answered: int
    histogram_us: Mapping[int, int]
    errors: Mapping[str, int]
    connections_opened: int


@dataclass(frozen=True, slots=True)
class Window:
    """The scored interval, as far as its workers have handed it in."""

    workers_closed: Mapping[str, bool]
    worker_cpu_ratio: Mapping[str, float]  # of those that handed their part in
    rows: tuple[Row, ...]


class Master:
    """Locust's master at one address. Making one does no I/O."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy for the outside world has no business here

    def state(self) -> SwarmState:
        """Return the swarm's state now. Raises NotReady when the master does not answer."""
        seen = self._call("GET", "/lab/state")
        connections = seen["connections"]
        return SwarmState(
            monotonic_s=float(seen["monotonic_s"]),
            state=str(seen["state"]),
            user_count=int(seen["user_count"]),
            workers={str(w["id"]): str(w["state"]) for w in seen["workers"]},
            established=int(connections["established"]),
            answered=int(connections["answered"]),
            failed=int(connections["failed"]),
        )

    def wait_ready(self, deadline_s: float) -> None:
        """Wait until the master answers. Raises NotReady after deadline_s seconds."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                self.state()
                return
            except NotReady:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def wait_workers(self, prefix: str, count: int, deadline_s: float) -> SwarmState:
        """Wait until `count` workers whose id starts with `prefix` are ready, and no others are there."""
        end = time.monotonic() + deadline_s
        while True:
            seen = self.state()
            ours = [w for w, state in seen.workers.items() if w.startswith(prefix) and state == "ready"]
            others = [w for w, state in seen.workers.items() if not w.startswith(prefix) and state != "missing"]
            if len(ours) == count and not others and seen.state in ("ready", "stopped"):
                return seen
            if time.monotonic() > end:
                raise NotReady(
                    f"swarm: expected {count} ready workers {prefix}* at a master at rest, seen {dict(seen.workers)} "
                    f"and {seen.state} after {deadline_s:.0f} s. Try: docker logs of the worker containers "
                    "(lab status names them)"
                )
            time.sleep(0.05)

    def label(self, run_id: str, scenario: str) -> None:
        """Set the labels of the client side's series."""
        self._call("POST", "/lab/labels", json={"run_id": run_id, "scenario": scenario})

    def forget(self, workers: Sequence[str]) -> None:
        """Drop workers whose processes are gone, whether or not their goodbye came through."""
        self._call("POST", "/lab/forget", json={"workers": list(workers)})

    def open_window(self, window_id: str, start_s: float, end_s: float) -> None:
        """Tell the workers what to score: what completes in [start_s, end_s)."""
        self._call("POST", "/lab/window", json={"window_id": window_id, "start_s": start_s, "end_s": end_s})

    def read_window(self, window_id: str) -> Window:
        """Return what the workers handed in for a window so far."""
        seen = self._call("GET", f"/lab/window/{window_id}")
        return Window(
            workers_closed={str(k): bool(v["closed"]) for k, v in seen["workers"].items()},
            worker_cpu_ratio={
                str(k): float(v["cpu_ratio"]) for k, v in seen["workers"].items() if v["cpu_ratio"] is not None
            },
            rows=tuple(
                Row(
                    variant=str(r["variant"]),
                    name=str(r["name"]),
                    answered=int(r["answered"]),
                    histogram_us={int(k): int(v) for k, v in r["histogram_us"].items()},
                    errors={str(k): int(v) for k, v in r["errors"].items()},
                    connections_opened=int(r["connections_opened"]),
                )
                for r in seen["rows"]
            ),
        )

    def wait_window(self, window_id: str, workers: int, deadline_s: float) -> Window:
        """Wait until all workers handed their part in, or deadline_s passed; return what is there."""
        end = time.monotonic() + deadline_s
        while True:
            window = self.read_window(window_id)
            if sum(window.workers_closed.values()) >= workers or time.monotonic() > end:
                return window
            time.sleep(0.05)

    def start(self, users: int, spawn_rate: float, scenario: str, variants: Sequence[str]) -> None:
        """Start the swarm. Raises NotReady with Locust's own words when it refuses."""
        form = {"user_count": users, "spawn_rate": spawn_rate, "scenario": scenario, "variants": list(variants)}
        seen = self._call("POST", "/swarm", data=form)
        if not seen.get("success"):
            raise NotReady(f"swarm: Locust refused to start: {seen.get('message')}. Try: lab status")

    def stop(self) -> None:
        """Stop the swarm and wait until Locust says that it has; Locust itself takes a second or two to say so."""
        self._call("POST", "/stop")

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = self._session.request(method, self.url + path, timeout=_TIMEOUT_S, **arguments)
        except requests.RequestException as error:
            raise NotReady(
                f"Locust's master does not answer {method} {self.url}{path}: {type(error).__name__}. "
                "Try: lab status, then docker logs of its master container"
            ) from error
        if answer.status_code != 200:
            raise NotReady(f"{method} {self.url}{path}: expected 200, seen {answer.status_code}: {answer.text[:200]!r}")
        body = answer.json()
        return body if isinstance(body, dict) else {}
