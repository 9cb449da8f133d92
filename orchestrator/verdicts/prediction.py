"""Set what was predicted before a trial beside what was seen in it. Pure.

A prediction that is off by more than the tolerance has failed, whichever way: the model behind it is wrong, or the host
is not the one it was calibrated on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model import Metrics

TOLERANCE_RATIO = 0.15  # single trials on a shared machine differ by as much (the reference's feasibility notes)


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure as predicted and as seen."""

    name: str  # of the metric
    predicted: float
    seen: float | None  # None: not measured
    off_ratio: float | None  # (seen - predicted) / predicted; None: nothing to compare

    @property
    def has_failed(self) -> bool:
        return self.off_ratio is not None and abs(self.off_ratio) > TOLERANCE_RATIO


def compare(predicted: Mapping[str, float], metrics: Metrics) -> list[Compared]:
    """Return each predicted figure beside the one that was measured, in the order of the prediction."""
    found = []
    for name, expected in predicted.items():
        seen = getattr(metrics, name, None)
        seen = float(seen) if isinstance(seen, int | float) else None
        off = (seen - expected) / expected if seen is not None and expected else None
        found.append(Compared(name, expected, seen, off))
    return found
