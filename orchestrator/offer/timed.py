"""Load for a window of fixed length: closed loops, arrivals by the clock (open), bursts of connects (storm).

closed: what completes in the window counts. open, storm: what was planned in it counts, whenever it is answered; so the
load goes on after the window's end until every arrival of it has an outcome.
"""

from __future__ import annotations

import time

from orchestrator.offer.phase import Load, Phase
from orchestrator.offer.probed import probe

_SETTLE_S = 1.0  # from the order to start until Locust has spawned its users; they warm up meanwhile
_ASK_BEFORE_S = 0.5  # before the window the runtime is asked for its own numbers, under load and not scored
_PARTS_S = 5.0  # for the workers to hand their parts in
_CELLS_PER_S = 20_000  # of the parts' histograms, through the one master


def offer_timed(phase: Phase) -> Load:
    """Warm up, score, probe where that is asked for, stop."""
    scenario, master, exporter, name = phase.scenario, phase.bench.master, phase.bench.exporter, phase.pod.name
    now_s = master.state().monotonic_s
    here_s = time.monotonic()
    start_s = _SETTLE_S + scenario.warmup_s
    master.open_window(name, now_s + start_s, now_s + start_s + scenario.measure_s)
    parts_s = _PARTS_S + scenario.connections / _CELLS_PER_S
    phase.start()
    phase.wait(here_s + start_s - _ASK_BEFORE_S)
    phase.ask_runtime()
    phase.wait(here_s + start_s)
    phase.begin_window()
    first = exporter.read(name)
    phase.wait(here_s + start_s + scenario.measure_s)
    last = exporter.read(name)
    phase.end_window()
    state = phase.look()
    probed = None
    if scenario.kind == "closed" and not phase.spec.probe_s:
        phase.stop()
        window = phase.window(parts_s)
    else:
        window = phase.window(parts_s if scenario.kind == "closed" else scenario.delay_s + scenario.timeout_s + parts_s)
        if phase.spec.probe_s:
            probed = probe(phase)  # everything that is scored has been read by now
        phase.stop()
    return Load(
        window=window,
        window_s=scenario.measure_s,
        # The sockets of a person's own users are theirs: the swarm does not count them.
        established=None if phase.bench.locustfile else state.established,
        idle=phase.idle,
        first=first,
        held=None,
        last=last,
        loaded_s=time.monotonic() - here_s,
        generator_memory_bytes=sum((window.memory_bytes or state.memory_bytes).values()) or None,
        probe=probed,
    )
