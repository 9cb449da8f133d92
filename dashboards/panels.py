"""Every panel of the lab: its title, the question it answers, its PromQL, its unit, and where to worry.

Sources of the expressions: the metrics' declarations (orchestrator/observe/exporter/declared.py, swarm/metrics.py,
orchestrator/verdicts/stats.py). The tests run each of them against a real Prometheus that holds a real run.
"""

from __future__ import annotations

from dashboards import kept
from dashboards.panel import Dashboard, Panel, Query, Threshold

_REQUESTS = "lab_client_request_duration_seconds"
_ANSWERED = f'rate({_REQUESTS}_count{{$S,outcome="answered"}}[$I])'
_CPU = "rate(lab_server_cpu_seconds_total{$S}[$I])"
_BY = "sum by (variant)"

THROUGHPUT = Panel(
    "throughput", "Throughput", "How many right answers a second does each variant give?", "per second",
    (Query(f"{_BY} ({_ANSWERED})", "{{variant}}"),), "client",
)  # fmt: skip
LATENCY = Panel(
    "latency", "Latency", "How long does a client wait, at the chosen quantile?", "seconds",
    (Query(f'histogram_quantile($Q, sum by (variant, le) (rate({_REQUESTS}_bucket{{$S,outcome="answered"}}[$I])))',
           "{{variant}}"),), "client", scale="log",  # a hold's seconds beside the others' tenths of a millisecond
)  # fmt: skip
HEATMAP = Panel(
    "latency-heatmap", "Latency, all of it", "Where do the answers lie, and is there a second hump?", "seconds",
    (Query(f'sum by (variant, le) (rate({_REQUESTS}_bucket{{$S,outcome="answered"}}[$I]))', "{{variant}} {{le}}"),),
    "client", "heatmap", wide=True, repeat=True,
)  # fmt: skip
ERRORS = Panel(
    "errors", "Errors", "What share of the answers is wrong or missing?", "ratio",
    (Query(f'{_BY} (rate({_REQUESTS}_count{{$S,outcome="failed"}}[$I])) / {_BY} (rate({_REQUESTS}_count{{$S}}[$I]))'
           f' or {_BY} (rate({_REQUESTS}_count{{$S}}[$I])) * 0', "{{variant}}"),),
    "client", threshold=Threshold(0.01, "one in a hundred fails: speed no longer counts"),
)  # fmt: skip
CONNECTIONS = Panel(
    "connections", "Users and connections", "Are as many connections open as users ask for?", "count",
    (Query('sum by (variant, state) (lab_client_connections{$S})', "{{variant}} {{state}}"),
     Query("sum by (variant) (lab_client_users{$S})", "{{variant}} users")), "client",
)  # fmt: skip
GENERATOR = Panel(
    "generator", "Load generator", "Is the swarm itself near its limit?", "ratio",
    (Query('max by (variant) (lab_client_cpu_ratio{$S})', "{{variant}} CPU of a core"),), "client",
    threshold=Threshold(0.9, "above nine tenths of a core a worker times its own queue"),
)  # fmt: skip
LAG = Panel(
    "schedule-lag", "Schedule lag", "Does the swarm send when it means to?", "seconds",
    (Query("histogram_quantile(0.99, sum by (variant, le) (rate(lab_client_schedule_lag_seconds_bucket{$S}[$I])))",
           "{{variant}} p99"),), "client", threshold=Threshold(0.001, "a millisecond late counts as late"), scale="log",
)  # fmt: skip
LOOP = Panel(
    "generator-loop", "Loop of the load generator", "How late does a worker's loop wake, on top of the server's time?",
    "seconds", (Query("max by (variant) (lab_client_loop_lag_seconds{$S})", "{{variant}} worst"),), "client",
    threshold=Threshold(0.01, "Python's users then time their own queue; the engine has a thread of its own"),
)  # fmt: skip
PER_CPU = Panel(
    "requests-per-cpu", "Answers per CPU-second", "What does a variant make of a second of CPU?", "per second",
    (Query(f"{_BY} ({_ANSWERED}) / {_BY} ({_CPU})", "{{variant}}"),), "server",
)  # fmt: skip
CPU = Panel(
    "server-cpu", "CPU of the server", "How much of its CPUs does it use?", "cores",
    (Query(f"{_BY} ({_CPU})", "{{variant}}"),), "server",
)  # fmt: skip
THROTTLED = Panel(
    "throttled", "Throttled", "Did a quota stop the server, so that its latency is the quota's?", "ratio",
    (Query(f"{_BY} (rate(lab_cgroup_cpu_throttled_periods_total{{$S}}[$I])) / "
           f"clamp_min({_BY} (rate(lab_cgroup_cpu_periods_total{{$S}}[$I])), 1)", "{{variant}}"),), "server",
    threshold=Threshold(0.01, "one period in a hundred moves p99 by itself"),
)  # fmt: skip
SWITCHES = Panel(
    "switches", "Context switches per answer", "How often does the kernel change threads for one answer?", "count",
    (Query(f"sum by (variant, kind) (rate(lab_server_context_switches_total{{$S}}[$I])) / on (variant) group_left "
           f"{_BY} ({_ANSWERED})", "{{variant}} {{kind}}"),), "server",
)  # fmt: skip
RUNQUEUE = Panel(
    "runqueue", "Waiting for a CPU", "How long do its threads stand ready without a CPU, of each second?", "ratio",
    (Query(f"{_BY} (rate(lab_server_runqueue_wait_seconds_total{{$S}}[$I]))", "{{variant}}"),), "server",
)  # fmt: skip
THREADS = Panel(
    "threads", "Threads", "Does a connection cost a thread?", "count",
    (Query(f"{_BY} (lab_server_threads{{$S}})", "{{variant}}"),), "server",
)  # fmt: skip
DESCRIPTORS = Panel(
    "descriptors", "Descriptors and epoll watches", "What does each variant hold open, and what does epoll watch?",
    "count",
    (Query(f"{_BY} (lab_server_open_fds{{$S}})", "{{variant}} descriptors"),
     Query(f"{_BY} (lab_server_epoll_watches{{$S}})", "{{variant}} watches")), "server",
)  # fmt: skip
MEMORY = Panel(
    "memory", "Memory of the server", "What does its cgroup hold, kernel memory included?", "bytes",
    (Query(f'{_BY} (lab_cgroup_memory_bytes{{$S,kind="own"}})', "{{variant}}"),), "server",
)  # fmt: skip
MEMORY_EACH = Panel(
    "memory-per-connection", "Memory per connection", "What does one more connection cost, as long as there are any?",
    "bytes",
    (Query(f'{_BY} (lab_cgroup_memory_bytes{{$S,kind="own"}}) / '
           f'({_BY} (lab_client_connections{{$S,state="established"}}) > 100)', "{{variant}}"),), "server",
)  # fmt: skip
MEMORY_KINDS = Panel(
    "memory-kinds", "Memory by kind", "Is it the program's own, the kernel's, or the sockets'?", "bytes",
    (Query('sum by (variant, kind) (lab_cgroup_memory_bytes{$S,kind=~"anon|kernel|sock"})', "{{variant}} {{kind}}"),),
    "server",
)  # fmt: skip
ACCEPT = Panel(
    "accept-queue", "Lost before accept", "Did connections fall off a full accept queue?", "per second",
    (Query("sum by (variant) (rate(lab_net_tcp_listen_overflows_total{$S}[$I]))", "{{variant}} overflows"),
     Query("sum by (variant) (rate(lab_net_tcp_listen_drops_total{$S}[$I]))", "{{variant}} drops")), "server",
    threshold=Threshold(0.001, "each one is a client that waits a second or more"),
)  # fmt: skip
RESETS = Panel(
    "resets", "Resets and retransmissions", "Who ends connections rudely, and what was sent twice?", "per second",
    (Query("sum by (variant) (rate(lab_net_tcp_resets_sent_total{$S}[$I]))", "{{variant}} resets sent"),
     Query("sum by (variant) (rate(lab_net_tcp_established_resets_total{$S}[$I]))", "{{variant}} connections reset"),
     Query("sum by (variant) (rate(lab_net_tcp_retransmits_total{$S}[$I]))", "{{variant}} sent again")), "server",
)  # fmt: skip
ABORTS = Panel(
    "aborts", "Aborts by reason", "Why did the kernel abort connections?", "per second",
    (Query("sum by (variant, reason) (rate(lab_net_tcp_aborts_total{$S}[$I])) > 0 or "
           "sum by (variant) (rate(lab_net_tcp_aborts_total{$S}[$I]))", "{{variant}} {{reason}}"),), "server",
)  # fmt: skip
KINDS_OF_ERRORS = Panel(
    "error-kinds", "Errors by kind", "Which errors, and in which phase of the exchange?", "per second",
    (Query("sum by (variant, kind) (rate(lab_client_errors_total{$S}[$I])) or "
           f'sum by (variant) (rate({_REQUESTS}_count{{$S}}[$I])) * 0', "{{variant}} {{kind}}"),), "client",
)  # fmt: skip
FAULTS = Panel(
    "page-faults", "Page faults", "How often does it touch memory that is not mapped yet?", "per second",
    (Query("sum by (variant, kind) (rate(lab_server_page_faults_total{$S}[$I]))", "{{variant}} {{kind}}"),), "server",
)  # fmt: skip
PRESSURE = Panel(
    "pressure", "Standing still", "What do its threads wait for, of each second?", "ratio",
    (Query('sum by (variant, resource) (rate(lab_cgroup_pressure_seconds_total{$S,kind="some"}[$I]))',
           "{{variant}} {{resource}}"),), "server",
)  # fmt: skip
MEMORY_EVENTS = Panel(
    "memory-events", "Memory limits met", "Did memory run into a limit, or did the kernel kill?", "per second",
    (Query("sum by (variant, event) (rate(lab_cgroup_memory_events_total{$S}[$I]))", "{{variant}} {{event}}"),),
    "server", threshold=Threshold(0.001, "each one stalls a thread, or ends it"),
)  # fmt: skip
RINGS = Panel(
    "io-uring", "io_uring", "Does a ring hold back what was submitted, or overflow with what is done?", "count",
    (Query(f"{_BY} (lab_server_io_uring_sq_pending{{$S}})", "{{variant}} pending"),
     Query(f"{_BY} (lab_server_io_uring_cq_overflow{{$S}})", "{{variant}} overflowed")), "server",
)  # fmt: skip
SOCKETS = Panel(
    "sockets", "Sockets by state", "In which state are the server's ends of its connections?", "count",
    (Query("sum by (variant, state) (lab_net_tcp_sockets{$S}) > 0 or "
           'sum by (variant, state) (lab_net_tcp_sockets{$S,state="established"})', "{{variant}} {{state}}"),),
    "server",
)  # fmt: skip
SOCKET_MEMORY = Panel(
    "socket-memory", "Memory of sockets", "How much lies in its sockets, unread or unsent?", "bytes",
    (Query("sum by (variant, kind) (lab_net_tcp_socket_memory_bytes{$S})", "{{variant}} {{kind}}"),), "server",
)  # fmt: skip
QUEUE = Panel(
    "accept-queue-fill", "Accept queue", "How full is the queue of those who wait to be accepted?", "ratio",
    (Query(f"{_BY} (lab_net_accept_queue_length{{$S}}) / {_BY} (lab_net_accept_queue_limit{{$S}})", "{{variant}}"),),
    "server", threshold=Threshold(0.9, "the next ones are dropped, and try again a second later"),
)  # fmt: skip
RUNTIME_THREADS = Panel(
    "runtime-threads", "The runtime's own threads", "How many goroutines, virtual threads or processes are there?",
    "count",
    (Query(f"{_BY} (lab_runtime_goroutines{{$S}}) or {_BY} (lab_runtime_jvm_threads{{$S}}) or "
           f"{_BY} (lab_runtime_processes{{$S}})", "{{variant}}"),), "runtime",
)  # fmt: skip
RUNTIME_LAG = Panel(
    "runtime-lag", "The runtime's own delay", "How late does it run what is ready: goroutines, the event loop?",
    "seconds",
    (Query("max by (variant) (lab_runtime_sched_latency_seconds{$S}) or "
           "max by (variant) (lab_runtime_loop_lag_seconds{$S})", "{{variant}}"),), "runtime",
    threshold=Threshold(0.01, "ten milliseconds are its own, before any request is looked at"),
)  # fmt: skip
RUNTIME_PAUSES = Panel(
    "runtime-pauses", "Collections", "For how long has collecting garbage stopped it, in all?", "seconds",
    (Query(f"{_BY} (lab_runtime_gc_pause_seconds_total{{$S}})", "{{variant}}"),), "runtime",
)  # fmt: skip
HOST_CPU = Panel(
    "host-cpu", "CPU of the host", "Who uses the host's CPUs, and what goes to other guests?", "cores",
    (Query("sum by (mode) (rate(lab_host_cpu_seconds_total[$I]))", "{{mode}}"),), "host",
)  # fmt: skip
STEAL = Panel(
    "steal", "Stolen", "What share of its CPU time does the hypervisor give to other guests?", "ratio",
    (Query('sum(rate(lab_host_cpu_seconds_total{mode="steal"}[$I])) / sum(rate(lab_host_cpu_seconds_total[$I]))',
           "stolen"),), "host",
    threshold=Threshold(0.02, "latency is then the neighbour's too"),
)  # fmt: skip
OTHER_LOAD = Panel(
    "other-load", "Load besides the lab's", "How much CPU goes to what is neither server, swarm nor exporter?", "cores",
    (Query('sum(rate(lab_host_cpu_seconds_total{mode!~"idle|iowait|steal"}[$I])) - '
           "(sum(rate(lab_server_cpu_seconds_total[$I])) or vector(0)) - "
           "(sum(max by (worker) (lab_client_cpu_ratio)) or vector(0)) - "
           "sum(rate(lab_collector_cpu_seconds_total[$I]))", "others"),), "host",
    threshold=Threshold(0.5, "half a core that is missing elsewhere; Prometheus and Locust's master take a tenth"),
)  # fmt: skip
HOST_PRESSURE = Panel(
    "host-pressure", "The host standing still", "What do the host's tasks wait for, of each second?", "ratio",
    (Query('sum by (resource) (rate(lab_host_pressure_seconds_total{kind="some"}[$I]))', "{{resource}}"),), "host",
)  # fmt: skip
HOST_MEMORY = Panel(
    "host-memory", "Memory left", "How much memory could still be given out?", "bytes",
    (Query('lab_host_memory_bytes{kind="available"}', "available"),), "host",
)  # fmt: skip
OBSERVER_CPU = Panel(
    "observer-cpu", "CPU of the observer", "What does the exporter take, all in all?", "cores",
    (Query("rate(lab_collector_cpu_seconds_total[$I])", "exporter"),), "host",
    threshold=Threshold(0.02, "its promise at 10,000 connections; 0.1 at 100,000"),
)  # fmt: skip
INTERVALS = Panel(
    "collector-intervals", "Seconds between dear looks", "How far have dear sources slowed themselves down?", "seconds",
    (Query("lab_collector_interval_seconds", "{{source}}"),), "host",
)  # fmt: skip
COLLECTORS = Panel(
    "collectors", "Cost of looking", "What does observing cost, by source?", "cores",
    (Query("sum by (source) (rate(lab_collector_source_seconds_total[$I]))", "{{source}}"),), "host",
    threshold=Threshold(0.1, "a tenth of a core: too much to be called observing"),
)  # fmt: skip
COLLECTOR_ERRORS = Panel(
    "collector-errors", "Sources that failed", "Is a number missing because a source failed?", "per second",
    (Query("sum by (source) (rate(lab_collector_errors_total[$I]))", "{{source}}"),), "host",
)  # fmt: skip


# Probe windows last seconds. rate() spreads what it saw over its whole range, most of which was before the window;
# irate() looks at the last two samples alone. What was counted is drawn as long as it is being counted. Two samples of
# two sources are never of one instant: the exact figure of a whole window stands in `lab show`.
_PROBED = "on (variant) (max by (variant) (lab_probe_active{$S}) == 1)"
SYSCALLS = Panel(
    "syscalls-per-request", "System calls per answer", "How often does an answer cross into the kernel (probe window)?",
    "count",
    (Query(f"{_BY} (irate(lab_bpf_syscalls_total{{$S}}[$I])) / ({_BY} (i{_ANSWERED}) > 0) and {_PROBED}",
           "{{variant}}"),), "bpf",
)  # fmt: skip
EVENTS_PER_WAIT = Panel(
    "events-per-wait", "Events per epoll_wait", "How much of the ready list does a wait fetch (probe window)?", "count",
    (Query(f"{_BY} (irate(lab_bpf_epoll_events_total{{$S}}[$I])) / "
           f"({_BY} (irate(lab_bpf_epoll_waits_total{{$S}}[$I])) > 0)", "{{variant}}"),), "bpf",
)  # fmt: skip
RUNQUEUE_P99 = Panel(
    "runqueue-p99", "Ready until running", "How long does a thread wait for a CPU: p99 by eBPF, mean by schedstat?",
    "seconds",
    (Query("histogram_quantile(0.99, sum by (variant, le) (rate(lab_bpf_runqueue_latency_seconds_bucket{$S}[$I])))",
           "{{variant}} p99, eBPF"),
     Query(f"{_BY} (rate(lab_server_runqueue_wait_seconds_total{{$S}}[$I])) / "
           f"{_BY} (rate(lab_server_timeslices_total{{$S}}[$I]))", "{{variant}} mean, schedstat")), "bpf", scale="log",
)  # fmt: skip
RESETS_BY_REASON = Panel(
    "resets-by-reason", "Resets and drops by reason", "Why did the kernel reset or drop (probe window)?", "per second",
    (Query('sum by (variant, reason) (irate(lab_bpf_tcp_events_total{$S,event="reset_sent"}[$I]))',
           "{{variant}} reset {{reason}}"),
     Query("sum by (variant, reason) (irate(lab_bpf_skb_drops_total{$S}[$I]))", "{{variant}} drop {{reason}}")), "bpf",
)  # fmt: skip
RUNG = Panel(
    "probe-rung", "Rung of the probes", "What counts inside the kernel here: eBPF, perf's events, or taskstats alone?",
    "count",
    (Query("max by (rung) (lab_probe_rung)", "{{rung}}"),
     Query("max by (variant, rung) (lab_probe_active{$S})", "{{variant}} {{rung}}: probe window open")), "host",
)  # fmt: skip

COMPARE = Dashboard(
    "netpoll-lab-compare", "netpoll-lab: side by side", "Every variant on the same charts.",
    (("What the client sees", (kept.BASELINE, THROUGHPUT, LATENCY, ERRORS, CONNECTIONS, HEATMAP)),
     ("What it costs", (PER_CPU, CPU, SWITCHES, RUNQUEUE, THREADS, DESCRIPTORS, MEMORY, MEMORY_EACH)),
     ("What was lost", (KINDS_OF_ERRORS, QUEUE, ACCEPT, RESETS)),
     ("Inside the kernel", (SYSCALLS, EVENTS_PER_WAIT, RUNQUEUE_P99, RESETS_BY_REASON)),
     ("May the numbers be used?", (GENERATOR, LOOP, LAG, THROTTLED, RUNG))),
)  # fmt: skip
TRIAL = Dashboard(
    "netpoll-lab-trial", "netpoll-lab: one variant in depth", "Everything known of one variant.",
    (("Answers", (THROUGHPUT, LATENCY, HEATMAP, KINDS_OF_ERRORS)),
     ("The process", (CPU, THREADS, DESCRIPTORS, SWITCHES, RUNQUEUE, MEMORY_KINDS, FAULTS, PRESSURE, MEMORY_EVENTS)),
     ("Its runtime", (RUNTIME_THREADS, RUNTIME_LAG, RUNTIME_PAUSES)),
     ("The kernel's side", (QUEUE, ACCEPT, RESETS, ABORTS, CONNECTIONS, SOCKETS, SOCKET_MEMORY, RINGS)),
     ("Inside the kernel", (SYSCALLS, EVENTS_PER_WAIT, RUNQUEUE_P99, RESETS_BY_REASON, RUNG))),
)  # fmt: skip
HOST = Dashboard(
    "netpoll-lab-host", "netpoll-lab: is the machine honest?", "What would make every other chart lie.",
    (("The generator", (GENERATOR, LOOP, LAG)),
     ("The machine", (HOST_CPU, STEAL, OTHER_LOAD, HOST_PRESSURE, HOST_MEMORY)),
     ("The observer", (OBSERVER_CPU, COLLECTORS, INTERVALS, COLLECTOR_ERRORS, RUNG)),
     ("The server's share", (THROTTLED, RUNQUEUE))),
)  # fmt: skip

HISTORY = Dashboard(
    "netpoll-lab-history", "netpoll-lab: night by night", "What became of each figure from run to run.",
    (("What the client sees", (kept.P99, kept.THROUGHPUT, kept.P50, kept.ERRORS, kept.HELD)),
     ("What it costs", (kept.MEMORY, kept.CPU, kept.SWITCHES)),
     ("What it stands on", (kept.VALID, kept.VOID, RUNG))),
    since="now-30d", of_past=True,
)  # fmt: skip

DASHBOARDS: tuple[Dashboard, ...] = (COMPARE, TRIAL, HISTORY, HOST)
