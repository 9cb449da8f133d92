"""Offer one trial's load and read the server before, within and after it.

closed: users start, warm up, and are scored in a window of fixed length. hold: every connection is opened, asked once,
and waited for; the window ends with the last answer.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass

from orchestrator.errors import NotReady
from orchestrator.load.master import Master, Window
from orchestrator.model import Scenario, TrialSpec
from orchestrator.observe.exporter_client import Reading
from orchestrator.pod import Bench, Pod

_SETTLE_S = 1.0  # from the order to start until Locust has spawned its users; they warm up meanwhile
_SPAWN_S = 30.0  # the longest a hold may take to open its connections before it is judged as it stands
_TOUCH_S = 0.5  # after the last connect, so that a thread per connection has touched its stack


@dataclass(frozen=True, slots=True)
class Load:
    """What the load phase brought back."""

    window: Window
    window_s: float
    established: int | None
    idle: Reading
    first: Reading | None
    held: Reading | None
    last: Reading
    loaded_s: float


def offer(bench: Bench, spec: TrialSpec, pod: Pod) -> Load:
    """Load the server as the scenario says and read it before, within and after."""
    scenario = bench.lab.scenarios[spec.scenario]
    bench.master.label(bench.run_id, scenario.name)
    idle = bench.exporter.read(pod.name)
    # Locust takes a second or two to say that it stopped. The workers' parts come in meanwhile, and so does the end of
    # the pod; the next trial waits until the master is at rest.
    stopping = threading.Thread(target=_stop_quietly, args=(bench.master,))
    try:
        if scenario.kind == "closed":
            return _offer_closed(bench, spec, scenario, pod, idle, stopping)
        return _offer_hold(bench, spec, scenario, pod, idle, stopping)
    finally:
        if stopping.ident is None:
            stopping.start()


def _stop_quietly(master: Master) -> None:
    with contextlib.suppress(NotReady):  # a master that is gone has stopped
        master.stop()


def _offer_closed(
    bench: Bench, spec: TrialSpec, scenario: Scenario, pod: Pod, idle: Reading, stopping: threading.Thread
) -> Load:
    master, exporter = bench.master, bench.exporter
    now_s = master.state().monotonic_s
    here_s = time.monotonic()
    start_s = _SETTLE_S + scenario.warmup_s
    master.open_window(pod.name, now_s + start_s, now_s + start_s + scenario.measure_s)
    master.start(scenario.connections, scenario.connections, scenario.name, [spec.variant])
    _sleep_until(here_s + start_s)
    first = exporter.read(pod.name)
    _sleep_until(here_s + start_s + scenario.measure_s)
    last = exporter.read(pod.name)
    established = master.state().established
    stopping.start()
    window = master.wait_window(pod.name, spec.workers, 5.0)
    loaded_s = time.monotonic() - here_s
    return Load(window, scenario.measure_s, established, idle, first, None, last, loaded_s)


def _offer_hold(
    bench: Bench, spec: TrialSpec, scenario: Scenario, pod: Pod, idle: Reading, stopping: threading.Thread
) -> Load:
    master, exporter = bench.master, bench.exporter
    requested = scenario.connections
    now_s = master.state().monotonic_s
    here_s = time.monotonic()
    longest_s = _SPAWN_S + scenario.delay_s + scenario.timeout_s
    master.open_window(pod.name, now_s, now_s + longest_s + 60.0)
    master.start(requested, requested, scenario.name, [spec.variant])
    opened_by_s = here_s + max(scenario.delay_s * 0.8, 0.5)
    while True:  # until all are open, or the first answers are about to come
        state = master.state()
        if state.established + state.failed >= requested:
            _sleep_until(min(time.monotonic() + _TOUCH_S, opened_by_s))
            break
        if time.monotonic() > opened_by_s or state.answered:
            break
        time.sleep(0.05)
    held = exporter.read(pod.name)
    established = max(state.established, master.state().established)
    while state.answered + state.failed < requested and time.monotonic() < here_s + longest_s:
        time.sleep(0.1)
        state = master.state()
    last = exporter.read(pod.name)
    stopping.start()
    window = master.wait_window(pod.name, spec.workers, 10.0)
    loaded_s = time.monotonic() - here_s
    return Load(window, last.at_s - idle.at_s, established, idle, None, held, last, loaded_s)


def _sleep_until(monotonic_s: float) -> None:
    time.sleep(max(0.0, monotonic_s - time.monotonic()))
