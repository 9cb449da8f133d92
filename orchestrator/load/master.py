"""Drive Locust's master over REST.

Words in, values out. Locust's own verbs are /swarm and /stop; the /lab routes are ours (docs/architecture.md). Times
are the master's CLOCK_MONOTONIC, which every container of one kernel shares.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import requests

from orchestrator.errors import NotReady
from orchestrator.model import Step

T = TypeVar("T", int, float)

_TRIES = 3
_TIMEOUT_S = 10.0  # the master shares its core with the swarm; it answered within 0.7 s at 100,000 connections
_WHOLE_TIMEOUT_S = 60.0  # for a window of a million latencies, nearly all different: seconds of work, on a shared core


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
    waiting: int | None = None  # asked and not answered yet
    planned: int | None = None  # open, storm: arrivals whose time has come
    sent: int | None = None
    first_connect_s: float | None = None  # when the first connect of the window began; None: none has
    last_established_s: float | None = None  # when the last one was done
    memory_bytes: Mapping[str, int] = field(default_factory=dict)  # worker id -> RSS, of those that said
    worker_cpu_ratio: Mapping[str, float] = field(default_factory=dict)  # worker id -> since the report before its last
    engine_cpu_ratio: Mapping[str, float] = field(default_factory=dict)  # of those that have an engine's thread
    run_id: str = ""  # the labels of the client side's series now
    scenario: str = ""
    ramp: str = ""  # how far a ramp is, in words


@dataclass(frozen=True, slots=True)
class Ramp:
    """How far a ramp is."""

    is_running: bool
    steps: tuple[Step, ...]
    breaking_point: float | None  # the last step that held
    bound_by: str
    windows: tuple[str, ...] = ()  # one id for each step, to read what it answered


@dataclass(frozen=True, slots=True)
class Row:
    """What one variant answered within a window."""

    variant: str
    name: str
    answered: int
    histogram_us: Mapping[int, int]
    errors: Mapping[str, int]
    connections_opened: int
    planned: int = 0  # open, storm: arrivals whose time lay in the window
    sent: int = 0
    late: int = 0
    dropped: int = 0
    unanswered: int = 0  # belong to the window and had no outcome when it was handed in
    lag_us: Mapping[int, int] = field(default_factory=dict)  # from plan to send -> arrivals


@dataclass(frozen=True, slots=True)
class Window:
    """The scored interval, as far as its workers have handed it in."""

    workers_closed: Mapping[str, bool]
    worker_cpu_ratio: Mapping[str, float]  # of those that handed their part in
    rows: tuple[Row, ...]
    engine_cpu_ratio: Mapping[str, float] = field(default_factory=dict)  # of those that have an engine's thread
    memory_bytes: Mapping[str, int] = field(default_factory=dict)


class Master:
    """Locust's master at one address. Making one does no I/O."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy for the outside world has no business here

    def state(self) -> SwarmState:
        """Return the swarm's state now. Raises NotReady when the master does not answer."""
        seen = self._call("GET", "/lab/state")
        try:
            return _state(seen)
        except (KeyError, TypeError, ValueError):
            raise _stranger(f"GET {self.url}/lab/state", str(seen)) from None

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
        """Set the labels of the client side's series. scenario: "": each test's own."""
        self._call("POST", "/lab/labels", json={"run_id": run_id, "scenario": scenario})

    def forget(self, workers: Sequence[str]) -> None:
        """Drop workers whose processes are gone, whether or not their goodbye came through."""
        self._call("POST", "/lab/forget", json={"workers": list(workers)})

    def open_window(self, window_id: str, start_s: float, end_s: float) -> None:
        """Tell the workers what to score: what completes in [start_s, end_s)."""
        self._call("POST", "/lab/window", json={"window_id": window_id, "start_s": start_s, "end_s": end_s})

    def read_window(self, window_id: str) -> Window:
        """Return what the workers handed in for a window so far, whole: the more latencies differ the dearer it is.

        Raises NotReady when the master does not answer or does not know the window.
        """
        seen = self._call("GET", f"/lab/window/{window_id}", timeout=_WHOLE_TIMEOUT_S)
        return Window(
            workers_closed={str(k): bool(v["closed"]) for k, v in seen["workers"].items()},
            worker_cpu_ratio=_of_workers(float, seen, "cpu_ratio"),
            rows=tuple(map(_row, seen["rows"])),
            engine_cpu_ratio=_of_workers(float, seen, "engine_cpu_ratio"),
            memory_bytes=_of_workers(int, seen, "memory_bytes"),
        )

    def read_ramp(self) -> Ramp:
        """Return how far the ramp is that the master drives since the last start of such a scenario."""
        seen = self._call("GET", "/lab/ramp")
        return Ramp(
            is_running=bool(seen["running"]),
            steps=tuple(map(_step, seen["steps"])),
            breaking_point=_maybe(float, seen["breaking_point"]),
            bound_by=str(seen["bound_by"] or ""),
            windows=tuple(map(str, seen.get("windows", ()))),
        )

    def count_parts(self, window_id: str) -> int:
        """Return how many workers handed their part of a window in; cheap, whatever the parts hold.

        Raises NotReady as read_window does.
        """
        seen = self._call("GET", f"/lab/window/{window_id}?rows=no")
        return sum(bool(worker["closed"]) for worker in seen["workers"].values())

    def start(
        self,
        users: int,
        spawn_rate: float,
        scenario: str,
        variants: Sequence[str],
        connections_per_user: int | None = None,
    ) -> None:
        """Start the swarm. Raises NotReady with Locust's own words when it refuses.

        connections_per_user: of engine users; 0: each drives its worker's share of the scenario's connections and rate.
        """
        form = {"user_count": users, "spawn_rate": spawn_rate, "scenario": scenario, "variants": list(variants)}
        if connections_per_user is not None:
            form["connections_per_user"] = connections_per_user
        seen = self._call("POST", "/swarm", data=form)
        if not seen.get("success"):
            raise NotReady(f"swarm: Locust refused to start: {seen.get('message')}. Try: lab status")

    def stop(self) -> None:
        """Stop the swarm and wait until Locust says that it has; Locust itself takes a second or two to say so."""
        self._call("POST", "/stop")

    def complaints(self) -> list[str]:
        """Return the errors that Locust counted in this test, the most frequent first, whether in a window or not."""
        seen = self._call("GET", "/stats/requests")
        errors = sorted(seen.get("errors", []), key=lambda one: -int(one["occurrences"]))
        return [str(one["error"]) for one in errors]

    def _call(self, method: str, path: str, *, timeout: float = _TIMEOUT_S, **arguments: Any) -> dict[str, Any]:
        try:
            answer = self._request(method, path, timeout=timeout, **arguments)
        except requests.RequestException as error:
            raise NotReady(
                f"Locust's master does not answer {method} {self.url}{path}: {type(error).__name__}. "
                "Try: lab status, then docker logs of its master container"
            ) from error
        if answer.status_code != 200:
            raise NotReady(f"{method} {self.url}{path}: expected 200, seen {answer.status_code}: {answer.text[:200]!r}")
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise _stranger(f"{method} {self.url}{path}", answer.text)
        return body

    def _request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Ask; what changes nothing is asked again where a busy master was late."""
        for _ in range(_TRIES - 1 if method == "GET" else 0):
            with contextlib.suppress(requests.Timeout):
                return self._session.request(method, self.url + path, **arguments)
        return self._session.request(method, self.url + path, **arguments)


def _state(seen: Mapping[str, Any]) -> SwarmState:
    connections = seen["connections"]
    return SwarmState(
        monotonic_s=float(seen["monotonic_s"]),
        state=str(seen["state"]),
        user_count=int(seen["user_count"]),
        workers={str(w["id"]): str(w["state"]) for w in seen["workers"]},
        established=int(connections["established"]),
        answered=int(connections["answered"]),
        failed=int(connections["failed"]),
        waiting=_maybe(int, connections.get("waiting")),
        planned=_maybe(int, connections.get("planned")),
        sent=_maybe(int, connections.get("sent")),
        first_connect_s=_maybe(float, connections.get("first_connect_s")),
        last_established_s=_maybe(float, connections.get("last_established_s")),
        memory_bytes=_by_id(int, seen, "memory_bytes"),
        worker_cpu_ratio=_by_id(float, seen, "cpu_ratio"),
        engine_cpu_ratio=_by_id(float, seen, "engine_cpu_ratio"),
        run_id=str(seen.get("run_id", "")),
        scenario=str(seen.get("scenario", "")),
        ramp=str(seen.get("ramp", "")),
    )


def _row(told: Mapping[str, Any]) -> Row:
    return Row(
        variant=str(told["variant"]),
        name=str(told["name"]),
        answered=int(told["answered"]),
        histogram_us={int(k): int(v) for k, v in told["histogram_us"].items()},
        errors={str(k): int(v) for k, v in told["errors"].items()},
        connections_opened=int(told["connections_opened"]),
        lag_us={int(k): int(v) for k, v in told.get("lag_us", {}).items()},
        **{name: int(told.get(name, 0)) for name in ("planned", "sent", "late", "dropped", "unanswered")},
    )


def _step(told: Mapping[str, Any]) -> Step:
    names = {field.name for field in fields(Step)}
    try:
        return Step(**{name: value for name, value in told.items() if name in names})
    except TypeError as error:
        raise NotReady(f"Locust's master told a step of a ramp that is not whole: {error}. Try: lab build") from None


def _by_id(kind: type[T], state: Mapping[str, Any], name: str) -> dict[str, T]:
    """Return worker -> value, of the workers that said."""
    return {str(w["id"]): kind(w[name]) for w in state["workers"] if w.get(name) is not None}


def _of_workers(kind: type[T], window: Mapping[str, Any], name: str) -> dict[str, T]:
    """Return worker -> value, of the workers that have one."""
    return {str(k): kind(v[name]) for k, v in window["workers"].items() if v.get(name) is not None}


def _stranger(what: str, said: str) -> NotReady:
    return NotReady(
        f"{what}: expected the lab's own master, seen another program that says {said[:60]!r}. "
        "Stop it, or choose another web_port under observability in lab.yaml"
    )


def _maybe(kind: type[T], value: Any) -> T | None:
    return None if value is None else kind(value)
