"""Offer one trial's load and read the server before, within and after it; one module for each way of going about it.

timed: closed, open, storm; a window of fixed length. hold: everything open at once, ended by a delay or by release.
ramp: the swarm's master goes up step by step. phase: what they share, watching the workers above all.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace

from orchestrator.errors import NotReady
from orchestrator.load.master import Master
from orchestrator.model import TrialSpec
from orchestrator.offer.hold import offer_hold
from orchestrator.offer.phase import Load, Phase
from orchestrator.offer.ramp import offer_ramp
from orchestrator.offer.timed import offer_timed
from orchestrator.pod import Bench, Pod

_MOST_COMPLAINTS = 3

__all__ = ["Load", "offer"]


def offer(bench: Bench, spec: TrialSpec, pod: Pod) -> Load:
    """Load the server as the scenario says and read it before, within and after.

    Raises Lost within seconds when a worker goes in the middle, NotReady when the swarm does not do as told.
    """
    scenario = bench.lab.scenarios[spec.scenario]
    bench.master.label(bench.run_id, scenario.name)
    # Locust takes a second or two to say that it stopped. The workers' parts come in meanwhile, and so does the end of
    # the pod; the next trial waits until the master is at rest.
    stopping = threading.Thread(target=_stop_quietly, args=(bench.master,))
    phase = Phase(bench, spec, pod, scenario, bench.exporter.read(pod.name), stopping)
    go = {"hold": offer_hold, "ramp": offer_ramp}.get(scenario.kind, offer_timed)
    try:
        load = go(phase)
        if any(row.answered for row in load.window.rows):
            return load
        # What kept the load from beginning, such as a refused target, came before the window and is not in it.
        return replace(load, complaints=tuple(bench.master.complaints()[:_MOST_COMPLAINTS]))
    finally:
        phase.stop()
        phase.end_window()


def _stop_quietly(master: Master) -> None:
    with contextlib.suppress(NotReady):  # a master that is gone has stopped
        master.stop()
