"""Every metric of the exporter, declared once; docs/metrics.md is made from this (`python -m ...exporter.catalogue`).

Costs are of one read of one process on Linux 6.18 with Python 3.13. "grows" ones are read less often the dearer they
are (pace.py); how often just now is lab_collector_interval_seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from .metric import Kind, Metric, Scope


def _many(
    kind: Kind, scope: Scope, unit: str, source: str, collector: str, cost: str, rows: Mapping[str, tuple[str, str]]
) -> list[Metric]:
    """Declare metrics of one source that have one value each. rows: name -> (value's name in the reading, help)."""
    return [
        Metric(name, kind, unit, text, source, collector, cost, {"": value}, scope=scope)
        for name, (value, text) in rows.items()
    ]


_EPOLL = "grows: 3 µs for each descriptor when looking for instances; at most 0.5 % of the time"
# anonymous.AT_ONCE_S / WATCH_S is the bound; a test holds the two to one another.
_PUT_OFF = (
    "a process with more than some 3,333 descriptors is counted only while its server is idle; until then it has the"
    " last count, or none if it has more or fewer descriptors since"
)
_WATCHES = f"grows: 1-3 µs for each watch; at most 0.2 % of the time; {_PUT_OFF}"
_RING = f"grows with polls and registered files; at most 0.2 % of the time; {_PUT_OFF.partition(';')[0]}"
_DUMP = "grows: 1.5 µs for each connection, in pieces of 2 ms; at most 0.5 % of the time"
_STATS = (
    "a connection and a request; in the arena every 5 s, in a trial once while it warms up or holds, never in a window"
)
_NET = "0.4 ms"
_SMALL = "under 0.1 ms"
_KEPT = "nothing: kept while reading"
_TOLD = "nothing: made once when told, copied for each scrape"

_SERVER = (
    Metric("lab_server_up", "gauge", "1 or 0", "1 while every container's first process is alive.", "/proc/P/stat",
           "processes", _SMALL, {"": "up"}),
    *_many("gauge", "variant", "processes", "cgroup.procs, /proc/P/stat", "processes", _SMALL, {
        "lab_server_processes": ("processes", "Processes of the server."),
    }),
    *_many("gauge", "variant", "threads", "/proc/P/stat", "processes", _SMALL, {
        "lab_server_threads": ("threads", "Threads of all its processes."),
        "lab_server_threads_peak": ("threads_peak", "Most threads seen, looking ten times a second."),
    }),
    Metric("lab_server_open_fds", "gauge", "descriptors", "Open descriptors.", "size of /proc/P/fd", "fds", _SMALL,
           {"": "open_fds"}),
    Metric("lab_server_cpu_seconds_total", "counter", "seconds", "CPU time of the containers, user and system; exact.",
           "cpuacct.usage or cpu.stat", "cgroup_cpu", _SMALL, {"": "cpu_s"}),
    Metric("lab_server_cpu_mode_seconds_total", "counter", "seconds",
           "The same by mode; it comes from another account, by ticks before v2, and need not add up to the total.",
           "cpuacct.usage_user, _sys or cpu.stat", "cgroup_cpu_modes", _SMALL, {"": "cpu_modes_s"}, "mode"),
    Metric("lab_server_context_switches_total", "counter", "switches",
           "Context switches of all threads, ended ones too.", "taskstats", "switches", "0.1 ms at 2,000 threads",
           {"voluntary": "context_switches_voluntary", "involuntary": "context_switches_involuntary"}, "kind"),
    *_many("counter", "variant", "seconds", "taskstats", "switches", "with the switches", {
        "lab_server_runqueue_wait_seconds_total": ("runqueue_wait_s", "Time threads were ready without a CPU."),
    }),
    *_many("counter", "variant", "slices", "taskstats", "switches", "with the switches", {
        "lab_server_timeslices_total": ("timeslices", "Times a thread got a CPU."),
    }),
    Metric("lab_server_page_faults_total", "counter", "faults",
           "Page faults, ended threads and processes too; major ones had to read.", "/proc/P/stat", "faults",
           "with the threads", {"minor": "faults_minor", "major": "faults_major"}, "kind"),
    Metric("lab_server_memory_bytes", "gauge", "bytes",
           "Memory mapped by its processes; pss divides shared pages, uss leaves them out.", "status, smaps_rollup",
           "smaps_rollup", "grows with mappings: 0.03 ms, 20 ms at 20,000 thread stacks; at most 0.2 % of the time",
           {"rss": "rss_bytes", "pss": "pss_bytes", "uss": "uss_bytes"}, "kind"),
    *_many("gauge", "variant", "instances", "/proc/P/fd", "anonymous_fds", _EPOLL, {
        "lab_server_epoll_instances": ("epoll_instances", "Epoll instances."),
        "lab_server_io_uring_instances": ("io_uring_instances", "io_uring instances."),
    }),
    *_many("gauge", "variant", "descriptors", "/proc/P/fdinfo", "anonymous_fds", _WATCHES, {
        "lab_server_epoll_watches": ("epoll_watches", "Descriptors its epoll instances watch."),
    }),
    *_many("gauge", "variant", "entries", "/proc/P/fdinfo", "anonymous_fds", _RING, {
        "lab_server_io_uring_sq_pending": ("io_uring_sq_pending", "Submissions the kernel has not taken yet."),
        "lab_server_io_uring_cq_overflow": (
            "io_uring_cq_overflow", "Completions without room in the ring, waiting in the kernel."),
    }),
)  # fmt: skip

_CGROUP = (
    Metric("lab_cgroup_memory_bytes", "gauge", "bytes", "Memory charged to the containers; own is all but file cache.",
           "memory.*", "cgroup_memory", "0.2 ms",
           {"own": "cgroup_memory_bytes", "usage": "cgroup_usage_bytes", "anon": "cgroup_anon_bytes",
            "file": "cgroup_file_bytes", "kernel": "cgroup_kernel_memory_bytes", "sock": "cgroup_sock_bytes"}, "kind"),
    Metric("lab_cgroup_memory_events_total", "counter", "events",
           "Times memory met a limit; v1 tells max and oom_kill only.",
           "memory.events, or memory.failcnt and memory.oom_control", "cgroup_memory_events", _SMALL,
           {"": "cgroup_memory_events"}, "event"),
    *_many("counter", "variant", "periods", "cpu.stat", "cgroup_throttling", _SMALL, {
        "lab_cgroup_cpu_periods_total": ("cpu_periods", "CPU quota periods."),
        "lab_cgroup_cpu_throttled_periods_total": ("throttled_periods", "Periods whose quota ran out."),
    }),
    *_many("counter", "variant", "seconds", "cpu.stat", "cgroup_throttling", _SMALL, {
        "lab_cgroup_cpu_throttled_seconds_total": ("throttled_s", "Time the quota stopped it."),
    }),
    Metric("lab_cgroup_pressure_seconds_total", "counter", "seconds",
           "Time some or all of its tasks stood still for want of a resource.",
           "*.pressure, on hybrid hosts under the unified hierarchy", "cgroup_pressure", _SMALL,
           {"": "cgroup_pressure_s"}, "resource kind"),
)  # fmt: skip

_NETWORK = (
    *_many("counter", "namespace", "connections", "TcpExt ListenOverflows", "netstat", _NET, {
        "lab_net_tcp_listen_overflows_total": ("tcp_listen_overflows", "Connections lost to a full accept queue."),
    }),
    *_many("counter", "namespace", "segments", "TcpExt ListenDrops, SyncookiesSent", "netstat", _NET, {
        "lab_net_tcp_listen_drops_total": ("tcp_listen_drops", "Connection requests listeners dropped, any reason."),
        "lab_net_tcp_syncookies_sent_total": ("tcp_syncookies_sent", "SYN cookies sent."),
    }),
    *_many("counter", "namespace", "segments", "Tcp RetransSegs, OutRsts", "snmp", _NET, {
        "lab_net_tcp_retransmits_total": ("tcp_retransmits", "Segments sent again."),
        "lab_net_tcp_resets_sent_total": ("tcp_resets_sent", "RST segments sent."),
    }),
    *_many("counter", "namespace", "connections", "Tcp EstabResets, PassiveOpens, AttemptFails", "snmp", _NET, {
        "lab_net_tcp_established_resets_total": ("tcp_established_resets", "Established connections that were reset."),
        "lab_net_tcp_passive_opens_total": ("tcp_passive_opens", "Connections opened by the other side."),
        "lab_net_tcp_attempt_fails_total": ("tcp_attempt_fails", "Connections that failed while opening."),
    }),
    Metric("lab_net_tcp_aborts_total", "counter", "connections", "Connections aborted, by the kernel's reason.",
           "TcpExt TCPAbort*", "netstat", _NET, {"": "tcp_aborts"}, "reason", "namespace"),
    Metric("lab_net_tcp_namespace_sockets", "gauge", "sockets",
           "TCP sockets of the namespace, both ends of its connections; TIME_WAIT is not in use.", "sockstat",
           "sockstat", _SMALL, {"inuse": "tcp_sockets", "time_wait": "tcp_time_wait"}, "kind", "namespace"),
    Metric("lab_net_tcp_sockets", "gauge", "sockets", "The server's ends of its connections, by state.", "inet_diag",
           "tcp_sockets", _DUMP, {"": "tcp_states"}, "state"),
    Metric("lab_net_tcp_socket_memory_bytes", "gauge", "bytes",
           "Kernel memory of these sockets: received and unread, queued to send, set aside ahead, behind a busy lock.",
           "inet_diag SKMEMINFO", "tcp_sockets", _DUMP, {"": "tcp_socket_memory_bytes"}, "kind"),
    *[Metric(name, "gauge", "connections", text, "inet_diag LISTEN", "accept_queue", _SMALL, {"": value}, "port")
      for name, value, text in (
          ("lab_net_accept_queue_length", "accept_queue_length", "Connections waiting for accept, all its listeners."),
          ("lab_net_accept_queue_limit", "accept_queue_limit", "How many may wait, all its listeners together."))],
)  # fmt: skip

_OF_RUNTIMES: tuple[tuple[str, Kind, str, str, str], ...] = (
    ("lab_runtime_goroutines", "gauge", "goroutines", "goroutines", "Go: goroutines."),
    ("lab_runtime_jvm_threads", "gauge", "threads", "jvm_threads", "Java: threads, virtual ones counted too."),
    ("lab_runtime_processes", "gauge", "processes", "processes", "Erlang: processes."),
    ("lab_runtime_run_queue", "gauge", "processes", "run_queue", "Erlang: processes ready without a scheduler."),
    ("lab_runtime_heap_bytes", "gauge", "bytes", "heap_bytes", "Java: heap in use."),
    ("lab_runtime_gc_cycles_total", "counter", "cycles", "gc_cycles", "Collections (Erlang: of one process each)."),
    ("lab_runtime_gc_pause_seconds_total", "counter", "seconds", "gc_pause_s", "Time collections stopped it."),
    ("lab_runtime_sched_latency_seconds", "gauge", "seconds", "sched_latency_p99_s",
     "Go: what 99 of 100 goroutines at most waited for a thread, since start; the slowest process's."),
    ("lab_runtime_loop_lag_seconds", "gauge", "seconds", "loop_lag_s",
     "Node, Python: how late the event loop ran its last tick; the slowest process's."),
)  # fmt: skip
_RUNTIME = tuple(
    Metric(name, kind, unit, text, f"/stats {key}", "stats", _STATS, {"": f"runtime_{key}"})
    for name, kind, unit, key, text in _OF_RUNTIMES
)

_HOST = (
    Metric("lab_host_cpu_seconds_total", "counter", "seconds", "CPU time of the host; steal went to other guests.",
           "/proc/stat", "host_stat", "0.1 ms", {"": "cpu_s"}, "mode", "host"),
    *_many("gauge", "host", "tasks", "/proc/stat", "host_stat", "with the CPU time", {
        "lab_host_running_tasks": ("running", "Tasks that have a CPU or are ready for one, this exporter among them."),
    }),
    *_many("counter", "host", "switches", "/proc/stat", "host_stat", "with the CPU time", {
        "lab_host_context_switches_total": ("switches", "Context switches of the whole host."),
    }),
    Metric("lab_host_memory_bytes", "gauge", "bytes", "Memory of the host.", "/proc/meminfo", "host_memory", _SMALL,
           {"total": "memory_total_bytes", "available": "memory_available_bytes"}, "kind", "host"),
    Metric("lab_host_pressure_seconds_total", "counter", "seconds",
           "Time some or all of the host's tasks stood still for want of a resource.", "/proc/pressure",
           "host_pressure", _SMALL, {"": "pressure_s"}, "resource kind", "host"),
    Metric("lab_host_cpu_frequency_hertz", "gauge", "hertz", "Clock of the slowest and of the fastest CPU, if told.",
           "cpufreq/scaling_cur_freq", "host_frequency", "grows with CPUs; at most 0.1 % of the time",
           {"lowest": "frequency_lowest_hz", "highest": "frequency_highest_hz"}, "kind", "host"),
    *_many("counter", "host", "events", "thermal_throttle/core_throttle_count", "host_thermal",
           "grows with CPUs; at most 0.1 % of the time", {
        "lab_host_thermal_throttles_total": ("thermal_throttles", "Times heat slowed a core, if told."),
    }),
)  # fmt: skip

_OWN = (
    *_many("counter", "exporter", "seconds", "getrusage(2)", "", _SMALL, {
        "lab_collector_cpu_seconds_total": ("cpu_s", "CPU time of the exporter's process: what observing costs."),
    }),
    Metric("lab_collector_source_seconds_total", "counter", "seconds", "CPU time spent reading a source.", "its thread",
           "", _KEPT, {"": "seconds"}, "source", "exporter"),
    Metric("lab_collector_errors_total", "counter", "errors", "Reads of a source that failed and gave no number.",
           "the exporter", "", _KEPT, {"": "errors"}, "source", "exporter"),
    Metric("lab_collector_interval_seconds", "gauge", "seconds",
           "How long a source that grows is left alone between two reads, by what its last ones cost.", "the exporter",
           "", _KEPT, {"": "intervals_s"}, "source", "exporter"),
)  # fmt: skip

METRICS: tuple[Metric, ...] = (*_SERVER, *_CGROUP, *_NETWORK, *_RUNTIME, *_HOST, *_OWN)

# Of past runs, at GET /runs: shown as told (past.py), by no source.
RUN_INFO = Metric("lab_run_info", "gauge", "1", "A run that is kept; always 1.", "the store", "", _TOLD, {},
                  "run_id suite started_at finished kernel", "store")  # fmt: skip
RUN_STAT = Metric("lab_run_stat", "gauge", "in the name of its stat",
                  "One figure of a kept run, over its valid trials.", "the store", "", _TOLD, {},
                  "run_id scenario variant stat", "store")  # fmt: skip
PAST = (RUN_INFO, RUN_STAT)
