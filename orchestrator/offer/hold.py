"""Hold: open every connection, ask once on each, and wait for all of the answers.

They come after the scenario's delay, or (answer: release) once everything is open and every server process was told to
let go. The reading that memory per connection comes from is taken while all are open; at the same time client, servers
and kernel are asked how many are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import median

from orchestrator.load.master import SwarmState, Window
from orchestrator.observe.exporter_client import Reading
from orchestrator.offer.asked import ask_servers
from orchestrator.offer.phase import Load, Phase
from orchestrator.verdicts.reconcile import Parties

NOT_COMPARED = "not compared with server and kernel: answers came before all agreed"

_START_S = 30.0  # for Locust to spawn its users, on a busy machine
_OPENED_PER_S = 2000.0  # far below the slowest opening measured (5,000/s, many connections on one pair of addresses)
_TOUCH_S = 0.5  # after the last connect, so that a thread per connection has touched its stack
_FEW, _LOOK_FEW_S, _LOOK_MANY_S = 5000, 0.05, 0.25  # connections that open within a look or two; seconds between looks
_AGREE_S = 3.0  # for the last accepts to be done and the last closes to be seen by all parties
_SOCKETS_S = 3.0  # for a dump of the sockets with all of them open; of up to 10,000 there is one at least so often
_PARTS_S = 10.0  # for the workers to hand their parts in; a lost one ends the wait at once
# Of the parts' histograms, which may have one for each connection, through the one master; with a Locust user for each,
# 100,000 of them end on the same cores meanwhile: 15 s were too few there once, on a machine half as fast as usual.
_CELLS_PER_S = 5_000
_STATES, _SOCKETS = "tcp_states", "tcp_socket_memory_bytes"  # of one dump
_DELAY_SHARE = 0.8  # of the delay after which the first answers are about to come
_OPENING_LOOKS = 2  # at reports of each worker, the first left out, to call their middle that of the opening


def offer_hold(phase: Phase) -> Load:
    """Open, read with everything open, see all answered, stop."""
    scenario, master, exporter, name = phase.scenario, phase.bench.master, phase.bench.exporter, phase.pod.name
    requested, is_released = scenario.connections, scenario.answer == "release"
    opening_s = _START_S + requested / _OPENED_PER_S
    delay_s = 0.0 if is_released else scenario.delay_s
    now_s = master.state().monotonic_s
    here_s = time.monotonic()
    longest_s = opening_s + delay_s + scenario.timeout_s
    master.open_window(name, now_s, now_s + longest_s + 60.0)
    phase.begin_window()
    phase.start()

    opening: list[SwarmState] = []  # one for each report that came while they opened

    def is_open(state: SwarmState) -> bool:
        if 0 < state.established < requested and (
            not opening or opening[-1].worker_cpu_ratio != state.worker_cpu_ratio
        ):
            opening.append(state)
        # A connection that is open and not asked yet would be missing among those that wait for their release.
        asked = state.waiting if is_released and state.waiting is not None else state.established
        return asked + state.failed >= requested or bool(state.answered)

    # With a delay the first answers end it: whoever is not open by then is late, and memory would be read too late.
    opened_by_s = here_s + (opening_s if is_released else max(delay_s * _DELAY_SHARE, 0.5))
    # Asking the master costs CPU of those who open; when all were open is the workers' own word, however often it asks.
    every_s = _LOOK_FEW_S if requested <= _FEW else _LOOK_MANY_S
    state = phase.wait_for(is_open, opened_by_s, every_s)
    if not state.answered:
        phase.wait(min(time.monotonic() + _TOUCH_S, opened_by_s) if not is_released else time.monotonic() + _TOUCH_S)
    held = exporter.read(name)
    parties = _agree(phase, held) if not state.answered else None
    held = _with_sockets(phase, held, math.inf if is_released else opened_by_s)
    phase.ask_runtime()  # only now: while it asks, the server would count a connection more than the swarm
    here_again = phase.look()
    established = max(state.established, here_again.established)
    memory_bytes = sum(here_again.memory_bytes.values()) or None
    state = here_again
    while True:
        if is_released and time.monotonic() < here_s + longest_s:
            ask_servers(phase, release=True)
        state = phase.wait_for(
            lambda seen: seen.answered + seen.failed >= requested,
            min(here_s + longest_s, time.monotonic() + (1.0 if is_released else longest_s)),
            0.1,
        )
        if state.answered + state.failed >= requested or time.monotonic() >= here_s + longest_s:
            break
    last = exporter.read(name)
    phase.end_window()
    asks = state.failed and phase.can_ask_servers
    server_errors = ask_servers(phase).errors if asks else {}
    phase.stop()
    window = phase.window(_PARTS_S + requested / _CELLS_PER_S)
    first_s, open_s = state.first_connect_s, state.last_established_s
    notes = [] if open_s is None else [f"open {open_s - now_s:.2f} s after the order to start"]
    if parties is None:
        notes.append(NOT_COMPARED)
    return Load(
        window=window,
        window_s=last.at_s - phase.idle.at_s,
        established=established,
        idle=phase.idle,
        first=None,
        held=held,
        last=last,
        loaded_s=time.monotonic() - here_s,
        established_s=None if first_s is None or open_s is None else open_s - first_s,
        generator_memory_bytes=memory_bytes or sum(window.memory_bytes.values()) or None,
        opening=_middle(opening[1:]),  # the first one's CPU is of the time before the first connect, too
        parties=parties,
        notes=tuple(notes),
        server_errors=server_errors,
    )


def _middle(states: list[SwarmState]) -> Window | None:
    """Return the medians of the workers' CPU over these looks; None where they are too few to tell."""
    if len(states) < _OPENING_LOOKS:
        return None
    workers = _medians([state.worker_cpu_ratio for state in states])
    engines = _medians([state.engine_cpu_ratio for state in states])
    return Window({}, workers, (), engines) if workers else None


def _medians(told: list[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in told for name in one)
    return {name: median(one[name] for one in told if name in one) for name in names}


def _agree(phase: Phase, held: Reading) -> Parties | None:
    """Return how many connections each party says are open, once they agree or _AGREE_S passed.

    None when answers came meanwhile: connections close then, and three looks are never at one instant.
    """
    ends_s = time.monotonic() + _AGREE_S
    while True:
        before = phase.look()
        servers, why = ask_servers(phase).active if phase.can_ask_servers else (None, "")
        reading = phase.bench.exporter.read(phase.pod.name)
        after = phase.look()
        if after.answered:
            return None
        sockets, base = reading.values.get("tcp_sockets"), phase.idle.values.get("tcp_sockets")
        parties = Parties(
            swarm=after.established,
            servers=servers,
            kernel=None if sockets is None or base is None else (sockets - base) / 2,
            unknown=tuple(filter(None, (why, held.missing.get("tcp_sockets")))),
        )
        stands_still = before.established == after.established
        if (stands_still and parties.agree) or time.monotonic() > ends_s:
            return parties
        time.sleep(0.1)


def _with_sockets(phase: Phase, held: Reading, until_s: float) -> Reading:
    """Return the reading with a dump of the sockets that saw all connections open, if one comes in time.

    Where the cgroup accounts for sockets there is no need of it. A dump is dear, so samples take one a second at the
    most (the exporter's pace.py): the one in a reading may be of before all were open. Of many connections they are
    further apart than is waited here; when the next one is due the exporter says.
    """
    until_s = min(until_s, time.monotonic() + _SOCKETS_S)
    if "cgroup_sock_bytes" in held.values or _SOCKETS not in held.grouped:
        return held
    state, reading, due_in_s = phase.look(), held, 0.0  # what is held may be seconds old
    while reading.grouped.get(_STATES, {}).get("established", 0.0) < state.established:
        if state.answered or time.monotonic() + due_in_s >= until_s:
            return held
        time.sleep(0.1)
        state, reading = phase.look(), phase.bench.exporter.read(phase.pod.name)
        due_in_s = reading.due_in_s.get(_STATES, 0.0)
    seen = {name: reading.grouped[name] for name in (_STATES, _SOCKETS) if name in reading.grouped}
    return replace(held, grouped={**held.grouped, **seen})
