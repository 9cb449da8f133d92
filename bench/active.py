"""Do answers come in time while 100,000 connections are open and each asks again every 10 s?

A closed loop with answers 10 s late: the rate is connections / 10 s if the swarm keeps up, and whatever a latency has
beyond its 10 s was lost between the two clocks.
"""

from __future__ import annotations

from bench.lines import median, worst
from bench.outcome import Outcome
from bench.stand import Stand
from orchestrator.model import TrialResult
from orchestrator.report.remaining import Step, loaded_s

RATE = "active-100k engine: answered"
LATE = "active-100k engine: longest latency beyond its 10 s"
_SCENARIO = "active-100k"


def measure(stand: Stand, rounds: int) -> Outcome:
    """Run the rounds and return both lines: the median of the rates, and the longest latency of them all."""
    outcome = Outcome()
    scenario = stand.lab.scenarios[_SCENARIO]
    rates: list[float | None] = []
    late: list[float | None] = []
    spoilt = ""
    with stand.progress.stage("active", [Step(f"round {n + 1}", loaded_s(scenario)) for n in range(rounds)]) as stage:
        for n in range(rounds):
            stage.begin()
            result, seen = stand.trial(stand.spec("active", _SCENARIO, "c-epoll"))
            rates.append(result.metrics.throughput_per_s)
            late.append(latest_s(result, scenario.delay_s))
            spoilt = spoilt or why_spoilt(n, result)
            outcome.rounds.append(
                {
                    "round": n,
                    "void": result.void,
                    "notes": list(result.notes),
                    "per_s": rates[-1],
                    "beyond_delay_s": late[-1],
                    "p50_s": result.metrics.p50_s,
                    "p99_s": result.metrics.p99_s,
                    "p999_s": result.metrics.p999_s,
                    "errors": dict(result.metrics.errors),
                    "counters": dict(result.counters),
                    "seen": seen.document(),
                }
            )
            stage.end(_note(rates[-1], late[-1], result))
    outcome.add(RATE, rates, median(rates), spoilt)
    outcome.add(LATE, late, worst(late, "at most", 0.0), spoilt)
    return outcome


def latest_s(result: TrialResult, delay_s: float) -> float | None:
    """Return what the longest latency has beyond the delay; None when nothing was answered."""
    return max(result.histogram_us) / 1e6 - delay_s if result.histogram_us else None


def why_spoilt(n: int, result: TrialResult) -> str:
    """Return why a round must not count, or an empty string."""
    if result.void:
        return f"round {n + 1} is void: {result.void}"
    if wrong := sum(result.metrics.errors.values()):
        return f"round {n + 1}: {wrong} wrong or missing answers"
    return ""


def _note(per_s: float | None, late_s: float | None, result: TrialResult) -> str:
    if per_s is None or late_s is None:
        return f"VOID: {result.void}"
    return f"{per_s:,.0f}/s, at most {late_s * 1e3:.1f} ms beyond the delay" + (
        f", VOID: {result.void}" if result.void else ""
    )
