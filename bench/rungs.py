"""What each rung of the probes costs: wrk against one server, in turns with the probes on and off.

A pod for each rung in each round. In it wrk runs in pairs, once without and once with the rung, and who comes first
changes; both are counted by the server's own /stats. The ratio of a pair is on / off, so drift of the machine falls on
both alike. The exporter samples once a second throughout, on both sides of each ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bench.lines import median
from bench.outcome import Outcome
from bench.stand import Stand, wrk_image
from bench.witness import Ordered
from bench.wrk import Slot, first_fault, pod_with_tools, run_wrk
from bench.wrk import ratio as ratio_of
from orchestrator.containers.launch import Running
from orchestrator.errors import NotReady
from orchestrator.offer.probed import count_for, finish
from orchestrator.pod import Bench, Pod
from orchestrator.report.remaining import Step

RUNGS = ("ebpf", "perf")
VARIANT = "c-epoll"  # the fastest: whatever a call costs shows most where calls are most of the work
PAIRS = 2  # in each pod, on first in one of them
Pair = tuple[Slot, Slot]  # off, on


def measure(stand: Stand, rounds: int) -> Outcome:
    """Run the rounds and return each rung's line."""
    outcome = Outcome()
    image = wrk_image(stand)
    found: dict[str, list[Pair]] = {rung: [] for rung in RUNGS}
    steps = [Step(f"round {n + 1}: {rung}") for n in range(rounds) for rung in RUNGS]
    with stand.progress.stage("rungs", steps) as stage:
        for n in range(rounds):
            for rung in RUNGS if n % 2 == 0 else RUNGS[::-1]:
                stage.begin()
                pairs = _one_pod(stand, image, rung)
                found[rung] += pairs
                outcome.rounds += [
                    {"round": n, "rung": rung, "off": asdict(off), "on": asdict(on)} for off, on in pairs
                ]
                stage.end(", ".join(_said(pair) for pair in pairs))
    for rung, pairs in found.items():
        ratios = [ratio(pair) for pair in pairs]
        spoilt = spoilt_by(rung, pairs)
        value = median(ratios)
        outcome.add(f"rungs {rung}: throughput on / off", ratios, value, spoilt)
        known = [one for one in ratios if one is not None]
        if value is not None:
            outcome.ratios[f"rung {rung}"] = value
            outcome.remarks.append(
                f"{rung} on / off {value:.3f} (median of {len(pairs)} pairs, {min(known):.3f} to {max(known):.3f})"
            )
        elif spoilt:
            outcome.remarks.append(f"{rung}: {spoilt}")
    outcome.remarks.append("taskstats: no probe of its own; the exporter's readings are on both sides of each ratio")
    return outcome


def ratio(pair: Pair) -> float | None:
    """Return on / off, or None when either could not be counted."""
    off, on = pair
    return ratio_of(on, off)


def spoilt_by(rung: str, pairs: Sequence[Pair]) -> str:
    """Return why a rung's pairs must not count, or an empty string."""
    return first_fault((f"pair {n}, {rung}", slot) for n, pair in enumerate(pairs, start=1) for slot in pair)


def _one_pod(stand: Stand, image: str, rung: str) -> list[Pair]:
    """Let wrk load one server in a fresh pod, with the rung on and off in turns."""
    spec = stand.spec("variants", "throughput-engine", VARIANT)
    bench = stand.bench(Ordered(stand.control.master_url))
    try:
        with pod_with_tools(bench, spec, image) as (pod, tools):
            return [_pair(stand, bench, pod, tools, rung, on_first=n % 2 == 1) for n in range(PAIRS)]
    except NotReady as error:
        nothing = Slot("wrk", None, None, 0, str(error))
        return [(nothing, nothing)]


def _pair(stand: Stand, bench: Bench, pod: Pod, tools: Running, rung: str, *, on_first: bool) -> Pair:
    if on_first:
        on = _probed(stand, bench, pod, tools, rung)
        return run_wrk(stand, bench.site, pod, tools), on
    off = run_wrk(stand, bench.site, pod, tools)
    return off, _probed(stand, bench, pod, tools, rung)


def _probed(stand: Stand, bench: Bench, pod: Pod, tools: Running, rung: str) -> Slot:
    """Run wrk while this rung counts. One that does not hold here is a missing slot with its reason."""
    labels = {"run_id": bench.run_id, "scenario": "rungs", "variant": VARIANT}
    told = count_for(bench, pod, labels, [rung], ())
    if told["rung"] != rung:
        return Slot("wrk", None, None, 0, f"{rung} does not hold here: {told['refused'].get(rung)}")
    slot = run_wrk(stand, bench.site, pod, tools)
    finish(bench, pod)
    return slot


def _said(pair: Pair) -> str:
    value = ratio(pair)
    return pair[0].missing or pair[1].missing if value is None else f"{value:.3f}"
