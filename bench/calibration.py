"""How often do the lab's verdicts err? Comparisons of a thing with itself, and with one slower by a known tenth.

Real pods, real load: rounds of two pods of one build under two names, scored in many short windows, and rounds of that
build and one that is slower by a tenth (bench/variants/paced.h says how that is known), in trials as the nightly runs
them: what is found depends on the noise of a trial and on how far apart two of them are, what is alarmed at does not.
What the windows become: comparisons.py.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from bench.comparisons import BASELINE, BLOCKS, KINDS, SAME, Kind, Pool, compared, conclude
from bench.outcome import Outcome
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


def measure(stand: Stand, rounds: int) -> Outcome:
    """Run the rounds, draw the comparisons, and return the three lines.

    rounds: of A/A; the other kind has its own number in proportion. At least LEAST_PAIRS are run of either, since a
    comparison takes one window of each; with too few for BLOCKS every comparison is as much smaller, and no line holds.
    """
    outcome = Outcome()
    order = random.Random(stand.run_id)
    sized = {kind: _sized(kind, rounds) for kind in KINDS}
    turns = [
        (kind, n, name, pod)
        for kind, size in sized.items()
        for n in range(size.rounds)
        for name, pod in _shuffled(size, order)
    ]
    pools: dict[Kind, Pool] = {kind: {kind.first: {}, kind.second: {}} for kind in KINDS}
    steps = [Step(f"{kind.name}, round {n + 1}: {name}", _loaded_s(stand, sized[kind])) for kind, n, name, _ in turns]
    with stand.progress.stage("calibration", steps) as stage:
        for kind, n, name, pod in turns:
            stage.begin()
            results = _one_pod(stand, sized[kind], name)
            told: dict[str, object] = {"kind": kind.name, "round": n, "pod": name, "pair": pod}
            if isinstance(results, str):
                outcome.rounds.append({**told, "missing": results})
                stage.end(results)
                continue
            first = pod * sized[kind].windows
            pools[kind][name].update({(n, first + k): result for k, result in enumerate(results)})
            outcome.rounds.append({**told, "windows": [_document(result) for result in results]})
            stage.end(_note(results))
    declared = worth_a_word(load_lab(ROOT / "lab.yaml").thresholds)
    conclude(outcome, {kind: compared(kind, pools[kind], sized[kind].rounds, order, declared) for kind in KINDS})
    return outcome


def _sized(kind: Kind, rounds: int) -> Kind:
    """Return a kind with its share of rounds where `rounds` of A/A are asked for; a small one below BLOCKS."""
    if rounds < BLOCKS:
        return replace(kind, rounds=max(LEAST_PAIRS, rounds), pods=1, windows=min(kind.windows, _FEW_WINDOWS))
    return replace(kind, rounds=rounds * kind.rounds // SAME.rounds)


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
