"""Turn what was seen at two numbers of connections into what one costs on this machine.

Pure: samples of trials in, costs.Calibration out. Two points, because whatever is there without a connection (a
runtime, a heap, an empty worker) cancels out of their difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.planning.costs import EndCost, GeneratorCost, Point, reference_generator, slope


@dataclass(frozen=True, slots=True)
class Held:
    """One trial with so many connections open, each asked once and waiting."""

    connections: int
    server_rss_bytes: float
    server_cgroup_bytes: float  # all that is charged to the server's containers
    server_cpu_s: float  # since before the first connect
    workers: int
    generator_rss_bytes: float  # all workers together
    established_s: float | None  # from the first connect until the last was open


@dataclass(frozen=True, slots=True)
class Asked:
    """One trial of small answers on connections that stay."""

    answered_per_s: float
    server_cpu_s_each: float
    generator_cpu_ratio: float  # the busiest worker's share of a core


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """What a variant costs here: memory for the planner, CPU to look at."""

    cost: EndCost
    open_cpu_s: float  # to accept a connection and read its first request
    request_cpu_s: float | None  # on a connection that stays


def server_figures(low: Held, high: Held, asked: Asked | None) -> ServerFigures:
    """Return a variant's costs from two samples. Raises ValueError where they cannot be told from noise."""
    cost = slope(
        Point(low.connections, low.server_rss_bytes, low.server_cgroup_bytes - low.server_rss_bytes),
        Point(high.connections, high.server_rss_bytes, high.server_cgroup_bytes - high.server_rss_bytes),
    )
    more_s = high.server_cpu_s - low.server_cpu_s
    if more_s < 0:
        raise ValueError(f"{high.connections:,} connections took {-more_s:.3f} s less CPU than {low.connections:,}")
    each_s = more_s / (high.connections - low.connections)
    return ServerFigures(cost, each_s, None if asked is None else asked.server_cpu_s_each)


def generator_cost(
    users: str, pairs: Sequence[tuple[Held, Held]], asked: Sequence[Asked], loops: Mapping[str, EndCost]
) -> GeneratorCost:
    """Return what this kind of users costs, from its samples against one or several variants.

    loops: calibrated variants that serve from an event loop. The kernel keeps the same for both ends of a loopback
    connection (a socket, a watch), and theirs is the end without a thread: the least of them stands for the load's.
    What was not seen is the reference's. Rates are the best seen: a slower server hides what the load could do.
    Raises ValueError where memory shrank.
    """
    reference = reference_generator("engine" if users == "engine" else "locust")
    slopes = []
    bases = []
    for low, high in pairs:
        each = slope(
            Point(low.connections, low.generator_rss_bytes, 0.0), Point(high.connections, high.generator_rss_bytes, 0.0)
        ).user_bytes
        slopes.append(each)
        bases.append(max(low.generator_rss_bytes - each * low.connections, 0.0) / low.workers)
    opened = [
        high.connections / high.established_s / high.workers for _, high in pairs if high.established_s is not None
    ]
    answered = [a.answered_per_s / min(a.generator_cpu_ratio, 1.0) for a in asked if a.generator_cpu_ratio > 0]
    return GeneratorCost(
        user_bytes=max(slopes, default=reference.user_bytes),
        kernel_bytes=min((cost.kernel_bytes for cost in loops.values()), default=reference.kernel_bytes),
        base_bytes=max(bases, default=reference.base_bytes),
        opens_per_core_s=max(opened, default=reference.opens_per_core_s),
        answers_per_core_s=max(answered, default=reference.answers_per_core_s),
        calibrated=True,
    )
