"""Turn the rows of an ablation into effects: each setting taken back, beside the same load with all in place. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.verdicts.summary import Summary

# Single trials on a shared machine differ by as much without any change (the reference's feasibility notes).
NOISE_RATIO = 0.15


@dataclass(frozen=True, slots=True)
class Effect:
    """What one variant reached without one setting, or with all of them (reverted: "")."""

    variant: str
    reverted: str
    what: str  # what the ceiling is of
    ceiling: float | None  # None: no valid trial
    share: float | None  # of what it reached with all in place; None: not known
    # What grew here; for a reverted setting errors too, and only what did not grow as much with all in place.
    counters: Mapping[str, float]

    @property
    def is_same(self) -> bool:
        """Whether the ceiling is the same within the noise."""
        return self.share is not None and abs(self.share - 1.0) <= NOISE_RATIO

    @property
    def is_none(self) -> bool:
        """No effect: the same ceiling, and no counter that shows anything."""
        return self.is_same and not self.counters


def find_effects(rows: Sequence[Summary]) -> list[Effect]:
    """Return the effects in the order of the rows, each variant's whole first; none where nothing was taken back."""
    if not any(row.reverted for row in rows):
        return []
    effects = []
    for variant in dict.fromkeys(row.variant for row in rows):
        mine = [row for row in rows if row.variant == variant]
        whole = next((row for row in mine if not row.reverted), None)
        for row in sorted(mine, key=lambda row: bool(row.reverted)):
            what, ceiling = _ceiling(row)
            reference = _ceiling(whole)[1] if whole is not None else None
            counters = _beyond(_signs(row), _signs(whole) if whole else {}) if row.reverted else row.counters
            effects.append(
                Effect(
                    variant=variant,
                    reverted=row.reverted,
                    what=what,
                    ceiling=ceiling,
                    share=ceiling / reference if ceiling is not None and reference else None,
                    counters=counters,
                )
            )
    return effects


def _ceiling(row: Summary) -> tuple[str, float | None]:
    """Return what a kind of scenario reaches at most, in words and as a number."""
    if row.kind == "ramp":
        return "breaking point", row.metrics.breaking_point
    if row.kind in ("hold", "storm"):
        return ("held" if row.kind == "hold" else "answered"), row.metrics.connections_held
    return "answers/s", row.metrics.throughput_per_s


def _signs(row: Summary) -> dict[str, float]:
    """Return what may show an effect: the kernel's counters, and errors by kind, which some limits show in alone."""
    return {**row.counters, **{kind: float(n) for kind, n in row.metrics.errors.items()}}


def _beyond(counters: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float]:
    """Return the counters that grew at least twice as much as they do anyway."""
    return {name: grown for name, grown in counters.items() if grown >= 2 * max(reference.get(name, 0.0), 0.5)}
