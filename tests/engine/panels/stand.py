"""The run that is watched here, and the page before a person: what the tests of this folder share.

The run is `quick` made short: the same variants, a scenario of each of its kinds with fewer connections or a shorter
window, and one trial of each instead of two.
"""

from __future__ import annotations

import json
import signal
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine.conftest import PORTS, VARIANTS

PROMETHEUS = f"http://127.0.0.1:{PORTS['prometheus_port']}"
WEB = f"http://127.0.0.1:{PORTS['web_port']}"
HELD = 800
SCENARIOS: dict[str, dict[str, Any]] = {
    "closed-short": {
        "summary": "one after the other", "kind": "closed", "path": "/plain", "connections": 50, "warmup": "500ms",
        "measure": "2s", "timeout": "5s",
    },
    "open-short": {
        "summary": "arrivals by the clock", "kind": "open", "path": "/plain", "connections": 300, "rate": "2000/s",
        "warmup": "1s", "measure": "3s", "timeout": "5s",
    },
    "hold-short": {"summary": "a short hold", "kind": "hold", "connections": HELD, "delay": "3s", "timeout": "4s"},
}  # fmt: skip
SUITES = {
    "panels": {
        "summary": "something for every panel", "scenarios": list(SCENARIOS), "variants": list(VARIANTS),
        "trials": 1, "profile": "default", "seed": 3, "probe": "2s",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """A run, and between which instants Prometheus watched it."""

    run_id: str
    began_s: float
    ended_s: float


# The page in a browser: what a wait may take, and where pictures go for whoever wants to look (LAB_SCREENSHOTS).
PATIENCE_S = 30.0
PAGE = f"{WEB}/lab"


class Page:
    """The live page as a person has it before them."""

    def __init__(self, driver: Any, folder: Path):
        self.driver = driver
        self.folder = folder

    def wait(self, what: str, read: Callable[[], Any]) -> Any:
        end_s = time.monotonic() + PATIENCE_S
        while not (seen := read()):
            assert time.monotonic() < end_s, f"{what}: the page says {self.status()!r}"
            time.sleep(0.1)
        return seen

    def status(self) -> str:
        return str(self.driver.find_element("id", "status").text)

    def choose(self, select: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.driver.find_element("id", select)).select_by_value(value)

    def cards(self) -> list[Any]:
        return list(self.driver.find_elements("css selector", ".panel"))

    def complaints(self) -> list[str]:
        # A container that starts elsewhere brings an interface with it; chromium then drops what is under way once.
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING") and "ERR_NETWORK_CHANGED" not in entry["message"]
        ]

    def picture(self, name: str) -> None:
        self.driver.save_screenshot(str(self.folder / f"{name}.png"))


def post(path: str, **fields: Any) -> Any:
    data = urllib.parse.urlencode(fields, doseq=True).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{WEB}{path}", data=data, method="POST"), timeout=60) as answer:
        return json.load(answer)


def take_interrupts() -> None:
    """In a child: end at SIGINT, even where this suite was started in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def state() -> dict[str, Any]:
    with urllib.request.urlopen(f"{WEB}/lab/state", timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
        return told
