"""How many answers one core of load draws from one core of server: every kind of users against wrk in the same pod.

A pod for each kind in each round: wrk and the kind, one after the other; who goes first changes. All are counted by the
server's own /stats over a window of the same length, so that no tool is taken at its word; where the swarm counts too,
both counts must agree.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from bench.lines import median, turned
from bench.outcome import Outcome
from bench.stand import Stand, wrk_image
from bench.witness import Ordered
from bench.wrk import (
    LONGER_S,
    SETTLE_S,
    STARTING_S,
    Slot,
    count,
    first_fault,
    load_beside,
    pod_with_tools,
    ratio,
    run_beside,
    run_wrk,
)
from orchestrator.containers.launch import Running
from orchestrator.errors import NotReady
from orchestrator.model import TrialSpec
from orchestrator.offer import offer
from orchestrator.pod import Bench, Pod
from orchestrator.report.remaining import Step

ENGINE = "EngineUser"
KINDS = {ENGINE: "throughput-engine", "LabUser": "throughput-locust", "FastHttpUser": "Fast", "HttpUser": "Ordinary"}
_AGREE_RATIO = 0.02  # two counts of one window: the tool's clock and the server's answers at its edges


def measure(stand: Stand, rounds: int) -> Outcome:
    """Run the rounds and return the engine's line, with every kind's ratio beside it."""
    outcome = Outcome()
    image = wrk_image(stand)
    pairs: dict[str, list[tuple[Slot, Slot]]] = {kind: [] for kind in KINDS}
    orders = [turned(list(KINDS), n) for n in range(rounds)]
    steps = [Step(f"round {n + 1}: wrk and {kind}") for n, order in enumerate(orders) for kind in order]
    with stand.progress.stage("throughput", steps) as stage:
        # The order of the kinds turns with the rounds, and who goes first in a pod with both.
        for n, order in enumerate(orders):
            for place, kind in enumerate(order):
                stage.begin()
                wrk, users = _one_pod(stand, image, kind, wrk_first=(n + place) % 2 == 0)
                pairs[kind].append((wrk, users))
                outcome.rounds.append({"round": n, "kind": kind, "wrk": asdict(wrk), "users": asdict(users)})
                stage.end(_note(wrk, users))
    for kind, found in pairs.items():
        ours, theirs = median(u.per_s for _, u in found), median(w.per_s for w, _ in found)
        if ours is not None and theirs:
            outcome.ratios[kind] = ours / theirs
            outcome.remarks.append(f"{kind} {ours:,.0f}/s, wrk in the same pods {theirs:,.0f}/s (medians of {rounds})")
    engine = pairs[ENGINE]
    ratios = [ratio(users, wrk) for wrk, users in engine]
    outcome.add("throughput engine / wrk", ratios, outcome.ratios.get(ENGINE), _spoilt(engine))
    return outcome


def _one_pod(stand: Stand, image: str, kind: str, *, wrk_first: bool) -> tuple[Slot, Slot]:
    """Measure wrk and one kind of users, one after the other, against one server process."""
    scenario = KINDS[kind] if kind in (ENGINE, "LabUser") else "throughput-locust"
    spec = stand.spec("throughput", scenario, "c-epoll")
    master = Ordered(stand.control.master_url)
    bench = stand.bench(master)
    try:
        with pod_with_tools(bench, spec, image) as (pod, tools):
            turns: dict[str, Callable[[], Slot]] = {
                "wrk": lambda: run_wrk(stand, bench.site, pod, tools),
                kind: lambda: _run_users(stand, bench, spec, pod, tools, kind, master),
            }
            slots = {name: turns[name]() for name in (("wrk", kind) if wrk_first else (kind, "wrk"))}
    except NotReady as error:
        return Slot("wrk", None, None, 0, str(error)), Slot(kind, None, None, 0, str(error))
    return slots["wrk"], slots[kind]


def _run_users(
    stand: Stand, bench: Bench, spec: TrialSpec, pod: Pod, tools: Running, kind: str, master: Ordered
) -> Slot:
    if kind in (ENGINE, "LabUser"):
        return _run_lab_users(bench, spec, pod, kind, master)
    connections, measure_s = load_beside(stand)
    run_s = round(SETTLE_S + measure_s + LONGER_S)
    users = str(connections)
    command = ["locust", "-f", "/opt/lab/bench/users.py", KINDS[kind], "--headless", "--processes", "1"]
    command += ["-u", users, "-r", users, "--run-time", f"{run_s}s", "--stop-timeout", "1", "--json"]
    per_s, missing, output = run_beside(bench.site, pod, stand, tools, command)
    if per_s is None:
        return Slot(kind, None, None, 0, missing)
    return Slot(kind, per_s, None, sum(int(entry["num_failures"]) for entry in read_entries(output)))


def read_entries(output: str) -> list[dict[str, Any]]:
    """Return what Locust's --json printed: an array from its master, and one without entries from its worker."""
    entries: list[dict[str, Any]] = []
    at, decoder = output.find("["), json.JSONDecoder()
    while at >= 0:
        found, end = decoder.raw_decode(output, at)
        entries += found
        at = output.find("[", end)
    return entries


def _run_lab_users(bench: Bench, spec: TrialSpec, pod: Pod, kind: str, master: Ordered) -> Slot:
    """Offer the scenario as `lab run` does, and count at the server over the very window that is scored."""
    counted: list[tuple[float | None, str]] = []

    def count_window() -> None:
        if not master.window_told.wait(STARTING_S):
            counted.append((None, "no window was opened"))
            return
        start_s, end_s = master.windows[pod.name]
        told: dict[str, object] = {"from_s": start_s, "measure_s": end_s - start_s}
        counted.append(count(bench.site, pod.workers[0], told))

    counting = threading.Thread(target=count_window)
    counting.start()
    try:
        load = offer(bench, spec, pod)
    finally:
        master.window_told.set()
        counting.join()
    _wait_rest(bench)
    per_s, missing = counted[0]
    rows = [row for row in load.window.rows if row.variant == spec.variant]
    own = sum(row.answered for row in rows) / load.window_s
    return Slot(kind, per_s, own, sum(sum(row.errors.values()) for row in rows), missing)


def _wait_rest(bench: Bench) -> None:
    """Wait until the swarm has stopped: what follows in this pod must have its CPU alone."""
    end_s = time.monotonic() + STARTING_S
    while (state := bench.master.state()).established or state.state not in ("ready", "stopped"):
        if time.monotonic() > end_s:
            raise NotReady(f"the swarm did not stop within {STARTING_S:.0f} s: {state.state}. Try: lab gc")
        time.sleep(0.1)


def _spoilt(pairs: list[tuple[Slot, Slot]]) -> str:
    """Return why the engine's rounds must not count, or an empty string."""
    if fault := first_fault(
        (f"round {n}, {slot.tool}", slot) for n, pair in enumerate(pairs, start=1) for slot in pair
    ):
        return fault
    for n, (_, users) in enumerate(pairs, start=1):
        if users.per_s and users.own_per_s and abs(users.own_per_s / users.per_s - 1) > _AGREE_RATIO:
            return f"round {n}: the swarm counted {users.own_per_s:,.0f}/s, the server {users.per_s:,.0f}/s"
    return ""


def _note(wrk: Slot, users: Slot) -> str:
    if wrk.per_s and users.per_s:
        return f"wrk {wrk.per_s:,.0f}/s, {users.tool} {users.per_s:,.0f}/s: {users.per_s / wrk.per_s:.3f}"
    return wrk.missing or users.missing
