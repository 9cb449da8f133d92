"""Talk to the exporter over HTTP: register what to observe, take readings.

Contract: docs/architecture.md, "What the exporter offers". Connection errors are retried a few times, since a container
that just started may not listen yet; an answer, even a refusal, is never asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import requests

from orchestrator.errors import NotReady

# A reading takes under 50 ms; where sixty processes hold a million descriptors, going through them takes seconds.
TIMEOUT_S = 15.0
TRIES = 3
PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one target around one instant: a name is in `values` or `grouped`, or else in `missing`."""

    at_s: float  # CLOCK_MONOTONIC, shared by all containers of the machine
    values: Mapping[str, float]
    grouped: Mapping[str, Mapping[str, float]]  # tcp_aborts: the kernel's reason -> connections
    missing: Mapping[str, str]  # name -> why it could not be read
    notes: Mapping[str, str]  # name -> what to know about its value
    due_in_s: Mapping[str, float] = field(default_factory=dict)  # name of a kept value -> before it is read anew
    asker_cpu_s: float = 0.0  # CPU time that this process, who asked, had used by then


class Exporter:
    """One exporter by its base URL, such as http://127.0.0.1:9100."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")

    def register(
        self,
        name: str,
        labels: Mapping[str, str],
        containers: Iterable[tuple[str, int]],
        *,
        shared_namespace: bool = False,
        listens: tuple[str, int] | None = None,
        stats: Literal["never", "told", "always"] = "never",
        beside: Iterable[tuple[str, int]] = (),
    ) -> Reading:
        """Observe these containers as one target from now on; return its first reading.

        labels: run_id, scenario, variant, for its series.
        containers: (id, the host's pid of its first process).
        shared_namespace: True in the arena, whose TCP counters belong to all its variants together.
        listens: host and port in their network namespace; None leaves accept queue and sockets out.
        stats: when its /stats may be asked; `told`: only by ask_stats.
        beside: the lab's other containers at work then, as `containers`; a reading tells their CPU time together.
        Raises NotReady when the exporter cannot be reached or refuses; its reason is in the text.
        """
        body = {
            "labels": dict(labels),
            "containers": [{"id": container_id, "pid": pid} for container_id, pid in containers],
            "shared_namespace": shared_namespace,
            "listens": {"host": listens[0], "port": listens[1]} if listens else None,
            "stats": stats,
            "beside": [{"id": container_id, "pid": pid} for container_id, pid in beside],
        }
        return _reading(self._ask("PUT", f"/targets/{name}", body))

    def forget(self, name: str) -> None:
        """Stop observing; a target that is not registered is already forgotten. Raises NotReady when unreachable."""
        self._ask("DELETE", f"/targets/{name}", absent_is_fine=True)

    def read(self, name: str) -> Reading:
        """Return a reading taken now. Raises NotReady when unreachable or the target is not registered."""
        return _reading(self._ask("GET", f"/readings/{name}"))

    def show_runs(self, runs: Sequence[Mapping[str, object]]) -> None:
        """Show these past runs, and no others, to Prometheus from now on (GET /runs).

        runs: as verdicts/stats.py describes them. Raises NotReady when unreachable or refused.
        """
        self._ask("PUT", "/runs", {"runs": list(runs)})

    def ask_stats(self, name: str) -> None:
        """Have the target's /stats asked now, without waiting for it: a connection and a request of its own.

        What fails is counted by the exporter. Raises NotReady when unreachable or the target is not registered.
        """
        self._ask("POST", f"/stats/{name}")

    def wait_ready(self, deadline_s: float) -> None:
        """Wait until it answers and samples. Raises NotReady after `deadline_s` seconds."""
        ends_s = time.monotonic() + deadline_s
        while True:
            seen = self._health()
            if not seen:
                return
            if time.monotonic() >= ends_s:
                raise NotReady(
                    f"exporter: no healthy answer from {self._base_url}/healthz within {deadline_s:.0f} s; "
                    f"last: {seen}. Try: docker logs of the container with the label io.netpoll-lab.role=exporter"
                )
            time.sleep(PAUSE_S)

    def _health(self) -> str:
        """Return what is wrong, or ''."""
        try:
            answer = requests.get(f"{self._base_url}/healthz", timeout=TIMEOUT_S)
        except requests.RequestException as why:
            return _cause(why)
        return "" if answer.status_code == 200 else f"status {answer.status_code}, {answer.text.strip()[:200]}"

    def _ask(
        self, method: str, path: str, body: object = None, *, absent_is_fine: bool = False
    ) -> Mapping[str, object]:
        what = f"exporter: {method} {self._base_url}{path}"
        for attempt in range(1, TRIES + 1):
            try:
                answer = requests.request(method, self._base_url + path, json=body, timeout=TIMEOUT_S)
                break
            except requests.RequestException as why:
                # A request that timed out was perhaps done; every one of these may be done twice.
                if attempt == TRIES:
                    raise NotReady(
                        f"{what}: expected an answer within {TIMEOUT_S:.0f} s, saw {_cause(why)} ({TRIES} tries). "
                        "Try: lab up, or docker logs of the container with the label io.netpoll-lab.role=exporter"
                    ) from why
                time.sleep(PAUSE_S)
        if answer.status_code == 404 and absent_is_fine:
            return {}
        try:
            told = answer.json()
        except ValueError:
            told = {"error": answer.text.strip()[:200]}
        if answer.status_code not in (200, 202) or not isinstance(told, dict):
            reason = told.get("error", told) if isinstance(told, dict) else told
            raise NotReady(
                f"{what}: expected 200, saw {answer.status_code}: {reason}. Try: lab down, then lab up, if the target "
                "was registered with an exporter that has been replaced since"
            )
        return told


def _reading(told: Mapping[str, object]) -> Reading:
    at_s, values, missing = (told.get(key) for key in ("at_s", "values", "missing"))
    notes, due_in_s = (found if isinstance(found := told.get(key), dict) else {} for key in ("notes", "due_in_s"))
    if not isinstance(at_s, int | float) or not isinstance(values, dict) or not isinstance(missing, dict):
        raise NotReady(
            f"exporter: expected a reading with at_s, values and missing, saw {str(told)[:200]!r}. "
            "Try: lab build; its image may be of another version"
        )
    plain = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
    grouped = {name: value for name, value in values.items() if isinstance(value, dict)}
    return Reading(float(at_s), plain, grouped, missing, notes, due_in_s, time.process_time())


def _cause(why: requests.RequestException) -> str:
    """Say in a few words what `requests` says in a nested exception."""
    reason = getattr(why.args[0], "reason", why) if why.args else why
    return f"{type(why).__name__}: {str(reason).rpartition('>: ')[2] or reason}"
