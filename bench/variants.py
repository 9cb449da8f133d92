"""How many small answers hand-written loops give on one core beside nginx: the engine against each in a pod of its own.

The pods of a round follow one another, and who comes first changes, so that the machine's drift hits all alike.
Not wrk: these servers have a fifth of their core left when one wrk is at its end, and then all answer as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.lines import median, turned
from bench.outcome import Outcome
from bench.stand import Stand
from orchestrator.model import TrialResult
from orchestrator.report.remaining import Step
from orchestrator.verdicts.validity import GENERATOR_LIMITED

REFERENCE = "nginx"
OURS = ("c-epoll", "c-uring")


@dataclass(frozen=True, slots=True)
class Shot:
    """One trial of one variant."""

    per_s: float | None  # right answers
    cpu_us: float | None  # of the server, for each answer
    wrong: int = 0
    void: str = ""
    generator_limited: bool = False


def measure(stand: Stand, rounds: int) -> Outcome:
    """Run the rounds and return each variant's line."""
    outcome = Outcome()
    everyone = [*OURS, REFERENCE]
    shots: dict[str, list[Shot]] = {name: [] for name in everyone}
    orders = [turned(everyone, n) for n in range(rounds)]
    steps = [Step(f"round {n + 1}: {name}") for n, order in enumerate(orders) for name in order]
    with stand.progress.stage("variants", steps) as stage:
        for n, order in enumerate(orders):
            for name in order:
                stage.begin()
                shot = _shot(stand.trial(stand.spec("variants", "throughput-engine", name))[0])
                shots[name].append(shot)
                outcome.rounds.append({"round": n, "variant": name, **asdict(shot)})
                stage.end(f"VOID: {shot.void}" if shot.per_s is None else f"{shot.per_s:,.0f}/s")
    for name in OURS:
        ratios = [_ratio(our.per_s, their.per_s) for our, their in zip(shots[name], shots[REFERENCE], strict=True)]
        ours, theirs = (median(shot.per_s for shot in shots[who]) for who in (name, REFERENCE))
        spoilt = spoilt_by(name, shots[name]) or spoilt_by(REFERENCE, shots[REFERENCE])
        outcome.add(f"variants {name} / {REFERENCE}", ratios, _ratio(ours, theirs), spoilt)
    outcome.remarks += [_remark(name, found) for name, found in shots.items()]
    return outcome


def _shot(result: TrialResult) -> Shot:
    per_10k_s = result.metrics.cpu_s_per_10k_requests
    return Shot(
        result.metrics.throughput_per_s,
        per_10k_s * 100 if per_10k_s is not None else None,
        sum(result.metrics.errors.values()),
        result.void or "",
        GENERATOR_LIMITED in result.notes,
    )


def _remark(name: str, shots: Sequence[Shot]) -> str:
    """Return a variant's medians in words, and whether they are its own limit or the generator's."""
    per_s, cpu_us = median(s.per_s for s in shots), median(s.cpu_us for s in shots)
    if per_s is None or cpu_us is None:
        return f"{name}: not measured"
    limited = sum(s.generator_limited for s in shots)
    least = f"; in {limited} of {len(shots)} the generator was the limit" if limited else ""
    return f"{name} {per_s:,.0f}/s, {cpu_us:.2f} us of CPU each (medians of {len(shots)}){least}"


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None


def spoilt_by(name: str, shots: Sequence[Shot]) -> str:
    """Return why a variant's rounds must not count, or an empty string."""
    for n, shot in enumerate(shots, start=1):
        if shot.void:
            return f"round {n}, {name}: void: {shot.void}"
        if shot.wrong:
            return f"round {n}, {name}: {shot.wrong} wrong or missing answers"
    return ""
