"""See a trial from outside while the story runs it: kernel, processes, server and web page, each by its own account.

Sampling never touches the load's path: sockstat and status are files of the host (tens of µs each), the page is asked
once a second, the server once, some seconds after the kernel says that everything is open. What could not be seen
is None, with its reason in `Seen.missing`.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException

from orchestrator.containers.labels import LAB, ROLE
from orchestrator.containers.launch import run_inside
from orchestrator.errors import LabError
from orchestrator.load.master import Master
from orchestrator.model import Scenario, TrialSpec

INSIDE = (Path(__file__).parent / "inside.py").read_text()
_PERIOD_S = 0.02  # of the kernel's count: what an instant read from it may be late by
_SLOWER = 10  # every how many periods memory is read
_PAGE_S = 1.0
_ASK_AFTER_S = (
    6.0  # once all are open: the trial asks the same question first, and each would count the other's connection
)
_POD_S = 600.0  # of a million connections there are over a hundred containers


@dataclass(slots=True)
class Seen:
    """What was seen of one trial. Times: seconds since the order to start; None: never, or not seen."""

    first_s: float | None = None  # the kernel's first client socket
    all_open_s: float | None = None  # both ends of every connection exist in the kernel
    most_open: int | None = None  # connections by the kernel's count of sockets, both ends
    workers_rss_bytes: int | None = None  # all processes of all workers together, at their peak
    host_available_bytes: int | None = None  # MemAvailable at its lowest
    server_count: dict[str, Any] | None = None  # /stats over all processes, taken once all were open
    shown: int | None = None  # the most established connections that the master showed
    page_slowest_s: float | None = None  # the web UI's start page, while the load was on
    missing: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """Return it for the details file."""
        return {name: getattr(self, name) for name in self.__slots__}


class Ordered(Master):
    """A master that notes when it was told to start and which windows it was told to score."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.started_s: float | None = None
        self.windows: dict[str, tuple[float, float]] = {}
        self.window_told = threading.Event()

    def start(self, *args: Any, **kwargs: Any) -> None:
        self.started_s = time.monotonic()
        super().start(*args, **kwargs)

    def open_window(self, window_id: str, start_s: float, end_s: float) -> None:
        super().open_window(window_id, start_s, end_s)
        self.windows[window_id] = (start_s, end_s)
        self.window_told.set()


class Witness:
    """Watches the one pod of a lab from the moment its containers are there; a context manager."""

    def __init__(
        self, client: docker.DockerClient, lab: str, spec: TrialSpec, scenario: Scenario, master: Ordered
    ) -> None:
        self.seen = Seen()
        self._client, self._lab, self._spec, self._master = client, lab, spec, master
        self._requested = scenario.connections
        # Only where there is time between the trial's own questions and the answers.
        self._is_asked = scenario.kind == "hold" and scenario.delay_s > _ASK_AFTER_S
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._guarded, args=(f,)) for f in (self._sample, self._watch_page)]

    def __enter__(self) -> Witness:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except (LabError, OSError, ValueError, DockerException, requests.RequestException) as error:
            self.seen.missing[work.__name__.strip("_")] = f"{type(error).__name__}: {str(error)[:200]}"

    def _sample(self) -> None:
        """Follow the kernel's count of sockets and the workers' memory until the trial is over."""
        pids = self._find_pod()
        if pids is None:
            return
        holder, workers, worker_id = pids
        baseline = read_sockets(holder)
        turn = 0
        while not self._over.wait(_PERIOD_S):
            started_s = self._master.started_s
            if started_s is None:
                baseline = read_sockets(holder)  # listeners, and the workers' connections to the master
                continue
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the pod goes before we are told
                self._note_sockets(read_sockets(holder) - baseline, time.monotonic() - started_s)
                if turn % _SLOWER == 0:
                    self._note_memory(workers)
            if self._is_asked and self._is_time_to_ask():
                self._is_asked = False
                self._ask_server(worker_id)
            turn += 1

    def _is_time_to_ask(self) -> bool:
        opened_s, started_s = self.seen.all_open_s, self._master.started_s
        if opened_s is None or started_s is None:
            return False
        return time.monotonic() > started_s + opened_s + _ASK_AFTER_S

    def _note_sockets(self, sockets: int, at_s: float) -> None:
        seen = self.seen
        if sockets > 1 and seen.first_s is None:
            seen.first_s = at_s
        seen.most_open = max(seen.most_open or 0, sockets // 2)
        if seen.all_open_s is None and sockets >= 2 * self._requested:
            seen.all_open_s = at_s

    def _note_memory(self, workers: Iterable[int]) -> None:
        rss = sum(rss_bytes(pid) for pid in workers)
        self.seen.workers_rss_bytes = max(self.seen.workers_rss_bytes or 0, rss)
        available = available_bytes()
        self.seen.host_available_bytes = min(self.seen.host_available_bytes or available, available)

    def _ask_server(self, inside: str) -> None:
        told = json.dumps({"processes": self._spec.server_processes})
        code, output = run_inside(self._client, inside, ["python3", "-c", INSIDE, "count", told])
        answer = json.loads(output) if code == 0 else {"error": f"ended with {code}: {output[-200:]!r}"}
        if "error" in answer:
            self.seen.missing["server"] = answer["error"]
        else:
            self.seen.server_count = answer

    def _find_pod(self) -> tuple[int, list[int], str] | None:
        """Return the holder's pid, the workers' and one worker's id, once all are there; None when it never came."""
        end_s = time.monotonic() + _POD_S
        while not self._over.wait(0.2) and time.monotonic() < end_s:
            filters: dict[str, Any] = {"label": f"{LAB}={self._lab}"}
            found = self._client.containers.list(filters=filters, ignore_removed=True)
            holders = [c for c in found if c.labels.get(ROLE) == "holder"]
            workers = [c for c in found if c.labels.get(ROLE) == "worker"]
            if holders and len(workers) == self._spec.workers:
                with contextlib.suppress(APIError):
                    pids = [self._pid(str(c.id)) for c in (*holders, *workers)]
                    if all(pids):
                        return pids[0], pids[1:], str(workers[0].id)
        self.seen.missing["pod"] = "its containers did not appear"
        return None

    def _pid(self, container: str) -> int:
        return int(self._client.api.inspect_container(container)["State"]["Pid"])

    def _watch_page(self) -> None:
        """Ask the web UI as a person would, while the load is on."""
        master = Master(self._master.url)
        session = requests.Session()
        session.trust_env = False
        while not self._over.wait(_PAGE_S):
            if self._master.started_s is None:
                continue
            begun_s = time.monotonic()
            session.get(self._master.url + "/", timeout=10.0).raise_for_status()
            self.seen.page_slowest_s = max(self.seen.page_slowest_s or 0.0, time.monotonic() - begun_s)
            self.seen.shown = max(self.seen.shown or 0, master.state().established)


def read_sockets(pid: int) -> int:
    """Return the TCP sockets in use in a process's network namespace, listeners included, TIME_WAIT not."""
    for line in Path(f"/proc/{pid}/net/sockstat").read_text().splitlines():
        if line.startswith("TCP: inuse "):
            return int(line.split()[2])
    raise ValueError(f"/proc/{pid}/net/sockstat: expected a line 'TCP: inuse N'")


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a container's first process and its children, shared pages counted in each."""
    total = 0
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            total = int(line.split()[1]) * 1024
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return total + sum(rss_bytes(int(child)) for child in children.read_text().split())


def available_bytes() -> int:
    """Return the host's MemAvailable."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise ValueError("/proc/meminfo: expected a line 'MemAvailable: N kB'")
