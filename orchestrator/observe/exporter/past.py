"""Turn what the orchestrator says of past runs into Prometheus text: PUT /runs is shown at GET /runs.

The exporter does not judge a run and keeps nothing on a disk; it shows what it was given last until it is given
something else (docs/decisions/0009). The text is made once, when it is given: a scrape costs the copying of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from .declared import RUN_INFO, RUN_STAT
from .errors import BadTarget

LONGEST_BODY = 8 << 20  # ten thousand figures take 1 MB
# What a run is known by, and what each of its figures is; a figure also carries its run's id.
_OF_RUN = RUN_INFO.labels
_OF_STAT = tuple(label for label in RUN_STAT.labels if label != "run_id")


def render_runs(body: bytes) -> str:
    """Return the exposition of {"runs": [{run_id, suite, started_at, finished, kernel, "stats": [...]}]}.

    Each of the stats: {scenario, variant, stat, value}. Raises BadTarget for anything else: then nothing changes.
    """
    try:
        told = json.loads(body)
    except ValueError as why:
        raise BadTarget(f"not JSON: {why}") from None
    if not isinstance(told, dict) or set(told) != {"runs"} or not isinstance(told["runs"], list):
        raise BadTarget("expected a JSON object with runs, a list, and nothing else")
    infos, stats = [], []
    for place, run in enumerate(told["runs"]):
        where = f"runs[{place}]"
        labels = _labels(run, _OF_RUN, where)
        infos.append(f"{RUN_INFO.name}{_braces(labels)} 1.0")
        stats += list(_stats(run.get("stats"), labels["run_id"], where))
    lines = [*RUN_INFO.head(), *infos, *RUN_STAT.head(), *stats]
    repeated = len(infos) + len(stats) - len({line.rpartition(" ")[0] for line in (*infos, *stats)})
    if repeated:  # Prometheus would refuse the whole scrape
        raise BadTarget(f"expected each figure once, saw {repeated} twice")
    return "\n".join(lines) + "\n"


def _stats(told: Any, run_id: str, where: str) -> Iterator[str]:
    if not isinstance(told, list):
        raise BadTarget(f"{where}.stats: expected a list, saw {type(told).__name__}")
    for place, one in enumerate(told):
        labels = {"run_id": run_id, **_labels(one, _OF_STAT, f"{where}.stats[{place}]")}
        value = one.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadTarget(f"{where}.stats[{place}].value: expected a number, saw {value!r}")
        yield f"{RUN_STAT.name}{_braces(labels)} {float(value)!r}"


def _labels(told: Any, names: tuple[str, ...], where: str) -> dict[str, str]:
    if not isinstance(told, dict):
        raise BadTarget(f"{where}: expected an object, saw {type(told).__name__}")
    for name in names:
        if not isinstance(told.get(name), str):
            raise BadTarget(f"{where}.{name}: expected text, saw {told.get(name)!r}")
    return {name: told[name] for name in names}


def _braces(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
