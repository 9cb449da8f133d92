"""Panels of past runs, which the exporter shows beside what is measured now (docs/decisions/0009)."""

from __future__ import annotations

from dashboards.panel import Panel, Query, Scale, Threshold, Unit

_P99 = 'stat="p99_seconds"'

BASELINE = Panel(
    "against-baseline", "p99 against the baseline", "Is it slower or faster than the run it is held against?", "ratio",
    (Query(f"lab_run_stat{{$S,{_P99}}} @ $E / ignoring (run_id) lab_run_stat{{$B,{_P99}}} @ $E - 1",
           "{{variant}} {{scenario}}, kept"),
     Query("histogram_quantile(0.99, sum by (scenario, variant, le) "
           '(rate(lab_client_request_duration_seconds_bucket{$S,outcome="answered"}[$I]))) '
           f"/ on (scenario, variant) lab_run_stat{{$B,{_P99}}} @ $E - 1", "{{variant}} {{scenario}}, now")),
    "store", threshold=Threshold(0.1, "a tenth slower than the baseline"), wide=True, signed=True,
)  # fmt: skip


def _kept(name: str, title: str, question: str, unit: Unit, stat: str, scale: Scale = "linear") -> Panel:
    """Return the panel that follows one figure from run to run.

    Past runs are shown now, whenever they were: at each instant that is drawn stands the figure of the newest run that
    had begun by then, of each scenario and variant. So a line steps where a run was made, however long ago.
    """
    began = 'lab_run_stat{$H,stat="start_time_seconds"} @ $E * on (run_id) group_left () (lab_run_info{$K} @ $E)'
    newest = f"(({began}) <= time()) == on (scenario, variant) group_left () "
    newest += f"max by (scenario, variant) (({began}) <= time())"
    figure = f'lab_run_stat{{$H,stat="{stat}"}} @ $E and on (run_id, scenario, variant) ({newest})'
    query = Query(f"max by (scenario, variant) ({figure})", "{{variant}} {{scenario}}")
    return Panel(f"kept-{name}", title, question, unit, (query,), "store", scale=scale)


P99 = _kept("p99", "p99, run by run", "Did it become slower?", "seconds", "p99_seconds", "log")
P50 = _kept("p50", "p50, run by run", "Did the ordinary answer become slower?", "seconds", "p50_seconds", "log")
THROUGHPUT = _kept(
    "throughput", "Throughput, run by run", "Did it lose or gain speed?", "per second", "throughput_per_second"
)
ERRORS = _kept("errors", "Errors, run by run", "Since when do answers fail?", "ratio", "errors_ratio")
HELD = _kept(
    "held", "Connections held, run by run", "Does it still hold as many connections?", "count", "connections_held"
)
MEMORY = _kept(
    "memory-per-connection", "Memory per connection, run by run", "Did a connection become dearer?", "bytes",
    "memory_bytes_per_connection",
)  # fmt: skip
CPU = _kept(
    "cpu", "CPU for 10,000 answers, run by run", "Did an answer become dearer, in seconds of CPU?", "seconds",
    "cpu_seconds_per_10k_requests",
)  # fmt: skip
SWITCHES = _kept(
    "switches", "Context switches per answer, run by run", "Does the kernel change threads more often?", "count",
    "context_switches_per_request",
)  # fmt: skip
VALID = _kept("valid", "Valid trials, run by run", "How much does each point stand on?", "count", "trials_valid")
VOID = _kept("void", "Void trials, run by run", "Since when can trials not be used?", "count", "trials_void")
