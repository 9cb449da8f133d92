"""Score several windows in one pod, one after another, on connections that stay open: trials at a fraction of the cost.

The story's own offer (orchestrator/offer/timed.py) scores one window for each fresh pod. What differs between fresh
pods and not between windows (where memory came to lie, which minute it was) is therefore the same in all windows of a
pod: whoever uses them must not take two of one pod for two trials of one comparison.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace

from orchestrator.errors import NotReady
from orchestrator.model import TrialResult, TrialSpec
from orchestrator.offer.phase import Load, Phase
from orchestrator.pod import Bench, Pod
from orchestrator.trial import judge_load

_SETTLE_S = 1.0  # from the order to start until Locust has spawned its users, as in every timed trial
_GAP_S = 0.25  # between telling the workers of a window and its beginning: ten times what telling takes
_PARTS_S = 5.0  # for the workers to hand their parts in


def offer_windows(bench: Bench, spec: TrialSpec, pod: Pod, count: int) -> list[TrialResult]:
    """Warm up once, score `count` windows of the scenario's length, stop; return each judged as a trial is.

    A window's block is its number. Raises Lost when a worker goes, NotReady when the swarm does not do as told.
    """
    scenario = bench.lab.scenarios[spec.scenario]
    bench.master.label(bench.run_id, scenario.name)
    stopping = threading.Thread(target=_stop_quietly, args=(bench,))
    phase = Phase(bench, spec, pod, scenario, bench.exporter.read(pod.name), stopping)
    try:
        phase.start()
        phase.wait(time.monotonic() + _SETTLE_S + scenario.warmup_s)
        loads = [_one(phase, n) for n in range(count)]
    finally:
        phase.stop()
    return [judge_load(bench, replace(spec, block=n), load, []) for n, load in enumerate(loads)]


def _one(phase: Phase, n: int) -> Load:
    """Score one window from now on, read at both of its ends."""
    master, exporter = phase.bench.master, phase.bench.exporter
    name, measure_s = phase.pod.name, phase.scenario.measure_s
    window_id = f"{name}-{n}"
    start_s = time.monotonic() + _GAP_S  # every container of one kernel shares this clock
    master.open_window(window_id, start_s, start_s + measure_s)
    phase.wait(start_s)
    first = exporter.read(name)
    phase.wait(start_s + measure_s)
    last = exporter.read(name)
    state = phase.look()
    window = phase.window(_PARTS_S, window_id)
    return Load(
        window=window,
        window_s=measure_s,
        established=state.established,
        idle=phase.idle,
        first=first,
        held=None,
        last=last,
        loaded_s=measure_s,
        generator_memory_bytes=sum(window.memory_bytes.values()) or None,
    )


def _stop_quietly(bench: Bench) -> None:
    with contextlib.suppress(NotReady):  # a master that is gone has stopped
        bench.master.stop()
