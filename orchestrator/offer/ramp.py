"""Ramp: the swarm's master raises the load step by step and judges each; here it is started and waited for.

The trial's own window is that of the last step that held; the one that bound has its errors in a note.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter

from orchestrator.errors import NotReady
from orchestrator.load.master import Ramp, Window
from orchestrator.model import Ramp as Stairs
from orchestrator.observe.exporter_client import Reading
from orchestrator.offer.phase import Load, Phase

_BEGIN_S = 20.0  # for the master to begin its first step
_READ_EACH_S = 0.5
_STEP_SLACK_S = 10.0  # beyond a step's own time: its parts come in, its last answers are waited for


def offer_ramp(phase: Phase) -> Load:
    """Start, wait until the master has found what binds, gather the steps."""
    scenario, master = phase.scenario, phase.bench.master
    stairs = scenario.ramp
    if stairs is None:
        raise NotReady(f"scenario {scenario.name}: expected a ramp's steps, seen none. Try: lab check")
    earlier = master.read_ramp().windows
    here_s = time.monotonic()
    phase.begin_window()  # all steps together: the master begins and ends each by itself
    phase.start()
    # The master waits for a step's parts as long as its exchanges may take, twice: the window's last one and its own.
    each_s = stairs.settle_s + stairs.step_s + 2 * (scenario.delay_s + scenario.timeout_s) + _STEP_SLACK_S
    ramp, last = _wait(phase, earlier, here_s + _BEGIN_S, here_s + _BEGIN_S + count_steps(stairs) * each_s)
    phase.end_window()
    state = phase.look()
    windows = _read_windows(phase, ramp)
    phase.stop()
    held = max((n for n, step in enumerate(ramp.steps) if not step.binds), default=None)
    window = windows[held] if held is not None and held < len(windows) else (windows or [Window({}, {}, ())])[0]
    memory = state.memory_bytes or window.memory_bytes
    return Load(
        window=window,
        window_s=stairs.step_s,
        established=ramp.steps[held].established if held is not None else None,
        idle=phase.idle,
        first=None,
        held=None,
        last=last,
        loaded_s=time.monotonic() - here_s,
        generator_memory_bytes=sum(memory.values()) or None,
        ramp=ramp,
        notes=_notes(ramp, windows),
    )


def count_steps(stairs: Stairs) -> int:
    """Return how many steps a ramp takes when nothing binds; the last one is `last` itself."""
    if stairs.last <= stairs.first:
        return 1
    return math.ceil(math.log(stairs.last / stairs.first) / math.log(stairs.factor) - 1e-9) + 1


def _wait(phase: Phase, earlier: tuple[str, ...], begin_s: float, end_s: float) -> tuple[Ramp, Reading]:
    """Wait until this trial's ramp has ended; return it and the last reading taken under load.

    The master still tells of the ramp before until its test has begun. It stops the swarm with the last step, so the
    reading is older by up to _READ_EACH_S: a later one would count the closing of all connections as the load's doing.
    """
    reading, read_s = phase.idle, 0.0
    while True:
        ramp = phase.bench.master.read_ramp()
        is_ours = ramp.windows != earlier and bool(ramp.windows)
        if is_ours and not ramp.is_running:
            return ramp, reading
        if is_ours and time.monotonic() - read_s >= _READ_EACH_S:
            fresh = phase.bench.exporter.read(phase.pod.name)
            if phase.bench.master.read_ramp().is_running:
                reading, read_s = fresh, time.monotonic()
        now_s = time.monotonic()
        if now_s > (end_s if is_ours else begin_s):
            raise NotReady(
                f"ramp {phase.scenario.name}: expected its {'end' if is_ours else 'first step'} in time, seen "
                f"{len(ramp.steps) if is_ours else 'no'} steps. Try: docker logs of the master's container (lab status)"
            )
        phase.look()
        time.sleep(0.2)


def _read_windows(phase: Phase, ramp: Ramp) -> list[Window]:
    """Return the steps' windows that the master still has, in the order of the steps."""
    windows = []
    for window_id in ramp.windows[: len(ramp.steps)]:
        with contextlib.suppress(NotReady):  # the master keeps the newest ones only
            windows.append(phase.bench.master.read_window(window_id))
    return windows


def _notes(ramp: Ramp, windows: list[Window]) -> tuple[str, ...]:
    """Say what went wrong in the step that bound: its errors are not in the window of the one that held."""
    if not ramp.steps or not ramp.steps[-1].binds or len(windows) < len(ramp.steps):
        return ()
    errors: Counter[str] = Counter()
    for row in windows[-1].rows:
        errors.update(row.errors)
    if not errors:
        return ()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in errors.most_common(3))
    return (f"errors at {ramp.steps[-1].offered:,.10g}, where it ended: {kinds}",)
