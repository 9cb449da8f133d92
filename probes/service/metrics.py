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
    """One metric: what it is called, what it means, where the kernel counts it, what counting one costs the target."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    source: str
    cost: str
    labels: tuple[str, ...] = ()  # beside those of the target
    samples: Callable[[Counts], Iterable[Sample]] = lambda _: ()  # of the reader's line; none: its rung counts none

    def head(self) -> list[str]:
        """Return the lines that stand above its series."""
        return _head(self.name, self.kind, f"{self.help} ({self.unit}; {self.source})")


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


# Measured per call on Linux 6.18 with all programs attached (../shared/reference/metrics.md); docs/bench.md, rungs, has
# what they cost a server together.
_CALL = "75-125 ns for each call"
_EVENT = "one run of a program for each event, not measured alone"
_NONE = "nothing: kept by the service"

METRICS = (
    Metric(
        "lab_bpf_syscalls_total", "counter", "calls",
        "System calls that returned, by name; one under way is not in it.", "sys_exit", _CALL, ("syscall",),
        _group("syscalls", "syscall"),
    ),
    Metric(
        "lab_bpf_syscall_errors_total", "counter", "calls", "Those of them that failed, by errno.", "sys_exit",
        "with the calls", ("syscall", "errno"), _errors,
    ),
    Metric(
        "lab_bpf_epoll_waits_total", "counter", "calls", "Waits of epoll that did not fail.", "sys_exit",
        "with the calls", (), _epoll("returns"),
    ),
    Metric(
        "lab_bpf_epoll_events_total", "counter", "events",
        "Events that these returned; events / waits is the ready list, which /proc does not show.", "sys_exit",
        "with the calls", (), _epoll("events"),
    ),
    Metric(
        "lab_bpf_context_switches_total", "counter", "switches",
        "Switches away from a thread: voluntary, involuntary; any on the rung perf.", "sched_switch", _EVENT, ("kind",),
        _group("switches", "kind"),
    ),
    Metric(
        "lab_bpf_wakeups_total", "counter", "wakeups", "Threads made ready: woken, new.",
        "sched_wakeup, sched_wakeup_new", _EVENT, ("kind",), _group("wakeups", "kind"),
    ),
    Metric(
        "lab_bpf_runqueue_latency_seconds", "histogram", "seconds", "From being made ready to getting a CPU.",
        "sched_wakeup, sched_switch", "with the switches and wakeups", ("le",),
    ),
    Metric(
        "lab_bpf_tcp_events_total", "counter", "events",
        "Of TCP in the target's network namespace, both ends of its connections: reset_sent by reason; without one "
        "reset_received, retransmit, retransmit_failed, opened_active, opened_passive, closed.",
        "tcp_send_reset, tcp_receive_reset, tcp_retransmit_skb, inet_sock_set_state", _EVENT, ("event", "reason"), _tcp,
    ),
    Metric(
        "lab_bpf_skb_drops_total", "counter", "packets", "Packets dropped in that namespace, by the kernel's reason.",
        "kfree_skb", _EVENT, ("reason",), _group("drops", "reason", "NOT_SPECIFIED"),
    ),
    Metric(
        "lab_bpf_io_uring_requests_total", "counter", "requests", "Requests submitted to io_uring, by operation.",
        "io_uring_submit_req", _EVENT, ("op",), _group("uring", "op", "NOP"),
    ),
    Metric(
        "lab_bpf_lost_events_total", "counter", "events",
        "Events that could not be counted; above 0 the others are too low.", "the programs and the kernel",
        "nothing unless one is lost", ("what",), _lost,
    ),
)  # fmt: skip

RUNG = Metric(
    "lab_probe_rung", "gauge", "1", "The rung that this host allows: ebpf, perf, taskstats.", "the probes", _NONE,
    ("rung",),
)  # fmt: skip
ACTIVE = Metric(
    "lab_probe_active", "gauge", "1 or 0", "1 while a target is probed on a rung, 0 after its window.", "the probes",
    _NONE, ("rung",),
)  # fmt: skip
OF_SERVICE = (RUNG, ACTIVE)
# Declared in orchestrator/observe/exporter/declared.py, which is in another image; a test holds this head to that one.
ERRORS_NAME = "lab_collector_errors_total"
ERRORS_HELP = "Reads of a source that failed and gave no number. (errors; the exporter)"


def render(ladder: Ladder) -> str:
    """Return the exposition of every known target's newest counts, and of the ladder itself."""
    known = [(watched, watched.counts) for watched in ladder.known()]
    lines: list[str] = []
    for metric in METRICS:
        lines += metric.head()
        for watched, counts in known:
            if counts is None:
                continue
            labels = watched.target.labels
            if metric.kind == "histogram":
                lines += _histogram(metric.name, labels, counts)
            lines += [_line(metric.name, {**labels, **more}, value) for more, value in metric.samples(counts)]
    lines += RUNG.head()
    host = ladder.host
    if host is not None:
        lines.append(_line(RUNG.name, {"rung": host[0]}, 1))
    lines += ACTIVE.head()
    for watched, _ in known:
        is_on = watched.reader is not None and watched.reader.is_counting
        lines.append(_line(ACTIVE.name, {**watched.target.labels, "rung": watched.rung}, float(is_on)))
    lines += _head(ERRORS_NAME, "counter", ERRORS_HELP)
    refusals = dict(ladder.refusals)
    lines += [_line(ERRORS_NAME, {"source": name}, refusals.get(rung, 0)) for rung, name in _SOURCES.items()]
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
