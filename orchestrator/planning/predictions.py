"""Turn a trial's prediction and its result into what came true: each figure beside what was seen."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model import TrialResult
from orchestrator.units import format_bytes

# The reference's rule: a model that is further off than single runs differ by is not this machine's.
FAILED_RATIO = 0.15

_WORDS = {
    "connections_held": "connections held",
    "memory_bytes_per_connection": "server memory per connection",
    "generator_memory_bytes": "workers' memory",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One predicted figure and what the trial measured."""

    figure: str  # its name in Metrics
    predicted: float
    seen: float

    @property
    def off_ratio(self) -> float:
        """How far what was seen lies from what was predicted, of the latter; positive: more was seen."""
        return (self.seen - self.predicted) / self.predicted

    @property
    def failed(self) -> bool:
        return abs(self.off_ratio) > FAILED_RATIO

    @property
    def words(self) -> str:
        return _WORDS.get(self.figure, self.figure)

    def shown(self, value: float) -> str:
        """Return one of the two as a person reads it."""
        return format_bytes(value) if "bytes" in self.figure else f"{value:,.0f}"


def compare(result: TrialResult) -> tuple[Comparison, ...]:
    """Return the figures that were both predicted and measured, in the prediction's order."""
    found = []
    for figure, predicted in result.spec.predicted.items():
        seen = getattr(result.metrics, figure, None)
        if isinstance(seen, (int, float)) and predicted > 0:
            found.append(Comparison(figure, predicted, float(seen)))
    return tuple(found)


def prediction_notes(result: TrialResult) -> tuple[str, ...]:
    """Return a note for each prediction that failed; "from the reference's constants" where nothing was calibrated."""
    calibrated = all(bound.calibrated for bound in result.spec.bounds if bound.name == "memory")
    source = "" if calibrated else ", from the reference's constants; calibrate with lab tune --calibrate"
    return tuple(
        f"prediction failed: {c.words} {c.shown(c.predicted)} predicted, {c.shown(c.seen)} seen "
        f"({c.off_ratio:+.0%}{source if 'bytes' in c.figure else ''})"
        for c in compare(result)
        if c.failed
    )
