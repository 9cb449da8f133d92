"""Declare every metric once, and turn readings into Prometheus text.

Text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from .reading import Reading
from .target import Target

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED_VARIANT = "arena (shared)"  # the variant label of counters that belong to a namespace several variants share


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what it is called, what it means, which values of a reading are its samples."""

    name: str
    kind: Literal["counter", "gauge"]
    unit: str
    help: str
    source: str
    label: str  # the label that tells its samples apart; "": it has one
    values: Mapping[str, str]  # that label's value -> name in the reading
    of_namespace: bool = False  # counted for the whole network namespace

    def samples(self, reading: Reading) -> Iterator[tuple[Mapping[str, str], float]]:
        """Return this metric's samples; a missing value has none."""
        for label_value, name in self.values.items():
            value = reading.values.get(name)
            if isinstance(value, dict):
                for key, each in value.items():
                    yield {self.label: key}, each
            elif value is not None:
                yield ({self.label: label_value} if self.label else {}), value


def _one(
    name: str, kind: Literal["counter", "gauge"], unit: str, text: str, source: str, value: str, net: bool = False
) -> Metric:
    return Metric(name, kind, unit, text, source, "", {"": value}, net)


METRICS = (
    _one("lab_server_up", "gauge", "ratio", "1 while every container's first process is alive.", "/proc/P/stat", "up"),
    _one("lab_server_processes", "gauge", "processes", "Processes of the server.", "cgroup.procs", "processes"),
    _one("lab_server_threads", "gauge", "threads", "Threads of all its processes.", "/proc/P/stat", "threads"),
    _one(
        "lab_server_threads_peak",
        "gauge",
        "threads",
        "Most threads seen, looking ten times a second.",
        "/proc/P/stat",
        "threads_peak",
    ),
    _one("lab_server_open_fds", "gauge", "descriptors", "Open descriptors.", "stat of /proc/P/fd", "open_fds"),
    _one(
        "lab_server_cpu_seconds_total",
        "counter",
        "seconds",
        "CPU time of the containers, user and system.",
        "cpuacct.usage or cpu.stat",
        "cpu_s",
    ),
    Metric(
        "lab_server_context_switches_total",
        "counter",
        "switches",
        "Context switches of all threads, ended ones too.",
        "taskstats",
        "kind",
        {"voluntary": "context_switches_voluntary", "involuntary": "context_switches_involuntary"},
    ),
    _one(
        "lab_server_runqueue_wait_seconds_total",
        "counter",
        "seconds",
        "Time threads were ready without a CPU.",
        "taskstats",
        "runqueue_wait_s",
    ),
    _one("lab_server_timeslices_total", "counter", "slices", "Times a thread got a CPU.", "taskstats", "timeslices"),
    Metric(
        "lab_server_memory_bytes",
        "gauge",
        "bytes",
        "Memory mapped by its processes.",
        "status, smaps_rollup",
        "kind",
        {"rss": "rss_bytes", "pss": "pss_bytes", "uss": "uss_bytes"},
    ),
    _one("lab_server_epoll_instances", "gauge", "instances", "Epoll instances.", "/proc/P/fd", "epoll_instances"),
    _one("lab_server_epoll_watches", "gauge", "descriptors", "Watched descriptors.", "fdinfo", "epoll_watches"),
    Metric(
        "lab_cgroup_memory_bytes",
        "gauge",
        "bytes",
        "Memory charged to the containers; own is all but file cache.",
        "memory.*",
        "kind",
        {
            "own": "cgroup_memory_bytes",
            "usage": "cgroup_usage_bytes",
            "anon": "cgroup_anon_bytes",
            "file": "cgroup_file_bytes",
            "kernel": "cgroup_kernel_memory_bytes",
            "sock": "cgroup_sock_bytes",
        },
    ),
    _one("lab_cgroup_cpu_periods_total", "counter", "periods", "CPU quota periods.", "cpu.stat", "cpu_periods"),
    _one(
        "lab_cgroup_cpu_throttled_periods_total",
        "counter",
        "periods",
        "Periods whose quota ran out.",
        "cpu.stat",
        "throttled_periods",
    ),
    _one(
        "lab_cgroup_cpu_throttled_seconds_total",
        "counter",
        "seconds",
        "Time the quota stopped it.",
        "cpu.stat",
        "throttled_s",
    ),
    _one(
        "lab_net_tcp_listen_overflows_total",
        "counter",
        "connections",
        "Connections lost to a full accept queue.",
        "TcpExt ListenOverflows",
        "tcp_listen_overflows",
        net=True,
    ),
    _one(
        "lab_net_tcp_listen_drops_total",
        "counter",
        "segments",
        "Connection requests listeners dropped, any reason.",
        "TcpExt ListenDrops",
        "tcp_listen_drops",
        net=True,
    ),
    _one(
        "lab_net_tcp_retransmits_total",
        "counter",
        "segments",
        "Segments sent again.",
        "Tcp RetransSegs",
        "tcp_retransmits",
        net=True,
    ),
    _one(
        "lab_net_tcp_resets_sent_total",
        "counter",
        "segments",
        "RST segments sent.",
        "Tcp OutRsts",
        "tcp_resets_sent",
        net=True,
    ),
    _one(
        "lab_net_tcp_established_resets_total",
        "counter",
        "connections",
        "Established connections that were reset.",
        "Tcp EstabResets",
        "tcp_established_resets",
        net=True,
    ),
    _one(
        "lab_net_tcp_passive_opens_total",
        "counter",
        "connections",
        "Connections opened by the other side.",
        "Tcp PassiveOpens",
        "tcp_passive_opens",
        net=True,
    ),
    _one(
        "lab_net_tcp_attempt_fails_total",
        "counter",
        "connections",
        "Connections that failed while opening.",
        "Tcp AttemptFails",
        "tcp_attempt_fails",
        net=True,
    ),
    _one(
        "lab_net_tcp_syncookies_sent_total",
        "counter",
        "segments",
        "SYN cookies sent.",
        "TcpExt SyncookiesSent",
        "tcp_syncookies_sent",
        net=True,
    ),
    Metric(
        "lab_net_tcp_sockets",
        "gauge",
        "sockets",
        "TCP sockets of the namespace, both ends of its connections.",
        "sockstat",
        "state",
        {"inuse": "tcp_sockets", "time_wait": "tcp_time_wait"},
        of_namespace=True,
    ),
    Metric(
        "lab_net_tcp_aborts_total",
        "counter",
        "connections",
        "Connections aborted, by the kernel's reason.",
        "TcpExt TCPAbort*",
        "reason",
        {"": "tcp_aborts"},
        of_namespace=True,
    ),
)
_SECONDS = ("lab_collector_source_seconds_total", "Time spent reading a source (seconds; perf_counter).")
_ERRORS = ("lab_collector_errors_total", "Reads of a source that gave nothing (errors; the exporter).")


def render(rows: Iterable[tuple[Target, Reading]], seconds: Mapping[str, float], errors: Mapping[str, int]) -> str:
    """Return the exposition of the latest readings and of the exporter's own cost and failures."""
    rows = list(rows)
    lines: list[str] = []
    for metric in METRICS:
        lines += _head(metric.name, metric.kind, f"{metric.help} ({metric.unit}; {metric.source})")
        seen: set[str] = set()
        for target, reading in rows:
            labels = dict(target.labels)
            if metric.of_namespace and target.shared_namespace:
                labels["variant"] = SHARED_VARIANT
            for extra, value in metric.samples(reading):
                series = f"{metric.name}{_label_text(labels | dict(extra))}"
                if series not in seen:
                    seen.add(series)
                    lines.append(f"{series} {float(value)!r}")
    for (name, text), figures in ((_SECONDS, seconds), (_ERRORS, errors)):
        lines += _head(name, "counter", text)
        lines += [f"{name}{_label_text({'source': source})} {float(each)!r}" for source, each in figures.items()]
    return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _label_text(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
