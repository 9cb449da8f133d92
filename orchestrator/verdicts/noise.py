"""Say how far one image seems to differ from itself: the A/A control of each night -> a floor for calling differences.

Pure. A difference that is no larger than what the machine shows between a thing and itself is none
(Kalibera & Jones 2013, doi 10.1145/2464157.2464160).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np

from orchestrator.model import CONTROL, Run
from orchestrator.verdicts.compare import FIGURES, pairs_within
from orchestrator.verdicts.effect import LEAST_PAIRS

Key = tuple[str, str]  # scenario, name of the figure

# Of the nights' A/A differences; what is larger happens to one image against itself once in twenty nights.
QUANTILE = 0.95


def self_differences(run: Run, least_blocks: int = 1) -> dict[Key, float]:
    """Return how far a night's A/A pairs are apart, as a fraction: 0.02 for 1.02 and for 1 / 1.02 alike.

    Block by block, as any comparison within a run. A figure that both names measured in fewer than `least_blocks` is
    left out; with several pairs the largest counts.
    """
    found: dict[Key, float] = {}
    for name in dict.fromkeys(spec.variant for spec in run.plan.trials if spec.variant.endswith(CONTROL)):
        for scenario, first, second in pairs_within(run, name.removesuffix(CONTROL), [name]):
            for figure in FIGURES:
                one, other = first.values(figure), second.values(figure)
                blocks = one.keys() & other.keys()
                if len(blocks) >= least_blocks:
                    size = math.exp(abs(fmean(math.log(other[block] / one[block]) for block in blocks))) - 1.0
                    found[scenario, figure.name] = max(size, found.get((scenario, figure.name), 0.0))
    return found


def noise_floor(nights: Sequence[Run]) -> dict[Key, float]:
    """Return the 95th percentile of the nights' A/A differences, by scenario and figure.

    By nearest rank: the largest one until there are twenty nights. A night with fewer A/A blocks than a verdict needs
    says nothing: one block's luck would hide for twenty nights whatever is smaller.
    """
    sizes: dict[Key, list[float]] = {}
    for night in nights:
        for key, size in self_differences(night, LEAST_PAIRS).items():
            sizes.setdefault(key, []).append(size)
    return {key: float(np.quantile(found, QUANTILE, method="inverted_cdf")) for key, found in sizes.items()}


def floor_of(runs: Sequence[Run]) -> Callable[[str, str], float]:
    """Return the floor of these runs as judge_pairs takes it: 0.0 for what no A/A pair in them measured."""
    floor = noise_floor(runs)
    return lambda scenario, figure: floor.get((scenario, figure), 0.0)
