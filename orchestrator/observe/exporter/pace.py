"""Read dear sources the less often the dearer they are, so that all targets together stay within a share of one core.

A budget is a source's: what its last reads cost over all targets, divided by its share, is how long it then rests.
Costs are CPU time of the reading thread, the kernel's work for it included; waiting for a CPU is no cost of ours. Of
the last two reads the cheaper one counts: where a hypervisor takes the CPU away, or interrupts come, one read may seem
twenty times as dear as it is; and the first of a target tells nothing yet.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

_SLACK_S = 0.1  # samples are a second apart but for this; without it one in two would be a moment too early


@dataclass(frozen=True, slots=True)
class Budget:
    """What a source may cost."""

    share: float  # of one core, over all targets
    least_s: float  # between two reads, however cheap they are
    fresh_within_s: float = 0.0  # a reading that is asked for reads anew what last took less than this
    is_apart: bool = False  # read in a thread of its own, which takes breaks; samples show what it gave last


class Pace:
    """What was spent, by source and target; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._costs: dict[str, dict[str, float]] = {}
        self._last: dict[tuple[str, str], float] = {}
        self._budgets: dict[str, Budget] = {}
        self._read_s: dict[tuple[str, str], float] = {}
        self._under_way: set[tuple[str, str]] = set()

    def is_due(self, source: str, target: str, budget: Budget, *, fresh: bool) -> bool:
        """Tell whether to read it now. fresh: a reading was asked for, which reads what is cheap and nothing else."""
        with self._lock:
            read_s, cost_s = self._read_s.get((source, target)), self._costs.get(source, {}).get(target, 0.0)
            if (source, target) in self._under_way:
                return False
            if read_s is None:
                return True
            if fresh:
                return cost_s < budget.fresh_within_s
            return self._left_s(source, target, budget) <= 0.0

    def due_in_s(self, source: str, target: str, budget: Budget) -> float:
        """Return for how long samples leave it alone, as the last costs have it; 0 where it is due or being read."""
        with self._lock:
            return 0.0 if (source, target) in self._under_way else max(0.0, self._left_s(source, target, budget))

    def begin(self, source: str, target: str) -> None:
        """A read begins that is not over yet: until `spent` it is not due again."""
        with self._lock:
            self._under_way.add((source, target))

    def spent(self, source: str, target: str, budget: Budget, cost_s: float) -> None:
        """Note what a read just now cost."""
        with self._lock:
            self._budgets[source] = budget
            self._costs.setdefault(source, {})[target] = min(cost_s, self._last.get((source, target), 0.0))
            self._last[source, target] = cost_s
            self._read_s[source, target] = time.monotonic()
            self._under_way.discard((source, target))

    def forget(self, target: str) -> None:
        """A target is no longer read."""
        with self._lock:
            for costs in self._costs.values():
                costs.pop(target, None)
            self._read_s = {key: at_s for key, at_s in self._read_s.items() if key[1] != target}
            self._under_way = {key for key in self._under_way if key[1] != target}
            self._last = {key: cost_s for key, cost_s in self._last.items() if key[1] != target}

    def intervals_s(self) -> Mapping[str, float]:
        """Return source -> seconds between two reads, as the last costs have it."""
        with self._lock:
            return {source: self._interval_s(source, budget) for source, budget in self._budgets.items()}

    def _left_s(self, source: str, target: str, budget: Budget) -> float:
        read_s = self._read_s.get((source, target), -math.inf)
        return read_s + self._interval_s(source, budget) - _SLACK_S - time.monotonic()

    def _interval_s(self, source: str, budget: Budget) -> float:
        return max(budget.least_s, sum(self._costs.get(source, {}).values()) / budget.share)
