"""Can 1,000,000 connections to c-epoll be open at once, through the one Locust master?

They wait on /hold until all are open and are then released. When they cannot be, the constraint that binds is said:
what the plan predicted, and what kernel, memory and errors showed.
"""

from __future__ import annotations

from bench.hold import Held, note
from bench.outcome import Outcome
from bench.stand import Stand
from bench.witness import Seen
from orchestrator.errors import BadInput
from orchestrator.model import TrialResult
from orchestrator.report.figures import errors_in_words
from orchestrator.report.remaining import Step

HELD = "million c-epoll engine: held"
FAILED = "million c-epoll engine: failed"


def measure(stand: Stand, _rounds: int) -> Outcome:
    """Hold once: it takes minutes, and the figure is a number of connections, not a time."""
    outcome = Outcome()
    with stand.progress.stage("million", [Step("1,000,000 held by the engine")]) as stage:
        stage.begin()
        try:
            spec = stand.spec("million", "million", "c-epoll")
        except BadInput as refused:  # the plan names the constraint
            outcome.remarks.append(str(refused))
            outcome.add(HELD, [None], None, str(refused))
            outcome.add(FAILED, [None], None, str(refused))
            stage.end("refused by the plan")
            return outcome
        result, seen = stand.trial(spec)
        held = Held(0, result, seen)
        outcome.rounds.append({**held.document(), "bounds": [str(bound) for bound in spec.bounds]})
        stage.end(note(held))
    spoilt = f"void: {result.void}" if result.void else ""
    outcome.add(HELD, [result.metrics.connections_held], result.metrics.connections_held, spoilt)
    outcome.add(FAILED, [result.metrics.connections_failed], result.metrics.connections_failed, spoilt)
    requested = stand.lab.scenarios[spec.scenario].connections
    if spoilt or (result.metrics.connections_held or 0) < requested:
        outcome.remarks.append(binding(result, seen))
    elif seen.all_open_s is not None:
        outcome.remarks.append(f"all {requested:,} were open {seen.all_open_s:.1f} s after the order to start")
    return outcome


def binding(result: TrialResult, seen: Seen) -> str:
    """Return what bound, in figures: prediction first, then what was observed."""
    parts = []
    if result.spec.bounds:
        bound = result.spec.bounds[0]
        parts.append(f"predicted to bind first: {bound.name}, {bound.formula}")
    if seen.most_open is not None:
        parts.append(f"the kernel had at most {seen.most_open:,} connections open")
    if seen.host_available_bytes is not None:
        parts.append(f"the host's available memory fell to {seen.host_available_bytes / 1e9:.1f} GB")
    if seen.workers_rss_bytes is not None:
        parts.append(f"the workers took {seen.workers_rss_bytes / 1e9:.1f} GB")
    if result.metrics.errors:
        parts.append(f"errors: {errors_in_words(result.metrics.errors)}")
    if result.counters:
        parts.append("kernel: " + ", ".join(f"{name} +{n:,.0f}" for name, n in sorted(result.counters.items())))
    return "; ".join(parts) or f"nothing was seen: {result.void}"
