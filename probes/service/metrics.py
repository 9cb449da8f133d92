"""Declare every metric of the probes once, and turn counts into Prometheus text.

Text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/. Sums to be taken over a label are right
for each of them: no sample is the sum of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .ladder import Ladder

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Counts = Mapping[str, Any]
Sample = tuple[Mapping[str, str], float]

# Upper edges of the histogram, powers of two in ns, which the reader's finer buckets end at exactly: 1 µs to 1.1 s.
EDGES_NS = tuple(1 << power for power in range(10, 31))


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what it is called, what it means, where the kernel counts it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    source: str
    samples: Callable[[Counts], Iterable[Sample]]  # of the reader's line; none for what its rung does not count


def _group(key: str, label: str, *always: str) -> Callable[[Counts], Iterable[Sample]]:
    """Samples of an object name -> count. always: names that are there as 0 before they happen."""

    def samples(counts: Counts) -> Iterator[Sample]:
        found = counts.get(key)
        if isinstance(found, Mapping):
            for name, count in {**dict.fromkeys(always, 0), **found}.items():
                yield {label: name}, count

    return samples


def _errors(counts: Counts) -> Iterator[Sample]:
    for syscall, by_errno in counts.get("errors", {}).items():
        for errno, count in by_errno.items():
            yield {"syscall": syscall, "errno": errno}, count


def _epoll(key: str) -> Callable[[Counts], Iterable[Sample]]:
    return lambda counts: [({}, counts["epoll"][key])] if key in counts.get("epoll", {}) else []


def _tcp(counts: Counts) -> Iterator[Sample]:
    found = dict(counts.get("tcp", {}))
    for reason, count in {"NOT_SPECIFIED": 0, **found.pop("reset_sent", {})}.items() if found else []:
        yield {"event": "reset_sent", "reason": reason}, count
    for event, count in found.items():
        yield {"event": event, "reason": ""}, count


def _lost(counts: Counts) -> Iterator[Sample]:
    for what, count in counts.get("lost", {}).items():
        yield {"what": what}, count


def _no_samples(_counts: Counts) -> list[Sample]:
    return []


METRICS = (
    Metric(
        "lab_bpf_syscalls_total", "counter", "calls", "System calls that returned, by name.", "sys_exit",
        _group("syscalls", "syscall"),
    ),
    Metric(
        "lab_bpf_syscall_errors_total", "counter", "calls", "Those of them that failed, by errno.", "sys_exit", _errors,
    ),
    Metric(
        "lab_bpf_epoll_waits_total", "counter", "calls", "Waits of epoll that did not fail.", "sys_exit",
        _epoll("returns"),
    ),
    Metric(
        "lab_bpf_epoll_events_total", "counter", "events", "Events that these returned, which /proc does not show.",
        "sys_exit", _epoll("events"),
    ),
    Metric(
        "lab_bpf_context_switches_total", "counter", "switches", "Switches away from a thread.", "sched_switch",
        _group("switches", "kind"),
    ),
    Metric(
        "lab_bpf_wakeups_total", "counter", "wakeups", "Threads made ready, and new ones.", "sched_wakeup",
        _group("wakeups", "kind"),
    ),
    Metric(
        "lab_bpf_runqueue_latency_seconds", "histogram", "seconds", "From being made ready to getting a CPU.",
        "sched_wakeup, sched_switch", _no_samples,
    ),
    Metric(
        "lab_bpf_tcp_events_total", "counter", "events",
        "Of TCP in the target's network namespace, both ends of its connections.",
        "tcp_send_reset, tcp_receive_reset, tcp_retransmit_skb, inet_sock_set_state", _tcp,
    ),
    Metric(
        "lab_bpf_skb_drops_total", "counter", "packets", "Packets dropped in that namespace, by the kernel's reason.",
        "kfree_skb", _group("drops", "reason", "NOT_SPECIFIED"),
    ),
    Metric(
        "lab_bpf_io_uring_requests_total", "counter", "requests", "Requests submitted to io_uring, by operation.",
        "io_uring_submit_req", _group("uring", "op", "NOP"),
    ),
    Metric(
        "lab_bpf_lost_events_total", "counter", "events",
        "Events that could not be counted; above 0 the others are too low.", "the programs and the kernel", _lost,
    ),
)  # fmt: skip

RUNG = ("lab_probe_rung", "The rung that this host allows: ebpf, perf, taskstats (1; the probes).")
ACTIVE = ("lab_probe_active", "1 while a target is probed on a rung, 0 after its window (ratio; the probes).")
ERRORS = ("lab_collector_errors_total", "Reads of a source that gave nothing (errors; the probes).")


def render(ladder: Ladder) -> str:
    """Return the exposition of every known target's newest counts, and of the ladder itself."""
    known = [(watched, watched.counts) for watched in ladder.known()]
    lines: list[str] = []
    for metric in METRICS:
        lines += _head(metric.name, metric.kind, f"{metric.help} ({metric.unit}; {metric.source})")
        for watched, counts in known:
            if counts is None:
                continue
            labels = watched.target.labels
            if metric.kind == "histogram":
                lines += _histogram(metric.name, labels, counts)
            lines += [_line(metric.name, {**labels, **more}, value) for more, value in metric.samples(counts)]
    lines += _head(RUNG[0], "gauge", RUNG[1])
    host = ladder.host
    if host is not None:
        lines.append(_line(RUNG[0], {"rung": host[0]}, 1))
    lines += _head(ACTIVE[0], "gauge", ACTIVE[1])
    for watched, _ in known:
        is_on = watched.reader is not None and watched.reader.is_counting
        lines.append(_line(ACTIVE[0], {**watched.target.labels, "rung": watched.rung}, float(is_on)))
    lines += _head(ERRORS[0], "counter", ERRORS[1])
    refusals = dict(ladder.refusals)
    lines += [_line(ERRORS[0], {"source": name}, refusals.get(rung, 0)) for rung, name in _SOURCES.items()]
    return "\n".join(lines) + "\n"


_SOURCES = {"ebpf": "bpf", "perf": "perf"}


def _histogram(name: str, labels: Mapping[str, str], counts: Counts) -> Iterator[str]:
    found = counts.get("runqueue_latency")
    if not isinstance(found, Mapping):
        return
    below = {int(edge): int(count) for edge, count in found["below_ns"].items()}
    for edge in EDGES_NS:
        reached = sum(count for above, count in below.items() if above <= edge)
        yield _line(f"{name}_bucket", {**labels, "le": repr(edge / 1e9)}, reached)
    yield _line(f"{name}_bucket", {**labels, "le": "+Inf"}, found["count"])
    yield _line(f"{name}_sum", labels, found["sum_ns"] / 1e9)
    yield _line(f"{name}_count", labels, found["count"])


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    pairs = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {float(value)!r}" if pairs else f"{name} {float(value)!r}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
