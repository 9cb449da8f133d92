"""Turn a trial into everything that limits it, the binding constraint first, and into what it should show."""

from __future__ import annotations

import math

from orchestrator.model import Bound
from orchestrator.planning import constraints, resources
from orchestrator.planning.ask import Ask

_ALL = (
    constraints.wall,
    constraints.server_descriptors,
    constraints.worker_descriptors,
    constraints.source_ports,
    constraints.port_search,
    constraints.accept_queue,
    constraints.threads,
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
    if ask.scenario.kind != "hold":
        return {}
    most = most_connections(bounds)
    held = ask.connections if most is None else min(ask.connections, most)
    if held < ask.connections:
        return {"connections_held": held}
    generator, server = ask.costs.generator, ask.costs.server
    return {
        "connections_held": held,
        "memory_bytes_per_connection": server.user_bytes + server.kernel_bytes,
        "generator_memory_bytes": ask.workers * generator.base_bytes + held * generator.user_bytes,
    }
