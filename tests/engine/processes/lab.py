"""A small lab of real processes for the tests: one server of servers/, Locust's master and its workers, no containers.

Everything binds loopback and free ports; what was started is killed by its pid at the end. Every wait has a deadline.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.swarm.compiler import ENGINE

ROOT = Path(__file__).resolve().parents[3]
HOST = "127.0.0.1"
PATIENCE_S = 30.0  # for what takes a second on an idle machine
NONCE = "5eed" * 8
RAMP = {"of": "rate", "step_s": 1.0, "settle_s": 0.3, "most_errors_ratio": 0.01, "most_p99_s": 0.4}

T = TypeVar("T")


def build_server(folder: Path, name: str = "c-epoll") -> Path:
    """Compile a C variant as images/runtime-c.Dockerfile does; return the program."""
    shutil.copytree(ROOT / "servers" / name, folder, dirs_exist_ok=True)
    shutil.copytree(ROOT / "servers" / "_shared-c", folder / "shared", dirs_exist_ok=True)
    sources = [str(path) for path in [*folder.glob("*.c"), *(folder / "shared").glob("*.c")]]
    command = ["gcc", "-O2", "-std=gnu17", "-pthread", f"-I{folder}", "-o", str(folder / "server"), *sources]
    subprocess.run(command, check=True, timeout=120)
    return folder / "server"


def build_engine() -> None:
    """Make the library where swarm/engine/binding.py looks for it."""
    subprocess.run(["make", "-s", "-C", str(ENGINE)], check=True, timeout=300)


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(what: str, read: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
    """Return the first thing `read` returns that is true, asking every 50 ms. Raises TimeoutError."""
    end_s = time.monotonic() + patience_s
    while True:
        if seen := read():
            return seen
        if time.monotonic() > end_s:
            raise TimeoutError(f"{what}: not within {patience_s:g} s")
        time.sleep(0.05)


class Lab:
    """The processes, and what can be asked of them. scenarios and targets: as in LAB_SWARM."""

    def __init__(
        self, folder: Path, server: Path | None, scenarios: dict[str, Any], *, once: bool = False, **target: Any
    ):
        self.folder = folder
        self.port, self.rpc, self.web = free_port(), free_port(), free_port()
        seen: dict[str, Any] = {"host": HOST, "port": self.port, "speaks": "http", "fixed_delay": False, "nonce": NONCE}
        seen |= target
        self.port = seen["port"]
        self.told = {"scenarios": scenarios, "targets": {"v": seen}, "once": once, "opening": 128}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        if server is not None:
            self.start_server(server)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.kill(name)

    def start_server(self, program: Path) -> None:
        told = {"LAB_HOST": HOST, "LAB_PORT": str(self.port), "LAB_NONCE": NONCE}
        self._start("server", [str(program)], told)
        wait_for("the server listens", lambda: self.server_stats() is not None)

    def start_master(self) -> None:
        bind = ["--master-bind-host", HOST, "--master-bind-port", str(self.rpc)]
        self._start_locust("master", ["--master", *bind, "--web-host", HOST, "--web-port", str(self.web)], {})

    def start_worker(self, number: int, of: int, **environment: str) -> None:
        told = {"LAB_WORKER_ID": f"w{number}", "LAB_WORKER_SHARE": f"{number}/{of}"} | environment
        self._start_locust(f"w{number}", ["--worker", "--master-host", HOST, "--master-port", str(self.rpc)], told)

    def start_swarm(self, workers: int = 2, **environment: str) -> None:
        """Start a master and workers, and wait until all are ready."""
        self.start_master()
        for number in range(workers):
            self.start_worker(number, workers, **environment)
        self.wait_ready(workers)

    def wait_ready(self, workers: int) -> dict[str, Any]:
        def seen() -> dict[str, Any] | None:
            state = self.state()
            ready = [worker for worker in state.get("workers", []) if worker["state"] == "ready"]
            return state if len(ready) == workers and state["state"] in ("ready", "stopped") else None

        return wait_for(f"{workers} workers are ready", seen)

    def kill(self, name: str) -> None:
        """SIGKILL, by the pid that was started here."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=PATIENCE_S)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def get(self, path: str) -> Any:
        """Return a JSON answer of the master's; {} while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.web}{path}", timeout=PATIENCE_S) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            return {}

    def post(self, path: str, fields: dict[str, Any] | None = None, told: dict[str, Any] | None = None) -> Any:
        data = json.dumps(told) if told is not None else urllib.parse.urlencode(fields or {}, doseq=True)
        asked = urllib.request.Request(f"http://{HOST}:{self.web}{path}", data=data.encode(), method="POST")
        with urllib.request.urlopen(asked, timeout=PATIENCE_S * 2) as answer:
            return json.load(answer)

    def state(self) -> Any:
        return self.get("/lab/state")

    def connections(self) -> Any:
        return self.state()["connections"]

    def server_stats(self) -> dict[str, Any] | None:
        """Return the server's /stats; asking is a connection and a request of its own."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/stats", timeout=5) as answer:
                stats: dict[str, Any] = json.load(answer)
                return stats
        except OSError:
            return None

    def start(self, scenario: str, users: int, per_user: int = 1, **form: Any) -> Any:
        """Start the swarm and return Locust's answer."""
        fields = {"user_count": users, "spawn_rate": users, "scenario": scenario, "connections_per_user": per_user}
        return self.post("/swarm", fields | {"variants": "v"} | form)

    def stop(self, workers: int = 2) -> None:
        self.post("/stop")
        self.wait_ready(workers)

    def open_window(self, name: str, in_s: float, for_s: float) -> None:
        now_s = self.state()["monotonic_s"]
        self.post("/lab/window", told={"window_id": name, "start_s": now_s + in_s, "end_s": now_s + in_s + for_s})

    def wait_window(self, name: str) -> dict[str, Any]:
        def closed() -> dict[str, Any] | None:
            parts: dict[str, Any] = self.get(f"/lab/window/{name}?rows=no")
            return parts if parts.get("closed") else None

        parts = wait_for(f"window {name} closes", closed)
        window: dict[str, Any] = self.get(f"/lab/window/{name}")
        assert parts == window | {"rows": []}
        return window

    def _start_locust(self, name: str, arguments: list[str], told: dict[str, str]) -> None:
        environment = {"LAB_SWARM": json.dumps(self.told), "PYTHONPATH": str(ROOT)} | told
        self._start(name, [sys.executable, "-m", "swarm", "-f", "swarm/locustfile.py", *arguments], environment)

    def _start(self, name: str, command: list[str], told: dict[str, str]) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self.processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | told, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


def row_of(window: dict[str, Any]) -> dict[str, Any]:
    """Return a window's only row, its histogram with whole numbers."""
    row: dict[str, Any]
    (row,) = window["rows"]
    return row | {"histogram_us": {int(key): count for key, count in row["histogram_us"].items()}}


def quantile_us(histogram: dict[int, int], q: float) -> int:
    """Return the nearest-rank quantile of a window's histogram."""
    seen, total = 0, sum(histogram.values())
    for value_us in sorted(histogram):
        seen += histogram[value_us]
        if seen >= q * total:
            return value_us
    raise AssertionError("an empty histogram has no quantile")
