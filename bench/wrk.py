"""wrk beside a server, in the server's pod: the container it runs in, its turns, and what spoils them.

A turn's answers are counted by the server's own /stats while wrk is at work; wrk's own count stands beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from bench.stand import Stand
from bench.witness import INSIDE
from orchestrator.containers.launch import Running, Spec, launch, remove, run_inside
from orchestrator.containers.pods import Site
from orchestrator.model import ReadBack, TrialSpec
from orchestrator.pod import Bench, Pod, pod_for

SETTLE_S = 1.0
LONGER_S = 3  # what a tool is run beyond settling and measuring
STARTING_S = 30.0  # the longest a tool may take until its connections are open; Locust's imports take 2 s


@dataclass(frozen=True, slots=True)
class Slot:
    """One tool's turn in one pod."""

    tool: str
    per_s: float | None  # answers by the server's count
    own_per_s: float | None  # by the tool's own
    wrong: int  # answers the tool counted as wrong or missing
    missing: str = ""


class Judged(Protocol):
    """A turn, as far as it can be spoilt."""

    @property
    def wrong(self) -> int: ...

    @property
    def missing(self) -> str: ...


def first_fault(turns: Iterable[tuple[str, Judged]]) -> str:
    """Return why turns must not count, or an empty string. turns: where each stands, in words, and the turn."""
    for where, turn in turns:
        if turn.missing:
            return f"{where}: {turn.missing}"
        if turn.wrong:
            return f"{where}: {turn.wrong} wrong or missing answers"
    return ""


def ratio(one: Slot, other: Slot) -> float | None:
    """Return one / other by the server's counts, or None when either could not be counted."""
    return one.per_s / other.per_s if one.per_s is not None and other.per_s else None


@contextmanager
def pod_with_tools(bench: Bench, spec: TrialSpec, image: str) -> Iterator[tuple[Pod, Running]]:
    """Bring up a trial's pod and the container that wrk runs in; both are gone afterwards. Raises NotReady."""
    read_backs: list[ReadBack] = []
    with pod_for(bench, spec, read_backs) as pod:
        tools = start_tools(image, bench.site, pod.name, pod.holder)
        try:
            yield pod, tools
        finally:
            remove(bench.site.client, tools.id)


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


def command(host: str, connections: int, for_s: int) -> list[str]:
    """Return the words that let one thread of wrk ask for /plain."""
    return [
        "wrk", "-t1", f"-c{connections}", f"-d{for_s}s", "--latency", "-s", "/opt/lab/bench/report.lua",
        f"http://{host}:8080/plain",
    ]  # fmt: skip


def read_report(output: str) -> dict[str, Any]:
    """Return what report.lua printed last: requests, duration_us, wrong and more."""
    seen: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return seen


def run_wrk(stand: Stand, site: Site, pod: Pod, tools: Running) -> Slot:
    """Run wrk against the pod's server and count at the server while it is at work."""
    connections, measure_s = load_beside(stand)
    run_s = round(SETTLE_S + measure_s + LONGER_S)
    per_s, missing, output = run_beside(site, pod, stand, tools, command("127.0.0.1", connections, run_s))
    if per_s is None:
        return Slot("wrk", None, None, 0, missing)
    own = read_report(output)
    return Slot("wrk", per_s, own["requests"] / own["duration_us"] * 1e6, int(own["wrong"]))


def run_beside(site: Site, pod: Pod, stand: Stand, tools: Running, words: list[str]) -> tuple[float | None, str, str]:
    """Run a command and count at the server while it is at work; return the rate, why there is none, and its output."""
    connections, measure_s = load_beside(stand)
    told: dict[str, object] = {
        "from_s": None, "connections": connections, "settle_s": SETTLE_S, "measure_s": measure_s,
        "wait_s": STARTING_S,
    }  # fmt: skip
    with ThreadPoolExecutor(max_workers=1) as pool:
        counting = pool.submit(count, site, pod.workers[0], told)
        code, output = run_inside(site.client, tools.id, words)
        per_s, missing = counting.result()
    if code != 0:
        return None, f"'{' '.join(words)}' ended with {code}: {output[-200:]!r}", output
    return per_s, missing, output


def load_beside(stand: Stand) -> tuple[int, float]:
    """Return how many connections a tool opens, and for how many seconds it is counted."""
    scenario = stand.lab.scenarios["throughput-locust"]
    return scenario.connections, scenario.measure_s


def count(site: Site, inside: Running, told: dict[str, object]) -> tuple[float | None, str]:
    """Return the server's requests per second in a window, or None and why."""
    code, output = run_inside(site.client, inside.id, ["python3", "-c", INSIDE, "rate", json.dumps(told)])
    if code != 0:
        return None, f"counting ended with {code}: {output[-200:]!r}"
    seen = json.loads(output)
    return (None, str(seen["error"])) if "error" in seen else (seen["requests"] / seen["took_s"], "")
