"""How many small answers hand-written loops give on one core beside nginx: wrk against each in a pod of its own.

The pods of a round follow one another, and who comes first changes, so that the machine's drift hits all alike. All
are counted by their own /stats over a window of the same length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bench.lines import median
from bench.outcome import Outcome
from bench.stand import Stand, wrk_image
from bench.throughput import Slot, run_wrk, start_tools
from bench.witness import Ordered
from orchestrator.containers.launch import remove
from orchestrator.errors import NotReady
from orchestrator.model import ReadBack
from orchestrator.pod import pod_for
from orchestrator.report.remaining import Step

REFERENCE = "nginx"
OURS = ("c-epoll", "c-uring")


def measure(stand: Stand, rounds: int) -> Outcome:
    """Run the rounds and return each variant's line."""
    outcome = Outcome()
    image = wrk_image(stand)
    everyone = [*OURS, REFERENCE]
    found: dict[str, list[Slot]] = {name: [] for name in everyone}
    steps = [Step(f"round {n + 1}: {name}") for n in range(rounds) for name in everyone]
    with stand.progress.stage("variants", steps) as stage:
        for n in range(rounds):
            turn = n % len(everyone)
            for name in [*everyone[turn:], *everyone[:turn]]:
                stage.begin()
                slot = _one_pod(stand, image, name)
                found[name].append(slot)
                outcome.rounds.append({"round": n, "variant": name, "wrk": asdict(slot)})
                stage.end(slot.missing or f"{slot.per_s:,.0f}/s")
    for name in OURS:
        ratios = [_ratio(ours.per_s, theirs.per_s) for ours, theirs in zip(found[name], found[REFERENCE], strict=True)]
        ours, theirs = (median(slot.per_s for slot in found[who]) for who in (name, REFERENCE))
        spoilt = spoilt_by(name, found[name]) or spoilt_by(REFERENCE, found[REFERENCE])
        outcome.add(f"variants {name} / {REFERENCE}", ratios, _ratio(ours, theirs), spoilt)
    for name, slots in found.items():
        per_s = median(slot.per_s for slot in slots)
        if per_s is not None:
            outcome.remarks.append(f"{name} {per_s:,.0f}/s (median of {rounds})")
    return outcome


def _one_pod(stand: Stand, image: str, name: str) -> Slot:
    """Let wrk load one variant in a fresh pod."""
    spec = stand.spec("variants", "throughput-engine", name)
    bench = stand.bench(Ordered(stand.control.master_url))
    read_backs: list[ReadBack] = []
    try:
        with pod_for(bench, spec, read_backs) as pod:
            tools = start_tools(image, bench.site, pod.name, pod.holder)
            try:
                return run_wrk(stand, bench.site, pod, tools)
            finally:
                remove(stand.ground.client, tools.id)
    except NotReady as error:
        return Slot("wrk", None, None, 0, str(error))


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None


def spoilt_by(name: str, slots: Sequence[Slot]) -> str:
    """Return why a variant's rounds must not count, or an empty string."""
    for n, slot in enumerate(slots, start=1):
        if slot.missing:
            return f"round {n}, {name}: {slot.missing}"
        if slot.wrong:
            return f"round {n}, {name}: {slot.wrong} wrong or missing answers"
    return ""
