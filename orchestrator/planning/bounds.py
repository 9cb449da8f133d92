"""Turn a trial into everything that limits it, the binding constraint first, and into what it should show."""

from __future__ import annotations

import math

from orchestrator.model import Bound, Scenario
from orchestrator.planning import constraints, resources
from orchestrator.planning.ask import Ask

_LEAST_DELAY_S = 0.1  # an answer on a busy machine takes milliseconds: a few percent of this
_PART_OF_ROUNDS = 0.1  # of a window, that may belong to a round of answers which it cuts
_MANY_ARRIVALS = 1_100  # of a Poisson clock: its number is within 15 % at five standard deviations

_ALL = (
    constraints.wall,
    constraints.server_descriptors,
    constraints.worker_descriptors,
    constraints.source_ports,
    constraints.port_search,
    constraints.accept_queue,
    constraints.threads,
    constraints.locked_memory,
    constraints.tracked,
    constraints.epoll_watches,
    constraints.open_files,
    resources.all_memory,
    resources.kernel_memory,
    resources.user_memory,
    resources.tcp_buffers,
    resources.generator_cpu,
)


def find_bounds(ask: Ask) -> tuple[Bound, ...]:
    """Return every constraint, that with the least room first: the least of what it allows over what is asked for.

    What has no limit in sight comes last. Soft constraints stand behind the hard ones: they cost time, not connections.
    A variant's own wall costs connections, though it is no reason to refuse the trial.
    """
    found = [bound for constraint in _ALL if (bound := constraint(ask)) is not None]
    return tuple(sorted(found, key=lambda bound: (not _ends(bound), room(bound))))


def _ends(bound: Bound) -> bool:
    """Whether connections beyond it fail: a hard constraint's, and those behind a variant's own wall."""
    return bound.hard or bound.whose == "variant"


def room(bound: Bound) -> float:
    """Return how many times what is asked for would fit; infinite where there is no limit in sight."""
    if bound.most is None:
        return math.inf
    return bound.most / bound.wanted if bound.wanted else math.inf


def most_connections(bounds: tuple[Bound, ...]) -> float | None:
    """Return how many connections can be open at once: the least of what ends them; None: no limit in sight."""
    return min((b.most for b in bounds if _ends(b) and b.most is not None and b.unit == "connections"), default=None)


def binding(bounds: tuple[Bound, ...]) -> Bound | None:
    """Return the constraint with the least room of those that end connections; None where none is known."""
    return min((b for b in bounds if _ends(b) and b.most is not None), key=room, default=None)


def predict(ask: Ask, bounds: tuple[Bound, ...]) -> dict[str, float]:
    """Return figures that the trial should show, by their names in Metrics; only those that a formula stands behind.

    Where not all connections fit, only how many do: memory is read at a moment when some still come and go.
    """
    most = most_connections(bounds)
    held = ask.connections if most is None else min(ask.connections, most)
    if ask.scenario.kind != "hold":
        rate_per_s = None if _is_beyond_load(bounds) else _rate_per_s(ask.scenario, held)
        return {} if rate_per_s is None else {"throughput_per_s": rate_per_s}
    if held < ask.connections:
        return {"connections_held": held}
    generator, server = ask.costs.generator, ask.costs.server
    return {
        "connections_held": held,
        "memory_bytes_per_connection": server.user_bytes + server.kernel_bytes,
        "generator_memory_bytes": ask.workers * generator.base_bytes + held * generator.user_bytes,
    }


def _is_beyond_load(bounds: tuple[Bound, ...]) -> bool:
    return any(bound.name == "generator CPU" and bound.exceeded for bound in bounds)


def _rate_per_s(scenario: Scenario, connections: float) -> float | None:
    """Return the answers/s that arithmetic gives: a clock's rate, or Little's law where the delay is what takes time.

    A closed loop without a delay answers as fast as the server can: that is measured, not predicted. With a short one
    an exchange takes as long beside it; and a window that ends within a round of answers counts it whole or not at all.
    """
    delay_s = scenario.delay_s
    reach_per_s = connections / delay_s if delay_s else math.inf
    if scenario.kind == "open":
        arrivals = scenario.rate_per_s * scenario.measure_s
        is_sure = scenario.arrivals == "constant" or arrivals >= _MANY_ARRIVALS
        return min(scenario.rate_per_s, reach_per_s) if is_sure else None
    if scenario.kind != "closed" or delay_s < _LEAST_DELAY_S:
        return None
    rounds = scenario.measure_s / delay_s
    return reach_per_s if rounds >= 1 and rounds % 1 <= _PART_OF_ROUNDS * rounds else None
