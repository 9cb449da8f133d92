"""Say how far one image seems to differ from itself: the A/A control of each night -> a floor for calling differences.

Pure. A difference that is no larger than what the machine shows between a thing and itself is none
(Kalibera & Jones 2013, doi 10.1145/2464157.2464160).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from orchestrator.model import CONTROL, Run
from orchestrator.verdicts.compare import FIGURES, pairs_within

Key = tuple[str, str]  # scenario, name of the figure

# Of the nights' A/A differences; what is larger happens to one image against itself once in twenty nights.
QUANTILE = 0.95


def self_differences(run: Run) -> dict[Key, float]:
    """Return how far a night's A/A pairs are apart, as a fraction: 0.02 for 1.02 and for 1 / 1.02 alike.

    Block by block, as any comparison within a run. A figure without a block in which both names measured it is left
    out; with several pairs the largest counts.
    """
    found: dict[Key, float] = {}
    for name in dict.fromkeys(spec.variant for spec in run.plan.trials if spec.variant.endswith(CONTROL)):
        for scenario, first, second in pairs_within(run, name.removesuffix(CONTROL), [name]):
            for figure in FIGURES:
                size = _size(first.values(figure), second.values(figure))
                if size is not None:
                    found[scenario, figure.name] = max(size, found.get((scenario, figure.name), 0.0))
    return found


def _size(one: Mapping[int, float], other: Mapping[int, float]) -> float | None:
    logs = [math.log(other[block] / one[block]) for block in one.keys() & other.keys()]
    return math.exp(abs(fmean(logs))) - 1.0 if logs else None


def noise_floor(nights: Sequence[Run]) -> dict[Key, float]:
    """Return the 95th percentile of the nights' A/A differences, by scenario and figure.

    By nearest rank: the largest one until there are twenty nights. A night that held no A/A pair says nothing.
    """
    sizes: dict[Key, list[float]] = {}
    for night in nights:
        for key, size in self_differences(night).items():
            sizes.setdefault(key, []).append(size)
    return {key: float(np.quantile(found, QUANTILE, method="inverted_cdf")) for key, found in sizes.items()}
