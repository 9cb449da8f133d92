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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from bench.lines import median, turned
from bench.outcome import Outcome
from bench.stand import Stand, wrk_image
from bench.witness import INSIDE, Ordered
from orchestrator.containers.launch import Running, Spec, launch, remove, run_inside
from orchestrator.containers.pods import Site
from orchestrator.errors import NotReady
from orchestrator.model import ReadBack, TrialSpec
from orchestrator.offer import offer
from orchestrator.pod import Bench, Pod, pod_for
from orchestrator.report.remaining import Step

ENGINE = "EngineUser"
KINDS = {ENGINE: "throughput-engine", "LabUser": "throughput-locust", "FastHttpUser": "Fast", "HttpUser": "Ordinary"}
URL = "http://127.0.0.1:8080/plain"
_SETTLE_S = 1.0
_LONGER_S = 3  # what a tool is run beyond settling and measuring
_STARTING_S = 30.0  # the longest a tool may take until its connections are open; Locust's imports take 2 s
_AGREE_RATIO = 0.02  # two counts of one window: the tool's clock and the server's answers at its edges


@dataclass(frozen=True, slots=True)
class Slot:
    """One tool's turn in one pod."""

    tool: str
    per_s: float | None  # answers by the server's count
    own_per_s: float | None  # by the tool's own
    wrong: int  # answers the tool counted as wrong or missing
    missing: str = ""


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
    ratios = [u.per_s / w.per_s if u.per_s is not None and w.per_s else None for w, u in engine]
    outcome.add("throughput engine / wrk", ratios, outcome.ratios.get(ENGINE), _spoilt(engine))
    return outcome


def _one_pod(stand: Stand, image: str, kind: str, *, wrk_first: bool) -> tuple[Slot, Slot]:
    """Measure wrk and one kind of users, one after the other, against one server process."""
    scenario = KINDS[kind] if kind in (ENGINE, "LabUser") else "throughput-locust"
    spec = stand.spec("throughput", scenario, "c-epoll")
    master = Ordered(stand.control.master_url)
    bench = stand.bench(master)
    read_backs: list[ReadBack] = []
    try:
        with pod_for(bench, spec, read_backs) as pod:
            tools = start_tools(image, bench.site, pod.name, pod.holder)
            try:
                turns: dict[str, Callable[[], Slot]] = {
                    "wrk": lambda: run_wrk(stand, bench.site, pod, tools),
                    kind: lambda: _run_users(stand, bench, spec, pod, tools, kind, master),
                }
                slots = {name: turns[name]() for name in (("wrk", kind) if wrk_first else (kind, "wrk"))}
            finally:
                remove(stand.ground.client, tools.id)
    except NotReady as error:
        return Slot("wrk", None, None, 0, str(error)), Slot(kind, None, None, 0, str(error))
    return slots["wrk"], slots[kind]


def start_tools(image: str, site: Site, pod: str, holder: Running) -> Running:
    """Start the container that wrk runs in, on the load's CPUs, in the network of the pod of that name."""
    spec = Spec(
        role="tools",
        name=site.container_name(f"{pod}-tools"),
        image=image,
        join=holder.id,
        nofile=site.nofile,
        cpus=site.load_cpus,
        tmpfs={"/tmp": "size=64m"},
    )
    return launch(site.client, spec, site.lab, site.owner)


def _count(site: Site, inside: Running, told: dict[str, object]) -> tuple[float | None, str]:
    """Return the server's requests per second in a window, or None and why."""
    code, output = run_inside(site.client, inside.id, ["python3", "-c", INSIDE, "rate", json.dumps(told)])
    if code != 0:
        return None, f"counting ended with {code}: {output[-200:]!r}"
    seen = json.loads(output)
    return (None, str(seen["error"])) if "error" in seen else (seen["requests"] / seen["took_s"], "")


def _connections(stand: Stand) -> tuple[int, float]:
    scenario = stand.lab.scenarios["throughput-locust"]
    return scenario.connections, scenario.measure_s


def _beside(site: Site, pod: Pod, stand: Stand, tools: Running, command: list[str]) -> tuple[float | None, str, str]:
    """Run a command and count at the server while it is at work; return the rate, why there is none, and its output."""
    connections, measure_s = _connections(stand)
    told: dict[str, object] = {
        "from_s": None, "connections": connections, "settle_s": _SETTLE_S, "measure_s": measure_s,
        "wait_s": _STARTING_S,
    }  # fmt: skip
    with ThreadPoolExecutor(max_workers=1) as pool:
        counting = pool.submit(_count, site, pod.workers[0], told)
        code, output = run_inside(site.client, tools.id, command)
        per_s, missing = counting.result()
    if code != 0:
        return None, f"'{' '.join(command)}' ended with {code}: {output[-200:]!r}", output
    return per_s, missing, output


def run_wrk(stand: Stand, site: Site, pod: Pod, tools: Running) -> Slot:
    """Run wrk against the pod's server and count at the server while it is at work."""
    connections, measure_s = _connections(stand)
    run_s = round(_SETTLE_S + measure_s + _LONGER_S)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{run_s}s", "--latency", "-s", "/opt/lab/bench/report.lua", URL]
    per_s, missing, output = _beside(site, pod, stand, tools, command)
    if per_s is None:
        return Slot("wrk", None, None, 0, missing)
    own = json.loads(output.strip().splitlines()[-1])
    return Slot("wrk", per_s, own["requests"] / own["duration_us"] * 1e6, int(own["wrong"]))


def _run_users(
    stand: Stand, bench: Bench, spec: TrialSpec, pod: Pod, tools: Running, kind: str, master: Ordered
) -> Slot:
    if kind in (ENGINE, "LabUser"):
        return _run_lab_users(bench, spec, pod, kind, master)
    connections, measure_s = _connections(stand)
    run_s = round(_SETTLE_S + measure_s + _LONGER_S)
    users = str(connections)
    command = ["locust", "-f", "/opt/lab/bench/users.py", KINDS[kind], "--headless", "--processes", "1"]
    command += ["-u", users, "-r", users, "--run-time", f"{run_s}s", "--stop-timeout", "1", "--json"]
    per_s, missing, output = _beside(bench.site, pod, stand, tools, command)
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

    def count() -> None:
        if not master.window_told.wait(_STARTING_S):
            counted.append((None, "no window was opened"))
            return
        start_s, end_s = master.windows[pod.name]
        told: dict[str, object] = {"from_s": start_s, "measure_s": end_s - start_s}
        counted.append(_count(bench.site, pod.workers[0], told))

    counting = threading.Thread(target=count)
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
    end_s = time.monotonic() + _STARTING_S
    while (state := bench.master.state()).established or state.state not in ("ready", "stopped"):
        if time.monotonic() > end_s:
            raise NotReady(f"the swarm did not stop within {_STARTING_S:.0f} s: {state.state}. Try: lab gc")
        time.sleep(0.1)


def _spoilt(pairs: list[tuple[Slot, Slot]]) -> str:
    """Return why the engine's rounds must not count, or an empty string."""
    for n, pair in enumerate(pairs, start=1):
        for slot in pair:
            if slot.missing:
                return f"round {n}, {slot.tool}: {slot.missing}"
            if slot.wrong:
                return f"round {n}, {slot.tool}: {slot.wrong} wrong or missing answers"
    for n, (_, users) in enumerate(pairs, start=1):
        if users.per_s and users.own_per_s and abs(users.own_per_s / users.per_s - 1) > _AGREE_RATIO:
            return f"round {n}: the swarm counted {users.own_per_s:,.0f}/s, the server {users.per_s:,.0f}/s"
    return ""


def _note(wrk: Slot, users: Slot) -> str:
    if wrk.per_s and users.per_s:
        return f"wrk {wrk.per_s:,.0f}/s, {users.tool} {users.per_s:,.0f}/s: {users.per_s / wrk.per_s:.3f}"
    return wrk.missing or users.missing
