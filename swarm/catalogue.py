"""Declare every metric of the client side once: name, kind, unit, what it means, where it comes from, what it costs.

`metrics.py` writes them as Prometheus text; nothing else names a metric. Every series carries run_id, scenario and
variant besides the labels named here. `python -m swarm.catalogue FILE` writes docs/client-metrics.md from them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. cost: of counting it, in the process that counts. labels: beside run_id, scenario and variant."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    source: str
    cost: str
    labels: tuple[str, ...] = ()

    def head(self) -> list[str]:
        """Return the lines that stand above its series."""
        return [f"# HELP {self.name} {self.help} ({self.unit}; {self.source})", f"# TYPE {self.name} {self.kind}"]


# Steps are what the engine (row.c, connection.c, calls.c) and recorder.py do; times are of Python 3.11 on a core of an
# AMD EPYC, rounded.
_FOLDED = "at each report {} for each different microsecond, in slices of 256"
_SCHEDULED = "two additions for each, three while they are scored"

DURATION = Metric(
    "lab_client_request_duration_seconds",
    "histogram",
    "seconds",
    "From the start (of scheduled exchanges: the planned one) to the last byte, by outcome: answered, failed.",
    "Locust users and the engine, CLOCK_MONOTONIC",
    "one count for each answer, two while it is scored (in Python 0.4 µs); "
    + _FOLDED.format("0.5 µs below 8 ms, 2 µs above,"),
    ("method", "name", "outcome"),
)
RESPONSE_BYTES = Metric(
    "lab_client_response_bytes_total",
    "counter",
    "bytes",
    "Body bytes of right answers.",
    "answers checked by the workers",
    "one multiplication at each report; for a person's own requests one addition for each answer",
    ("method", "name"),
)
SCHEDULE_LAG = Metric(
    "lab_client_schedule_lag_seconds",
    "histogram",
    "seconds",
    "From the planned to the actual start of scheduled exchanges.",
    "the engine's schedule",
    "one count for each exchange begun, two while it is scored; " + _FOLDED.format("0.4 µs"),
)
PLANNED = Metric(
    "lab_client_planned_total", "counter", "exchanges", "Exchanges whose planned time has come.",
    "the engine's schedule", _SCHEDULED,
)  # fmt: skip
SENT = Metric(
    "lab_client_sent_total", "counter", "exchanges", "Of those, begun.", "the engine's schedule", _SCHEDULED
)  # fmt: skip
LATE = Metric(
    "lab_client_late_total", "counter", "exchanges", "Of those, begun more than 1 ms after the plan.",
    "the engine's schedule", "for each exchange begun one comparison and two additions, three while it is scored",
)  # fmt: skip
DROPPED = Metric(
    "lab_client_dropped_total", "counter", "exchanges", "Planned and never begun: no connection was free in time.",
    "the engine's schedule", _SCHEDULED,
)  # fmt: skip
ERRORS = Metric(
    "lab_client_errors_total", "counter", "answers", "Answers that were wrong or missing, by kind.", "the workers",
    "one count for each, two while they are scored", ("kind",),
)  # fmt: skip
USERS = Metric(
    "lab_client_users", "gauge", "users", "Users now.", "the workers' reports", "two additions in a user's life"
)  # fmt: skip
USERS_TARGET = Metric(
    "lab_client_users_target", "gauge", "users", "Users asked for.", "Locust's master", "nothing: the master knows it"
)
CONNECTIONS = Metric(
    "lab_client_connections",
    "gauge",
    "connections",
    "Connections now by state: connecting, established, waiting (established, asked and not answered); "
    "failed: connects that failed since the last window was opened.",
    "the workers' reports, at most 0.25 s old with few workers",
    "two additions at each change of state, in Python one; at each report one question to the engine's thread, "
    "and a look at each exchange that users in Python have under way",
    ("state",),
)
CPU_RATIO = Metric(
    "lab_client_cpu_ratio", "gauge", "cores", "CPU of one worker since its last report.",
    "clock_gettime(CLOCK_PROCESS_CPUTIME_ID)", "1 µs at each report", ("worker",),
)  # fmt: skip
ENGINE_CPU_RATIO = Metric(
    "lab_client_engine_cpu_ratio", "gauge", "cores", "CPU of one worker's engine since its last report.",
    "the engine thread's CPU clock", "one look at that clock at each report; the engine is not asked", ("worker",),
)  # fmt: skip
LOOP_LAG = Metric(
    "lab_client_loop_lag_seconds",
    "gauge",
    "seconds",
    "How much too late the worker's loop woke from a sleep of 50 ms, the worst of the last second.",
    "CLOCK_MONOTONIC around gevent.sleep",
    "twenty looks a second: some 0.05 % of a core",
    ("worker",),
)
MEMORY = Metric(
    "lab_client_memory_bytes", "gauge", "bytes", "Resident memory of one worker.", "/proc/self/statm",
    "25 µs at each report", ("worker",),
)  # fmt: skip

SCHEDULE = {"planned": PLANNED, "sent": SENT, "late": LATE, "dropped": DROPPED}  # by the words of a delta
METRICS = (
    DURATION, RESPONSE_BYTES, SCHEDULE_LAG, PLANNED, SENT, LATE, DROPPED, ERRORS,
    USERS, USERS_TARGET, CONNECTIONS, CPU_RATIO, ENGINE_CPU_RATIO, LOOP_LAG, MEMORY,
)  # fmt: skip

_HEAD = """\
# The client side's metrics

Made from `swarm/catalogue.py` by `python -m swarm.catalogue docs/client-metrics.md`; a test fails when it is not.
Locust's master serves them at `/metrics` on the web UI's port, from what the workers report four times a second. Every
series carries `run_id`, `scenario` and `variant` besides the labels named here; what is loaded from the web page has
the `run_id` "arena". Counters and histograms begin anew with each `run_id`. Both kinds of users fill the same series;
schedules are kept by the engine alone. The figures of a worker that loads several variants have the variant "all".

**cost** is what counting takes of the worker that counts: of its engine's thread for each exchange, of its Python at
each report (with more than twelve workers 50 reports a second in all). Beyond that the master adds what is reported,
and writes it all as text for each scrape: some 0.1 ms for each series of a histogram, which is 21 lines.

Buckets of the histograms, in seconds: {buckets}.

| name | type, labels | unit | meaning | source | cost |
|---|---|---|---|---|---|
"""


def render_page(buckets_s: tuple[float, ...]) -> str:
    """Return the page. buckets_s: the histograms' upper edges."""
    rows = []
    for metric in METRICS:
        shape = "; ".join(filter(None, [metric.kind, ", ".join(f"`{label}`" for label in metric.labels)]))
        cells = (f"`{metric.name}`", shape, metric.unit, metric.help, metric.source, metric.cost)
        rows.append(f"| {' | '.join(cells)} |\n")
    return _HEAD.format(buckets=", ".join(f"{edge:g}" for edge in buckets_s)) + "".join(rows)


if __name__ == "__main__":
    from swarm.bulk import LADDER_S

    Path(sys.argv[1]).write_text(render_page(LADDER_S), encoding="utf-8")
