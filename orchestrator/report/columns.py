"""What the side-by-side table shows of one row: the columns, their text and their share for bar and ratio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.model import Kind
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
    """How a scenario was served: first what its kind is about, then latency, errors, trials."""
    return [*_FIRST[rows[0].kind], *_LATENCIES, _ERRORS, _TRIALS]


def cost_columns(rows: Sequence[Summary]) -> list[Column]:
    """What serving it cost: threads, memory (in a hold, of each connection), CPU, switches."""
    kind = rows[0].kind
    if kind == "hold":
        return [_THREADS, _MEMORY_EACH, _CPU, _SWITCHES]
    return [_THREADS, _MEMORY] if kind == "ramp" else [_THREADS, _MEMORY, _CPU, _SWITCHES]


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


def _throughput(row: Summary) -> str:
    text = figures.rate(row.metrics.throughput_per_s)
    return f"≥ {text}" if row.is_at_least and row.metrics.throughput_per_s is not None else text


def _held(row: Summary) -> str:
    held, requested = row.metrics.connections_held, row.metrics.connections_requested
    return figures.UNKNOWN if held is None else f"{figures.whole(held)}/{figures.whole(requested)}"


def _share_held(row: Summary) -> float | None:
    held, requested = row.metrics.connections_held, row.metrics.connections_requested
    return held / requested if held is not None and requested else None


def _share_sent(row: Summary) -> str:
    sent, planned = row.metrics.sent, row.metrics.planned
    return figures.UNKNOWN if sent is None else f"{figures.whole(sent)}/{figures.whole(planned)}"


def _breaking_point(row: Summary) -> str:
    text = figures.rate(row.metrics.breaking_point)
    return f"≥ {text}" if row.bound_by.startswith("nothing") and row.metrics.breaking_point is not None else text


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
_OPENED = Column(
    "all\nopen",
    "time to open all",
    "established_s",
    lambda row: figures.duration(row.metrics.established_s),
    lambda row: row.metrics.established_s,
    better="less",
)
_SENT = Column("sent/\nplanned", "arrivals sent", "sent", _share_sent)
_LATE = Column("late", "late arrivals", "late", lambda row: figures.whole(row.metrics.late))
_LAG = Column("lag\np99", "lag from plan to send", "lag_p99_s", lambda row: figures.duration(row.metrics.lag_p99_s))
_ANSWERED = Column("answered/\nplanned", "connects answered", "connections_held", _held, _share_held, better="more")
_BREAKING_POINT = Column(
    "breaking\npoint",
    "breaking point",
    "breaking_point",
    _breaking_point,
    lambda row: row.metrics.breaking_point,
    better="more",
)
_BOUND_BY = Column(
    "bound by", "what bound", "", lambda row: "nothing" if row.bound_by.startswith("nothing") else row.bound_by or "-"
)
_ANSWERS_THERE = Column(
    "answers/s\nthere", "throughput", "throughput_per_s", lambda row: figures.rate(row.metrics.throughput_per_s)
)
_FIRST: Mapping[Kind, tuple[Column, ...]] = {
    "closed": (_THROUGHPUT,),
    "hold": (_HELD, _OPENED),
    "open": (_THROUGHPUT, _SENT, _LATE, _LAG),
    "ramp": (_BREAKING_POINT, _BOUND_BY, _ANSWERS_THERE),
    "storm": (_ANSWERED, _LAG),
}
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
