"""Turn what the workers said last into the gauges of GET /metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swarm.ledger import Ledger, short_names
from swarm.metrics import Labels

Gauges = dict[str, tuple[str, Mapping[tuple[str, Labels], float]]]

OF_WORKERS = {
    "lab_client_cpu_ratio": ("cpu_ratio", "CPU of one worker since its last report, in cores."),
    "lab_client_engine_cpu_ratio": ("engine_cpu_ratio", "CPU of one worker's engine since its last report, in cores."),
    "lab_client_memory_bytes": ("memory_bytes", "Resident memory of one worker."),
}


def read_gauges(
    ledger: Ledger, workers: Mapping[str, Mapping[str, Any]], variants: Sequence[str], users_wanted: int
) -> Gauges:
    """Return metric name -> (help, {(variant, further labels): value}).

    workers: by client id, as GET /lab/state shows them. variants: those under load, in the order of the form.
    """
    names = short_names(workers)
    several = variants[0] if len(variants) == 1 else "all"  # a worker's CPU belongs to all it loads
    share, rest = divmod(users_wanted, len(variants) or 1)
    users = ledger.by_variant("users")
    gauges: Gauges = {
        "lab_client_users": ("Users now.", {(variant, ()): number for variant, number in users.items()}),
        "lab_client_users_target": (
            "Users asked for.",
            {(variant, ()): share + (place < rest) for place, variant in enumerate(variants)},
        ),
        "lab_client_connections": (
            "Connections now, by state.",
            {
                (variant, (("state", state),)): number
                for state in ("connecting", "established", "waiting")
                for variant, number in ledger.by_variant(state).items()
            },
        ),
    }
    for metric, (key, text) in OF_WORKERS.items():
        series: dict[tuple[str, Labels], float] = {
            (several, (("worker", names[client_id]),)): worker[key]
            for client_id, worker in workers.items()
            if worker[key] is not None
        }
        gauges[metric] = (text, series)
    return gauges
