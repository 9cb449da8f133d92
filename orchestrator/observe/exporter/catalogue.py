"""Write docs/metrics.md from the declarations: `python -m orchestrator.observe.exporter.catalogue [--check] FILE`.

--check changes nothing and ends with 1 where the file is not what the declarations make.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from .declared import METRICS, PAST
from .metric import Metric

_HEAD = """\
# The exporter's metrics

Made from `orchestrator/observe/exporter/declared.py` by
`python -m orchestrator.observe.exporter.catalogue docs/metrics.md`; a test fails when it is not. The swarm's metrics
(`lab_client_*`, [client-metrics.md](client-metrics.md)) and the probes' (`lab_bpf_*`, `lab_probe_*`,
[probes.md](probes.md)) are declared where they are made.

- A **server's** series carry `run_id`, `scenario` and `variant`. In the arena, variants share one network namespace:
  what is counted for all of it together has the variant `arena (shared)`.
- **collector** is the name under which `lab_collector_source_seconds_total`, `lab_collector_errors_total` and
  `lab_collector_interval_seconds` speak of what reads it. A read that fails counts there and gives no number; its
  reason is under `missing` in `GET /readings/NAME`, or `host_missing` in `GET /healthz`. What a host, a kernel or a
  server does not have at all is missing with its reason too, and counts as no error.
- **cost** is that of one read for one process. What grows with connections is read the less often the dearer it was
  last, and keeps its value meanwhile.
- `lab_run_*` stand at `GET /runs`, for as long as the exporter was told of the run.
- `lab_runtime_*` come from the variant's own `/stats`, over a fresh connection that is closed again: one accepted
  connection and one request more in the server's own counts. In the arena it is asked every 5 s while it is not paused;
  in a trial once while a timed scenario warms up, and once while a hold has everything open, after all parties were
  compared. Never within a window that is scored, never in a ramp (its windows follow each other without a gap) and not
  behind a variant's wall. An answer is shown for 10 s. Variants in C and Rust are not asked: they have no runtime.

What the reference asks for otherwise: `lab_server_cpu_seconds_total` has no `mode`, because the split comes from
another account than the exact total (`lab_server_cpu_mode_seconds_total` has it). `lab_net_tcp_sockets` counts the
server's ends; both ends together, from sockstat, are `lab_net_tcp_namespace_sockets`. `lab_runtime_gc_pause_seconds` is
a sum and so ends in `_total`. The swarm's `outcome` is `answered` or `failed`: *Errors* shows the share that failed,
*Errors by kind* splits it by what failed in which phase (`lab_client_errors_total`).
The panel "Memory per connection" divides `kind="own"`, not `usage`: usage holds the file
cache, which nobody's connections fill. It draws nothing up to 100 connections: what the server has without any would be
divided among a few.
"""
_SCOPES = {
    "variant": "A server's own",
    "namespace": "A server's network namespace",
    "host": "The host",
    "exporter": "The exporter itself",
    "store": "Past runs",
}


def render() -> str:
    """Return the page."""
    order = list(_SCOPES)
    metrics = sorted((*METRICS, *PAST), key=lambda metric: order.index(metric.scope))
    parts = [_HEAD]
    for scope, group in groupby(metrics, key=lambda metric: metric.scope):
        parts.append(f"\n## {_SCOPES[scope]}\n\n| name | type, labels | unit | meaning | source | collector | cost |\n")
        parts.append("|---|---|---|---|---|---|---|\n")
        parts += [_row(metric) for metric in group]
    return "".join(parts)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    kinds = ", ".join(metric.values) if "" not in metric.values else ""
    shape = f"{metric.kind}; {labels}" if labels else metric.kind
    shape += f" ({kinds})" if kinds else ""
    cells = (f"`{metric.name}`", shape, metric.unit, metric.help, metric.source, metric.collector, metric.cost)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; return the exit code."""
    files = [Path(argument) for argument in arguments if argument != "--check"]
    if len(files) != 1:
        print("catalogue: expected one file, as in: catalogue [--check] docs/metrics.md", file=sys.stderr)
        return 2
    try:
        if "--check" not in arguments:
            files[0].write_text(render(), encoding="utf-8")
            return 0
        is_same = files[0].read_text(encoding="utf-8") == render()
    except OSError as why:
        print(f"catalogue: {files[0]}: {why.strerror}. Give the file of a folder that is there", file=sys.stderr)
        return 2
    if not is_same:
        print(f"catalogue: {files[0]} is not what declared.py makes; run it without --check", file=sys.stderr)
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
