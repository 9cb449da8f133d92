"""Look at the lab while it works: Locust's master says what is under way, Prometheus what it looks like.

The figures are the live page's own panels, asked for this very instant. Nothing is started and nothing changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from dashboards.live import FACTS
from dashboards.panel import Panel
from dashboards.panels import CONNECTIONS, CPU, ERRORS, LATENCY, MEMORY, THREADS, THROUGHPUT
from orchestrator.charted import RATE_OVER
from orchestrator.errors import NotReady, StoreDamaged
from orchestrator.load.master import Master, SwarmState
from orchestrator.model import Lab
from orchestrator.observe.prometheus import query, targets
from orchestrator.report.watching import Figures, Now, Target, Trial
from orchestrator.results.folder import read_progress
from orchestrator.run import results_folder

EVERY_S = 1.0  # Prometheus knows nothing newer than its last scrape
_SILENT = 3  # looks without an answer until the lab counts as gone: a master is replaced when a run begins

T = TypeVar("T")

# Figure -> the panel that shows it, which of its queries, and the quantile that is asked for.
_ASKED: Mapping[str, tuple[Panel, int, str]] = {
    "throughput_per_s": (THROUGHPUT, 0, ""),
    "p50_s": (LATENCY, 0, "0.5"),
    "p99_s": (LATENCY, 0, "0.99"),
    "errors_ratio": (ERRORS, 0, ""),
    "connections": (CONNECTIONS, 0, ""),
    "users": (CONNECTIONS, 1, ""),
    "cpu_cores": (CPU, 0, ""),
    "memory_bytes": (MEMORY, 0, ""),
    "threads": (THREADS, 0, ""),
}


def watch(lab: Lab, sleep: Callable[[float], None] = time.sleep) -> Iterator[Now]:
    """Yield the lab as it is, once a second, until neither the master nor Prometheus answers any more.

    Raises NotReady when nobody answers at the first look.
    """
    yield look(lab)
    silent = 0
    began_s = time.monotonic()
    while silent < _SILENT:
        sleep(max(EVERY_S / 10, began_s + EVERY_S - time.monotonic()))
        began_s = time.monotonic()
        try:
            now = look(lab)
        except NotReady:
            silent += 1
        else:
            silent = 0
            yield now


def look(lab: Lab) -> Now:
    """Return the lab at this instant. Raises NotReady when neither the master nor Prometheus answers."""
    at = lab.observability
    master, prometheus = f"http://127.0.0.1:{at.web_port}", f"http://127.0.0.1:{at.prometheus_port}"
    troubles: list[str] = []
    state = _try(troubles, Master(master).state)
    scrapes = _try(troubles, lambda: targets(prometheus))
    if state is None and scrapes is None:
        raise NotReady(
            f"nothing of the lab answers: neither Locust's master at {master} nor Prometheus at {prometheus}. "
            "Try: lab up, or watch while lab run quick is at work in another terminal"
        )
    variants: tuple[Figures, ...] = ()
    rung = ""
    if scrapes is not None:
        rung = _try(troubles, lambda: _rung(prometheus)) or ""
    if state is not None and scrapes is not None:
        variants = _try(troubles, lambda: read_figures(prometheus, state, at.interval_s)) or ()
    return Now(
        at=f"{datetime.now().astimezone():%H:%M:%S}",
        run_id=state.run_id if state else "",
        scenario=state.scenario if state else "",
        state=state.state if state else "",
        users=state.user_count if state else None,
        connections=state.established if state else None,
        trial=_try(troubles, lambda: _trial(results_folder(lab.root), state)) if state else None,
        targets=tuple(Target(s.job, s.health, s.last_error) for s in scrapes or ()),
        rung=rung,
        variants=variants,
        troubles=tuple(troubles),
        ramp=state.ramp if state else "",
    )


def read_figures(prometheus: str, state: SwarmState, interval_s: float) -> tuple[Figures, ...]:
    """Return the figures of every variant that has a server or users now, in the order of their names."""
    letters = {
        "S": f'run_id="{state.run_id}",scenario=~".*",variant=~".+"',
        "I": f"{RATE_OVER * max(1.0, interval_s):g}s",
    }
    found: dict[str, dict[str, float]] = {}
    for name, (panel, place, quantile) in _ASKED.items():
        expression = panel.expressions(letters | {"Q": quantile})[place]
        for sample in query(prometheus, expression):
            wanted = name != "connections" or sample.labels.get("state") == "established"
            if wanted and sample.value == sample.value:  # 0 / 0, where nothing was asked, is no figure
                found.setdefault(sample.labels.get("variant", ""), {})[name] = sample.value
    present = (v for v in sorted(found) if v and ("threads" in found[v] or found[v].get("users")))
    return tuple(Figures(variant, **found[variant]) for variant in present)


def _rung(prometheus: str) -> str:
    """Return what looks into the kernel, as the probes say; without them the exporter alone does."""
    rungs = [one.labels["rung"] for one in query(prometheus, FACTS["rung"]) if one.value > 0]
    return ", ".join(rungs) or "/proc and taskstats, no probes"


def _trial(results: Path, state: SwarmState) -> Trial | None:
    progress = read_progress(results, state.run_id)
    if progress is None or not progress.planned:
        return None
    of, number = len(progress.planned), progress.finished + 1
    variant, scenario = progress.planned[min(number, of) - 1]
    return Trial(progress.suite, of + 1 if progress.is_over else number, of, variant, scenario)


def _try(troubles: list[str], read: Callable[[], T]) -> T | None:
    """Return what is read, or None with the reason among the troubles: one that is silent hides no other."""
    try:
        return read()
    except (NotReady, StoreDamaged) as why:
        troubles.append(str(why))
        return None
