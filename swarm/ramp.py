"""Drive a ramp: step up until something binds, and name it.

The master runs one `Driver` per test of kind ramp, from the page and in a trial alike: each step's total goes to the
workers as `lab_change`, a window is opened for it, and `judge_step` (pure) decides whether the next one follows.
The sleeping and the sending come in from outside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from swarm.ledger import Ledger
from swarm.settings import Scenario

# Of one core, the engine's thread (or the worker without one); of all the CPUs that the workers share, all of them
# together: above, the generator is what is measured. The verdicts of closed trials draw the same lines
# (orchestrator/verdicts/validity.py).
GENERATOR_FULL_RATIO = 0.9
SLACK_S = 5.0  # for the parts to arrive, beyond the exchanges' own patience
POLL_S = 0.05
SPAWN_S = 30.0  # the longest the first step waits for its users


def quantile_us(histogram: Mapping[str, int], q: float) -> int | None:
    """Return the latency that a fraction q of the answers did not exceed: nearest rank; None without answers."""
    total, seen = sum(histogram.values()), 0
    for value_us, count in sorted((int(value_us), count) for value_us, count in histogram.items()):
        seen += count
        if seen >= q * total:
            return value_us
    return None


def judge_step(scenario: Scenario, offered: float, summary: Mapping[str, Any], established: int) -> dict[str, Any]:
    """Return one step as GET /lab/ramp shows it. summary: a closed window's, from the ledger.

    binds: "generator" comes first, because behind a full generator nothing else can be told; then errors, then
    latency. Arrivals that were never sent are errors: the server did not free a connection in time.
    """
    ramp = scenario.ramp
    assert ramp is not None
    histogram: dict[str, int] = {}
    wrong = 0
    for row in summary["rows"]:
        wrong += sum(row["errors"].values()) + row["dropped"]
        for value_us, count in row["histogram_us"].items():
            histogram[value_us] = histogram.get(value_us, 0) + count
    answered = sum(histogram.values())
    p50_us, p99_us = quantile_us(histogram, 0.5), quantile_us(histogram, 0.99)
    errors_ratio = wrong / (answered + wrong) if answered + wrong else 1.0  # silence is no success
    generator_cpu_ratio = _fullest(summary["workers"].values())
    binds = ""
    if generator_cpu_ratio >= GENERATOR_FULL_RATIO:
        binds = "generator"
    elif errors_ratio > ramp.most_errors_ratio:
        binds = "errors"
    elif p99_us is None or p99_us > ramp.most_p99_s * 1e6:
        binds = "latency"
    return {
        "offered": offered,
        "answered_per_s": answered / ramp.step_s,
        "p50_s": None if p50_us is None else p50_us / 1e6,
        "p99_s": None if p99_us is None else p99_us / 1e6,
        "errors_ratio": errors_ratio,
        "established": established,
        "generator_cpu_ratio": generator_cpu_ratio,
        "binds": binds,
    }


def _fullest(workers: Collection[Mapping[str, Any]]) -> float:
    """Return how full the busiest engine thread is (the busiest worker without one), or the CPUs that all share.

    Workers of one CPU set fill it together while none of them takes much of it alone.
    """
    busy = [w["cpu_ratio"] if w.get("engine_cpu_ratio") is None else w["engine_cpu_ratio"] for w in workers]
    if cpus := max((w.get("cpus") or 0 for w in workers), default=0):
        busy.append(sum(w["cpu_ratio"] or 0.0 for w in workers) / cpus)
    return max((ratio for ratio in busy if ratio is not None), default=0.0)


class Driver:
    """One ramp. has_spawned: all users are there. send: to all workers. sleep: gevent's, so that the master goes on."""

    def __init__(
        self,
        scenario: Scenario,
        number: int,
        ledger: Ledger,
        workers: Callable[[], list[str]],
        has_spawned: Callable[[], bool],
        send: Callable[[str, dict[str, Any]], None],
        sleep: Callable[[float], None],
    ):
        self.scenario = scenario
        self.number = number  # of this master's ramps, so that no two windows share a name
        self.running = True
        self.steps: list[dict[str, Any]] = []
        self.windows: list[str] = []
        self.bound_by = ""
        self._ledger, self._workers, self._has_spawned = ledger, workers, has_spawned
        self._send, self._sleep = send, sleep

    def summary(self) -> dict[str, Any]:
        """Return what GET /lab/ramp answers. breaking_point: the last step that held."""
        held = [step["offered"] for step in self.steps if not step["binds"]]
        return {
            "running": self.running,
            "steps": self.steps,
            "breaking_point": held[-1] if held else None,
            "bound_by": self.bound_by,
            "windows": self.windows,
        }

    def run(self) -> None:
        """Take step after step; returns when something binds or the last step held."""
        ramp = self.scenario.ramp
        assert ramp is not None
        try:
            self._wait(self._has_spawned, SPAWN_S)
            for number, offered in enumerate(ramp.steps()):
                word = "connections" if ramp.of == "connections" else "rate_per_s"
                self._send("lab_change", {word: offered})
                step = self._measure(number, offered)
                self.steps.append(step)
                if step["binds"]:
                    self.bound_by = step["binds"]
                    return
            self.bound_by = f"nothing up to {ramp.last:g}"
        finally:
            self.running = False
            self.bound_by = self.bound_by or "stopped before anything bound"

    def _measure(self, number: int, offered: float) -> dict[str, Any]:
        ramp = self.scenario.ramp
        assert ramp is not None
        window_id = f"ramp-{self.number}-{number}"
        start_s = time.monotonic() + ramp.settle_s
        told = {"window_id": window_id, "start_s": start_s, "end_s": start_s + ramp.step_s}
        window, _ = self._ledger.open_window(told, self._workers())
        self.windows.append(window_id)
        self._send("lab_window", window.message())
        self._sleep(max(0.0, start_s + ramp.step_s - time.monotonic()))
        established = self._ledger.connections()["established"]
        longest_s = 2 * self.scenario.patience_s + SLACK_S
        self._wait(lambda: all(part is not None for part in window.parts.values()), longest_s)
        return judge_step(self.scenario, offered, window.summary(), established)

    def _wait(self, is_so: Callable[[], bool], longest_s: float) -> None:
        end_s = time.monotonic() + longest_s
        while not is_so() and time.monotonic() < end_s:
            self._sleep(POLL_S)
