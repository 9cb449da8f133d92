"""Turn holds of several sizes into what one more connection costs: a regression, with its interval. Pure.

One hold gives memory / connections, in which whatever a server allocates once, with its first load, is spread over that
number of connections. The slope over several numbers is free of it: the cost of one more, and how sure that is. Each
valid trial is a point: what was charged to the server with all of its connections open, in whole and by its parts.
Sources: ordinary least squares (scipy.stats.linregress) with Student's interval of the slope.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from orchestrator.model import Metrics, Run, TrialResult
from orchestrator.verdicts.effect import CONFIDENCE
from orchestrator.verdicts.measured import SOCKETS_BY_DIAG

LEAST_SIZES = 3  # two always lie on a line: nothing would show that they should not
LEAST_POINTS = 4  # a line through three points leaves one degree of freedom, whose interval says nothing (t = 12.7)
# Below, the points do not lie on a line: memory that grows in steps, a limit, a leak. The slope is no cost then.
STRAIGHT_R2 = 0.98
_NOTHING_BYTES = 16.0  # a slope below it is no cost, and noise of a page decides how straight it looks


@dataclass(frozen=True, slots=True)
class Slope:
    """Bytes that one more connection takes, and the line they were read from."""

    bytes_each: float
    low: float  # the interval's ends, at CONFIDENCE
    high: float
    base_bytes: float  # where the line begins: the server with no connection
    r2: float  # share of the points' spread that the line explains; 1.0 where they do not differ


@dataclass(frozen=True, slots=True)
class MemoryFit:
    """What a connection of one variant costs. A part is None where the kernel does not account it: see `missing`."""

    variant: str
    sizes: tuple[int, ...]  # connections held, ascending, each once
    points: tuple[tuple[int, float], ...]  # (held, bytes in whole) of each trial
    whole: Slope
    user: Slope | None
    kernel: Slope | None
    socket: Slope | None
    missing: dict[str, str]  # part -> why
    socket_source: str = ""  # cgroup, or inet_diag: then sockets are not in the whole; "" where they are not known

    @property
    def is_straight(self) -> bool:
        """Whether the points lie on a line at all."""
        return self.whole.r2 >= STRAIGHT_R2 or abs(self.whole.bytes_each) < _NOTHING_BYTES


_PARTS: tuple[tuple[str, Callable[[Metrics], float | None]], ...] = (
    ("user", lambda metrics: metrics.memory_user_bytes),
    ("kernel", lambda metrics: metrics.memory_kernel_bytes),
    ("socket", lambda metrics: metrics.memory_socket_bytes),
)


def fit_run(run: Run) -> tuple[MemoryFit, ...]:
    """Return a fit for each variant whose valid holds have enough sizes, in the plan's order."""
    names = dict.fromkeys(spec.variant for spec in run.plan.trials)
    fits = (fit(name, (t for t in run.trials if t.spec.variant == name)) for name in names)
    return tuple(one for one in fits if one is not None)


def fit(variant: str, trials: Iterable[TrialResult]) -> MemoryFit | None:
    """Return the fit over a variant's trials, or None: fewer than LEAST_SIZES sizes or LEAST_POINTS trials.

    Only valid holds with all settings in place count, and of those only trials that held all that was asked for: behind
    a wall it is not known how many were in when memory was read.
    """
    usable = [trial for trial in trials if _is_usable(trial)]
    held = [float(trial.metrics.connections_held or 0) for trial in usable]
    if len(set(held)) < LEAST_SIZES or len(held) < LEAST_POINTS:
        return None
    whole = [trial.metrics.memory_bytes or 0.0 for trial in usable]
    parts: dict[str, Slope | None] = {}
    missing: dict[str, str] = {}
    for name, read in _PARTS:
        values = [read(trial.metrics) for trial in usable]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            parts[name] = regress(held, known)
        else:
            parts[name] = None
            missing[name] = next(
                (why for trial in usable if (why := trial.missing.get(f"memory_{name}_bytes"))), "not recorded"
            )
    return MemoryFit(
        variant,
        sizes=tuple(sorted({int(n) for n in held})),
        points=tuple(sorted((int(n), value) for n, value in zip(held, whole, strict=True))),
        whole=regress(held, whole),
        user=parts["user"],
        kernel=parts["kernel"],
        socket=parts["socket"],
        missing=missing,
        socket_source=_socket_source(usable) if parts["socket"] is not None else "",
    )


def _socket_source(trials: Iterable[TrialResult]) -> str:
    return "inet_diag" if any(SOCKETS_BY_DIAG in trial.notes for trial in trials) else "cgroup"


def regress(held: Sequence[float], values: Sequence[float]) -> Slope:
    """Return the least-squares line; held and values: of the same length, at least three points of two sizes."""
    if len(set(values)) == 1:  # linregress has no r of points that do not differ
        return Slope(0.0, 0.0, 0.0, values[0], 1.0)
    line = stats.linregress(np.asarray(held), np.asarray(values))
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, len(held) - 2)) * float(line.stderr)
    each = float(line.slope)
    return Slope(each, each - reach, each + reach, float(line.intercept), float(line.rvalue) ** 2)


def _is_usable(trial: TrialResult) -> bool:
    metrics, spec = trial.metrics, trial.spec
    complete = metrics.connections_held is not None and metrics.connections_held == metrics.connections_requested
    memory = metrics.memory_bytes
    known = memory is not None and math.isfinite(memory)
    return spec.kind == "hold" and not spec.reverted and trial.void is None and complete and known
