"""Turn readings into Prometheus text, by the declarations in declared.py.

Text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .declared import METRICS
from .metric import Metric, Value
from .reading import Reading
from .target import Target

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED_VARIANT = "arena (shared)"  # the variant label of counters that belong to a namespace several variants share


def render(
    rows: Iterable[tuple[Target, Reading]], host: Mapping[str, Value], own: Mapping[str, Value]
) -> str:  # fmt: skip
    """Return the exposition of the latest readings, of the host, and of the exporter's own cost and failures."""
    rows = list(rows)
    lines: list[str] = []
    for metric in METRICS:
        lines += metric.head()
        seen: set[str] = set()
        for labels, values in _values(metric, rows, host, own):
            for extra, value in metric.samples(values):
                series = f"{metric.name}{_label_text(dict(labels) | dict(extra))}"
                if series not in seen:
                    seen.add(series)
                    lines.append(f"{series} {float(value)!r}")
    return "\n".join(lines) + "\n"


def _values(
    metric: Metric, rows: Iterable[tuple[Target, Reading]], host: Mapping[str, Value], own: Mapping[str, Value]
) -> Iterator[tuple[Mapping[str, str], Mapping[str, Value]]]:
    """Return (labels, values) of everything that may have samples of this metric."""
    if metric.scope in ("host", "exporter"):
        yield {}, host if metric.scope == "host" else own
        return
    for target, reading in rows:
        is_shared = metric.scope == "namespace" and target.shared_namespace
        yield (dict(target.labels) | {"variant": SHARED_VARIANT} if is_shared else target.labels), reading.values


def _label_text(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
