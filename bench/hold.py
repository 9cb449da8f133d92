"""How soon are 100,000 connections open, and is every one of them answered? Engine and Locust users, two variants.

Each round holds every variant with every kind of users once, in an order that turns. Times come from the swarm (first
connect to last established) and from the kernel, which counts the sockets of both ends; both are shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.lines import LINES, median, turned, worst
from bench.outcome import Outcome
from bench.stand import Stand
from bench.witness import Seen
from orchestrator.model import TrialResult
from orchestrator.report.remaining import Step

VARIANTS = ("c-epoll", "go-nethttp")
USERS = ("engine", "locust")


@dataclass(frozen=True, slots=True)
class Held:
    """One trial of a hold."""

    round: int
    result: TrialResult
    seen: Seen

    def document(self) -> dict[str, object]:
        """Return it for the details file; the whole trial is among the run's files."""
        metrics = self.result.metrics
        return {
            "round": self.round,
            "variant": self.result.spec.variant,
            "scenario": self.result.spec.scenario,
            "users": self.result.spec.users,
            "workers": self.result.spec.workers,
            "server_processes": self.result.spec.server_processes,
            "void": self.result.void,
            "notes": list(self.result.notes),
            "established_s": metrics.established_s,
            "held": metrics.connections_held,
            "failed": metrics.connections_failed,
            "errors": dict(metrics.errors),
            "p50_s": metrics.p50_s,
            "p999_s": metrics.p999_s,
            "generator_memory_bytes": metrics.generator_memory_bytes,
            "counters": dict(self.result.counters),
            "seen": self.seen.document(),
        }


def measure(stand: Stand, rounds: int) -> Outcome:
    """Run the rounds and return the hold's lines."""
    outcome = Outcome()
    pairings = [(variant, users) for variant in VARIANTS for users in USERS]
    trials: dict[tuple[str, str], list[Held]] = {pairing: [] for pairing in pairings}
    delay_s = stand.lab.scenarios["hold-100k-engine"].delay_s
    orders = [turned(pairings, n) for n in range(rounds)]
    steps = [Step(f"round {n + 1}: {v} held by {u} users", delay_s) for n, order in enumerate(orders) for v, u in order]
    with stand.progress.stage("hold", steps) as stage:
        for n, order in enumerate(orders):
            for variant, users in order:
                stage.begin()
                result, seen = stand.trial(stand.spec("hold", f"hold-100k-{users}", variant))
                held = Held(n, result, seen)
                trials[variant, users].append(held)
                outcome.rounds.append(held.document())
                stage.end(note(held))
    for (variant, users), found in trials.items():
        _add_lines(outcome, f"hold-100k {variant} {users}", found)
    return outcome


def _add_lines(outcome: Outcome, name: str, trials: list[Held]) -> None:
    """Times are the median of the rounds; what must hold in each round is taken from the worst of them."""
    spoilt = next((f"round {t.round + 1} is void: {t.result.void}" for t in trials if t.result.void), "")
    times = [t.result.metrics.established_s for t in trials]
    outcome.add(f"{name}: all established", times, median(times), spoilt)
    columns: dict[str, list[float | None]] = {
        "failed": [t.result.metrics.connections_failed for t in trials],
        "answered": [t.result.metrics.connections_held for t in trials],
        "counted by the server": [t.seen.server_count["active"] if t.seen.server_count else None for t in trials],
        "shown in the web UI": [t.seen.shown for t in trials],
        "workers' memory": [b / 1e9 if (b := t.seen.workers_rss_bytes) else None for t in trials],
    }
    for line in LINES:
        what = line.name.removeprefix(f"{name}: ")
        if line.name.startswith(f"{name}: ") and what in columns:
            values = columns[what]
            figure = median(values) if what == "workers' memory" else worst(values, line.bound, line.goal)
            outcome.add(line.name, values, figure, spoilt)
    kernel = median([t.seen.all_open_s for t in trials])
    page = max((t.seen.page_slowest_s or 0.0 for t in trials), default=0.0)
    if kernel is not None:
        outcome.remarks.append(f"{name}: {kernel:.2f} s from the order to start until the kernel had both ends of all")
    outcome.remarks.append(f"{name}: the web UI answered within {page:.2f} s at the slowest")


def note(held: Held) -> str:
    """Return a trial in one line."""
    metrics, seen = held.result.metrics, held.seen
    parts = [f"held {metrics.connections_held}", f"failed {metrics.connections_failed}"]
    if metrics.established_s is not None:
        parts.append(f"established in {metrics.established_s:.2f} s")
    if seen.all_open_s is not None and seen.first_s is not None:
        parts.append(f"by the kernel {seen.all_open_s - seen.first_s:.2f} s, {seen.all_open_s:.2f} s from the order")
    if seen.server_count is not None:
        parts.append(f"the server counts {seen.server_count['active']}")
    if seen.workers_rss_bytes is not None:
        parts.append(f"workers {seen.workers_rss_bytes / 1e9:.2f} GB")
    if held.result.void:
        parts.append(f"VOID: {held.result.void}")
    return ", ".join(parts)
