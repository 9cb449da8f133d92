"""Valid trials with every figure, to be drawn."""

from dataclasses import replace
from typing import Any

from orchestrator.model import (
    Metrics,
    TrialResult,
    TrialSpec,
)
from orchestrator.verdicts.validity import CLOSED_LOOP


def trial(variant: str, scenario: str = "plain", block: int = 0, **changes: Any) -> TrialResult:
    """A valid trial with every figure, but for what is changed (fields of Metrics or of TrialResult)."""
    metrics: dict[str, Any] = {
        "throughput_per_s": 1000.0 if scenario == "plain" else None,
        "p50_s": 0.0,
        "p99_s": 0.0,
        "p999_s": 0.0,
        "requests": 6000 if scenario == "plain" else 2000,
        "connections_requested": 50 if scenario == "plain" else 2000,
        "connections_held": 50 if scenario == "plain" else 2000,
        "connections_failed": 0,
        "threads_peak": 3,
        "memory_bytes": 2048.0 * 1024 if scenario == "plain" else None,
        "memory_bytes_per_connection": 2048.0 if scenario == "hold-2k" else None,
        "cpu_s_per_10k_requests": 1.234,
        "context_switches_per_request": 0.5,
    }
    metrics.update({key: changes.pop(key) for key in [*metrics, "errors"] if key in changes})
    result = TrialResult(
        spec=TrialSpec(
            block,
            block,
            variant,
            scenario,
            "hold" if scenario == "hold-2k" else "closed",
            "default",
            1,
            1,
            "one suffices",
        ),
        void=None,
        metrics=Metrics(**metrics),
        missing={},
        histogram_us={312: 98, 4100: 2},
        read_backs=(),
        notes=(CLOSED_LOOP,) if scenario == "plain" else (),
        started_at="t",
        loaded_s=8.0,
        overhead_s=4.2,
    )
    return replace(result, **changes)
