"""What the side-by-side table shows of one row: the columns, their text and their share for bar and ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.report import figures
from orchestrator.verdicts.summary import Summary

Better = Literal["more", "less"]

# Wide enough for "2,000 ECONNRESET", the commonest kind.
_KIND_WIDTH = 10
_KINDS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of the table; with `better` it is also drawn and set in relation to the best row."""

    header: str
    name: str  # in full, for the lines below the table
    metric: str  # the field of Metrics it shows; "" for none
    text: Callable[[Summary], str]
    value: Callable[[Summary], float | None] = lambda _: None
    better: Better | None = None


@dataclass(frozen=True, slots=True)
class Shares:
    """A column's rows in relation to each other, in row order; None where a row has no figure."""

    bars: tuple[float | None, ...]  # of the largest
    ratios: tuple[float | None, ...]  # of the best


def service_columns(rows: Sequence[Summary]) -> list[Column]:
    """How a scenario was served: rate or connections held, latency, errors, trials."""
    return [_HELD if _is_hold(rows) else _THROUGHPUT, *_LATENCIES, _ERRORS, _TRIALS]


def cost_columns(rows: Sequence[Summary]) -> list[Column]:
    """What serving it cost: threads, memory (in a hold, of each connection), CPU, switches."""
    return [_THREADS, _MEMORY_EACH if _is_hold(rows) else _MEMORY, _CPU, _SWITCHES]


def relate(column: Column, rows: Sequence[Summary]) -> Shares:
    """Relate a column's figures to each other; nothing to relate when no row has one above 0."""
    values = [column.value(row) for row in rows]
    positive = [value for value in values if value is not None and value > 0.0]
    if column.better is None or not positive:
        return Shares(bars=(None,) * len(rows), ratios=(None,) * len(rows))
    best = max(positive) if column.better == "more" else min(positive)
    return Shares(
        bars=tuple(None if value is None else value / max(positive) for value in values),
        ratios=tuple(None if value is None else value / best for value in values),
    )


def are_kinds_cut(row: Summary) -> bool:
    """Whether the errors' cell leaves out something that belongs below the table."""
    kinds = figures.by_frequency(row.metrics.errors)
    return len(kinds) > _KINDS_SHOWN or any(len(kind) > _KIND_WIDTH for kind, _ in kinds)


def _is_hold(rows: Sequence[Summary]) -> bool:
    return any(row.kind == "hold" for row in rows)


def _throughput(row: Summary) -> str:
    text = figures.rate(row.metrics.throughput_per_s)
    return f"≥ {text}" if row.is_at_least and row.metrics.throughput_per_s is not None else text


def _held(row: Summary) -> str:
    held, requested = row.metrics.connections_held, row.metrics.connections_requested
    return figures.UNKNOWN if held is None else f"{figures.whole(held)}/{figures.whole(requested)}"


def _errors(row: Summary) -> str:
    if row.valid == 0:
        return figures.UNKNOWN
    kinds = figures.by_frequency(row.metrics.errors)
    if not kinds:
        return "0"
    lines = [f"{n:,} {figures.shortened(kind, _KIND_WIDTH)}" for kind, n in kinds[:_KINDS_SHOWN]]
    rest = sum(n for _, n in kinds[_KINDS_SHOWN:])
    return "\n".join([*lines, f"{rest:,} more"] if rest else lines)


_THROUGHPUT = Column(
    "right\nanswers/s",
    "throughput",
    "throughput_per_s",
    _throughput,
    lambda row: row.metrics.throughput_per_s,
    better="more",
)
_HELD = Column("held/\nrequested", "connections held", "connections_held", _held)
_LATENCIES = (
    Column("p50", "p50", "p50_s", lambda row: figures.duration(row.metrics.p50_s)),
    Column("p99", "p99", "p99_s", lambda row: figures.duration(row.metrics.p99_s)),
    Column("p99.9", "p99.9", "p999_s", lambda row: figures.duration(row.metrics.p999_s)),
)
_ERRORS = Column("errors", "errors", "", _errors)
_TRIALS = Column("valid/\nplan", "valid of planned trials", "", lambda row: f"{row.valid}/{row.planned}")
_THREADS = Column("peak\nthreads", "peak threads", "threads_peak", lambda row: figures.whole(row.metrics.threads_peak))
_MEMORY = Column(
    "memory",
    "memory",
    "memory_bytes",
    lambda row: figures.size(row.metrics.memory_bytes),
    lambda row: row.metrics.memory_bytes,
    better="less",
)
_MEMORY_EACH = Column(
    "memory/\nconn.",
    "memory per held connection",
    "memory_bytes_per_connection",
    lambda row: figures.size(row.metrics.memory_bytes_per_connection),
    lambda row: row.metrics.memory_bytes_per_connection,
    better="less",
)
_CPU = Column(
    "CPU-s/\n10k rq",
    "CPU-seconds per 10k requests",
    "cpu_s_per_10k_requests",
    lambda row: figures.plain(row.metrics.cpu_s_per_10k_requests),
)
_SWITCHES = Column(
    "vol.sw\n/rq",
    "voluntary switches per request",
    "context_switches_per_request",
    lambda row: figures.plain(row.metrics.context_switches_per_request),
)
