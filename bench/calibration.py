"""How often do the lab's verdicts err? Comparisons of a thing with itself, and with one slower by a known tenth.

Real pods, real load: rounds of two pods of one server under two names, scored in many short windows, and rounds of it
at two paces, one slower by a tenth (bench/paces.py), in trials as the nightly runs them: what is found depends on the
noise of a trial and on how far apart two of them are, what is alarmed at does not.
What the windows become: comparisons.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

from bench.comparisons import (
    BLOCKS,
    SAME,
    SLOWER,
    Counted,
    Kind,
    Pool,
    compared,
    conclude_alarms,
    conclude_slower,
    suffice,
)
from bench.outcome import Outcome
from bench.paces import BASELINE
from bench.stand import ROOT, Stand
from bench.windows import offer_windows
from bench.witness import Ordered
from orchestrator.config.load import load_lab
from orchestrator.errors import Lost, NotReady
from orchestrator.model import ReadBack, TrialResult
from orchestrator.pod import pod_for
from orchestrator.report.remaining import Step
from orchestrator.trial import execute
from orchestrator.verdicts.compare import worth_a_word
from orchestrator.verdicts.effect import LEAST_PAIRS

SUITE = "calibration"
_FEW_WINDOWS = 2  # of a pod, in a rehearsal


def measure_alarms(stand: Stand, rounds: int) -> Outcome:
    """Run rounds of one server under two names, draw the comparisons, and return their line."""
    return _measure(stand, SAME, rounds, conclude_alarms)


def measure_slower(stand: Stand, rounds: int) -> Outcome:
    """Run rounds of one server at two paces, draw the comparisons, and return their two lines."""
    return _measure(stand, SLOWER, rounds, conclude_slower)


def _measure(stand: Stand, kind: Kind, rounds: int, conclude: Callable[[Outcome, Counted], None]) -> Outcome:
    """Run the rounds of a kind until its comparisons can be drawn: what was valid decides that, not what it said.

    At least LEAST_PAIRS rounds are run, since a comparison takes one window of each; with too few for BLOCKS every
    comparison is as much smaller, and no line holds.
    """
    outcome = Outcome()
    order = random.Random(stand.run_id)
    size = _sized(kind, rounds)
    turns = [(n, _shuffled(size, order)) for n in range(size.rounds)]
    pool: Pool = {kind.first: {}, kind.second: {}}
    steps = [
        Step(f"{kind.name}, round {n + 1}: {name}", _loaded_s(stand, size)) for n, pods in turns for name, _ in pods
    ]
    with stand.progress.stage(f"calibration, {kind.name}", steps) as stage:
        for n, pods in turns:
            if suffice(kind, pool, size.rounds):
                break
            for name, pod in pods:
                stage.begin()
                results = _one_pod(stand, size, name)
                told: dict[str, object] = {"kind": kind.name, "round": n, "pod": name, "pair": pod}
                if isinstance(results, str):
                    outcome.rounds.append({**told, "missing": results})
                    stage.end(results)
                    continue
                first = pod * size.windows
                pool[name].update({(n, first + k): result for k, result in enumerate(results)})
                outcome.rounds.append({**told, "windows": [_document(result) for result in results]})
                stage.end(_note(results))
    declared = worth_a_word(load_lab(ROOT / "lab.yaml").thresholds)
    conclude(outcome, compared(kind, pool, size.rounds, order, declared))
    return outcome


def _sized(kind: Kind, rounds: int) -> Kind:
    """Return a kind with as many rounds as are asked for; a small one below BLOCKS."""
    if rounds < BLOCKS:
        return replace(kind, rounds=max(LEAST_PAIRS, rounds), pods=1, windows=min(kind.windows, _FEW_WINDOWS))
    return replace(kind, rounds=rounds)


def _shuffled(kind: Kind, order: random.Random) -> list[tuple[str, int]]:
    """Return the pods of a round in the order they run: (name, number); two of a pair have the same number."""
    pods = [(name, pod) for name in (kind.first, kind.second) for pod in range(kind.pods)]
    order.shuffle(pods)
    return pods


def _loaded_s(stand: Stand, kind: Kind) -> float:
    scenario = stand.lab.scenarios[kind.scenario]
    return scenario.warmup_s + kind.windows * scenario.measure_s


def _one_pod(stand: Stand, kind: Kind, name: str) -> list[TrialResult] | str:
    """Return the windows of a fresh pod, or why there are none."""
    spec = stand.spec(SUITE, kind.scenario, kind.variant if name == kind.second else BASELINE)
    bench = stand.bench(Ordered(stand.control.master_url))
    if kind.windows == 1:
        return [execute(bench, spec)]  # as `lab run` does
    read_backs: list[ReadBack] = []
    try:
        with pod_for(bench, spec, read_backs) as pod:
            return offer_windows(bench, spec, pod, kind.windows)
    except (NotReady, Lost) as error:
        return str(error)


def _document(result: TrialResult) -> dict[str, object]:
    metrics = result.metrics
    return {
        "void": result.void, "notes": list(result.notes), "per_s": metrics.throughput_per_s, "p50_s": metrics.p50_s,
        "p99_s": metrics.p99_s, "cpu_s_per_10k_requests": metrics.cpu_s_per_10k_requests,
    }  # fmt: skip


def _note(results: Sequence[TrialResult]) -> str:
    rates = [rate for result in results if (rate := result.metrics.throughput_per_s) is not None]
    void = [result.void for result in results if result.void is not None]
    told = f"{median(rates):,.0f}/s" if rates else "nothing measured"
    return told + (f", {len(void)} windows void: {void[0]}" if void else "")
