"""What observing costs: the exporter's CPU while connections are held, and a server's throughput with it and without.

CPU is the container's, read from its cgroup on the host while the swarm says that everything is open. Throughput comes
in pairs of turns side by side, wrk with the exporter at work and with its container paused (turns.py). The line is of a
server that is the limit itself. Against one that fills wrk's core, which the exporter shares, what is measured is wrk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import requests
from docker.models.containers import Container

from bench.lines import median, worst
from bench.outcome import Outcome
from bench.stand import Stand, wrk_image
from bench.turns import order, run_in_turns
from bench.witness import Ordered
from bench.wrk import Slot, first_fault, pod_with_tools, ratio
from orchestrator.containers.labels import LAB, ROLE
from orchestrator.errors import EnvironmentMissing, NotReady
from orchestrator.observe.exporter import cgroup
from orchestrator.observe.exporter.errors import Unavailable
from orchestrator.report.progress import Stage
from orchestrator.report.remaining import Step
from orchestrator.trial import execute
from orchestrator.verdicts.effect import LEAST_PAIRS, measure_effect

HELD = {10_000: "hold-10k", 100_000: "hold-100k-engine"}
MOST_HOLDS = 3  # trials of each hold; a minute and more each
VARIANT = "c-epoll"
RATIO = "exporter: throughput with it / without"
PAIRS = {"go-nethttp": 6, VARIANT: 3}  # in each round, of turns of seconds; the first is the line's
JUDGED = next(iter(PAIRS))
_SETTLE_S = 2.0  # after all are open, so that the opening itself is not in it
_LOOKED_S = 25.0
_LOOK_S = 0.25
_OPENED_WITHIN_S = 120.0
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(slots=True)
class Looked:
    """What one hold showed of the exporter. cores: None with the reason in `missing`."""

    connections: int
    delay_s: float  # after which the answers come
    cores: float | None = None
    own_cores: float | None = None  # by the exporter's own count, health checks not in it
    took_s: float = 0.0
    seconds_by_source: dict[str, float] = field(default_factory=dict)  # of a second
    intervals_s: dict[str, float] = field(default_factory=dict)
    missing: str = ""


def measure(stand: Stand, rounds: int) -> Outcome:
    """Measure both costs and return their lines."""
    outcome = Outcome()
    holds = min(rounds, MOST_HOLDS)
    steps = [Step(f"hold {n + 1} of {count:,}") for n in range(holds) for count in HELD]
    steps += [Step(f"{name}, round {n + 1}, {count} pairs") for name, count in PAIRS.items() for n in range(rounds)]
    looks: dict[int, list[Looked]] = {count: [] for count in HELD}
    image = wrk_image(stand)
    with stand.progress.stage("exporter", steps) as stage:
        for _ in range(holds):
            for count, scenario in HELD.items():
                stage.begin()
                looked = _one_hold(stand, scenario)
                looks[count].append(looked)
                outcome.rounds.append({"held": count, **asdict(looked)})
                stage.end(looked.missing or f"{looked.cores:.4f} cores")
        pairs = {name: _pairs(stand, image, name, rounds, stage) for name in PAIRS}
    for name, found in pairs.items():
        for n, (on, off) in enumerate(found):
            outcome.rounds.append({"variant": name, "pair": n, "with": asdict(on), "without": asdict(off)})
    add_lines(outcome, looks, pairs)
    return outcome


def add_lines(
    outcome: Outcome, looks: Mapping[int, list[Looked]], pairs: Mapping[str, list[tuple[Slot, Slot]]]
) -> None:
    """Add the lines: of the costs the worst hold, of the throughput the median ratio of the judged variant's pairs."""
    for count, found in looks.items():
        name = f"exporter: CPU at {count:,} held connections"
        cores = [looked.cores for looked in found]
        outcome.add(name, cores, worst(cores, "at most", 0.0), next((one.missing for one in found if one.missing), ""))
        outcome.remarks += _dearest(found)
    for name, turned in pairs.items():
        ratios = [ratio(*pair) for pair in turned]
        if name == JUDGED:
            outcome.add(RATIO, ratios, median(ratios), _spoilt(turned))
        outcome.remarks += _spread(name, [one for one in ratios if one is not None])


def _spread(name: str, ratios: list[float]) -> list[str]:
    """Say how the ratios of a variant's pairs lie, and how sure their mean is."""
    if len(ratios) < LEAST_PAIRS:
        return []
    effect = measure_effect([1.0] * len(ratios), ratios)
    return [
        f"{name} with it / without: mean {effect.ratio:.4f} ({effect.low:.4f} to {effect.high:.4f}, 95 %), "
        f"{len(ratios)} pairs, {min(ratios):.2f} to {max(ratios):.2f}"
    ]


def _spoilt(pairs: list[tuple[Slot, Slot]]) -> str:
    """Return why the pairs must not count, or an empty string."""
    return first_fault(
        (f"pair {n}, {name}", slot)
        for n, pair in enumerate(pairs, start=1)
        for name, slot in zip(("with", "without"), pair, strict=True)
    )


def _one_hold(stand: Stand, scenario: str) -> Looked:
    """Hold all connections in a trial and look at the exporter meanwhile."""
    spec = stand.spec("exporter", scenario, VARIANT)
    master = Ordered(stand.control.master_url)
    declared = stand.lab.scenarios[scenario]
    looked = Looked(declared.connections, declared.delay_s)
    over = threading.Event()
    watching = threading.Thread(target=_look, args=(stand, master, looked, over))
    watching.start()
    try:
        result = execute(stand.bench(master), spec)
    finally:
        over.set()
        watching.join()
    if result.void:
        looked.missing = f"the trial is void: {result.void}"
    return looked


def _look(stand: Stand, master: Ordered, looked: Looked, over: threading.Event) -> None:
    """Wait until all are open, then read twice; whatever goes wrong is the reason that there is no number."""
    try:
        _wait_open(master, looked.connections, over)
        if over.wait(_SETTLE_S):
            raise NotReady("the trial ended before all were looked at")
        dirs = cgroup.find(_pid(stand), _CGROUPS)
        before_s, before, own = time.monotonic(), cgroup.read_cpu_s(dirs), _scrape(stand)
        # The first connection was asked when the load began, and is answered first.
        answered_s = (master.started_s or before_s) + looked.delay_s - _SETTLE_S
        over.wait(max(0.0, min(_LOOKED_S, answered_s - before_s)))
        after_s, after, own_after = time.monotonic(), cgroup.read_cpu_s(dirs), _scrape(stand)
        if master.state().established < looked.connections:
            raise NotReady(f"not all {looked.connections:,} were open to the end of the look")
    except (NotReady, EnvironmentMissing, OSError, ValueError, requests.RequestException, Unavailable) as why:
        looked.missing = f"{type(why).__name__}: {why}"
        return
    looked.took_s = after_s - before_s
    looked.cores = (after - before) / looked.took_s
    name = "lab_collector_cpu_seconds_total"
    looked.own_cores = (own_after[name] - own[name]) / looked.took_s
    for key, value in own_after.items():
        source = key.partition('source="')[2].rstrip('"}')
        if key.startswith("lab_collector_source_seconds_total") and key in own:
            looked.seconds_by_source[source] = (value - own[key]) / looked.took_s
        elif key.startswith("lab_collector_interval_seconds"):
            looked.intervals_s[source] = value


def _wait_open(master: Ordered, connections: int, over: threading.Event) -> None:
    end_s: float | None = None
    while not over.wait(_LOOK_S):
        if master.started_s is None:
            continue
        end_s = end_s or time.monotonic() + _OPENED_WITHIN_S
        state = master.state()
        if state.established >= connections:
            return
        if state.answered or time.monotonic() > end_s:
            break
    raise NotReady(f"{connections:,} connections were never open at the same time")


def _scrape(stand: Stand) -> Mapping[str, float]:
    text = requests.get(f"{stand.control.exporter_url}/metrics", timeout=10.0).text
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("lab_collector"))
    return {name: float(value) for name, _, value in lines}


def _container(stand: Stand) -> Container:
    filters: dict[str, Any] = {"label": [f"{LAB}={stand.ground.lab_id}", f"{ROLE}=exporter"]}
    found = stand.ground.client.containers.list(filters=filters)
    if len(found) != 1:
        raise EnvironmentMissing(f"expected one exporter of lab {stand.ground.lab_id}, saw {len(found)}. Try: lab gc")
    return found[0]


def _pid(stand: Stand) -> int:
    return int(stand.ground.client.api.inspect_container(str(_container(stand).id))["State"]["Pid"])


def _pairs(stand: Stand, image: str, variant: str, rounds: int, stage: Stage) -> list[tuple[Slot, Slot]]:
    """Return (with the exporter, without it) for each pair of each round, all in one pod."""
    found: list[tuple[Slot, Slot]] = []
    spec = stand.spec("exporter", "throughput-engine", variant)
    bench = stand.bench(Ordered(stand.control.master_url))
    try:
        with pod_with_tools(bench, spec, image) as (pod, tools):
            for n in range(rounds):
                stage.begin()
                turns = order(PAIRS[variant], on_first=n % 2 == 0)
                pairs = run_in_turns(stand, bench.site, pod, tools, turns, lambda is_on: _paused(stand, not is_on))
                found += pairs
                stage.end(f"with it / without {', '.join(_said(pair) for pair in pairs)}")
    except NotReady as error:
        missing = Slot("wrk", None, None, 0, str(error))
        found.append((missing, missing))
    return found


@contextmanager
def _paused(stand: Stand, is_paused: bool) -> Iterator[None]:
    """Stop the exporter's container for a while; it goes on afterwards, whatever happened."""
    if not is_paused:
        yield
        return
    container = _container(stand)
    container.pause()
    try:
        yield
    finally:
        container.unpause()


def _said(pair: tuple[Slot, Slot]) -> str:
    value = ratio(*pair)
    return "not counted" if value is None else f"{value:.3f}"


def _dearest(looks: list[Looked]) -> list[str]:
    """Say where the CPU goes and how far sources slowed down, of the last hold that was seen."""
    seen = [looked for looked in looks if looked.seconds_by_source]
    if not seen:
        return []
    last = seen[-1]
    sources = sorted(last.seconds_by_source.items(), key=lambda entry: -entry[1])[:4]
    parts = ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in sources)
    waits = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in sorted(last.intervals_s.items()))
    return [f"at {last.connections:,}, of each second: {parts}; read every: {waits}"]
