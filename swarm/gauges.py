"""Turn what the workers said last into the gauges of GET /metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swarm import catalogue
from swarm.ledger import Ledger, short_names
from swarm.metrics import Gauges, Labels

OF_WORKERS = {
    catalogue.CPU_RATIO: "cpu_ratio",
    catalogue.ENGINE_CPU_RATIO: "engine_cpu_ratio",
    catalogue.LOOP_LAG: "loop_lag_s",
    catalogue.MEMORY: "memory_bytes",
}
STATES = {"connecting": "connecting", "established": "established", "waiting": "waiting", "failed": "connects_failed"}


def read_gauges(
    ledger: Ledger, workers: Mapping[str, Mapping[str, Any]], variants: Sequence[str], users_wanted: int
) -> Gauges:
    """Return metric -> {(variant, further labels): value}.

    workers: by client id, as GET /lab/state shows them. variants: those under load, in the order of the form.
    """
    names = short_names(workers)
    several = variants[0] if len(variants) == 1 else "all"  # a worker's CPU belongs to all it loads
    share, rest = divmod(users_wanted, len(variants) or 1)
    users = ledger.by_variant("users")
    gauges: dict[catalogue.Metric, Mapping[tuple[str, Labels], float]] = {
        catalogue.USERS: {(variant, ()): number for variant, number in users.items()},
        catalogue.USERS_TARGET: {(variant, ()): share + (place < rest) for place, variant in enumerate(variants)},
        catalogue.CONNECTIONS: {
            (variant, (("state", state),)): number
            for state, key in STATES.items()
            for variant, number in ledger.by_variant(key).items()
        },
    }
    for metric, key in OF_WORKERS.items():
        gauges[metric] = {
            (several, (("worker", names[client_id]),)): worker[key]
            for client_id, worker in workers.items()
            if worker[key] is not None
        }
    return gauges
