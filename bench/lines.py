"""The lines of results/bench.json: what each promises, and whether what was measured holds.

Pure. A figure that was not measured never holds; that it was not, and why, is in the details beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from bench.pairs import PAIRS

T = TypeVar("T")
Bound = Literal["at most", "at least", "exactly"]


@dataclass(frozen=True, slots=True)
class Line:
    """One promise: a figure and its goal."""

    name: str
    experiment: str  # what measures it, as `--only` names it
    unit: str
    bound: Bound
    goal: float

    @property
    def goal_text(self) -> str:
        """The goal in words, as in "at most 6 s"."""
        number = f"{self.goal:,.0f}" if self.goal >= 1000 else f"{self.goal:g}"
        return f"{self.bound} {number}" + (f" {self.unit}" if self.unit else "")


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one line. value: None when it could not be measured. spoilt: why its value must not count."""

    value: float | None
    spoilt: str = ""


def hold_lines(connections: int) -> list[Line]:
    """Return the lines of the hold: for each variant and kind of users its time and its completeness."""
    lines = []
    for variant in ("c-epoll", "go-nethttp"):
        for users, goal_s in (("engine", 6.0), ("locust", 15.0)):
            name = f"hold-100k {variant} {users}"
            lines += [
                Line(f"{name}: all established", "hold", "s", "at most", goal_s),
                Line(f"{name}: failed", "hold", "connections", "exactly", 0),
                Line(f"{name}: answered", "hold", "connections", "exactly", connections),
                Line(f"{name}: counted by the server", "hold", "connections", "at least", connections),
                Line(f"{name}: shown in the web UI", "hold", "connections", "exactly", connections),
            ]
        lines.append(Line(f"hold-100k {variant} engine: workers' memory", "hold", "GB", "at most", 0.6))
    return lines


LINES: tuple[Line, ...] = (
    *hold_lines(100_000),
    Line("million c-epoll engine: held", "million", "connections", "at least", 1_000_000),
    Line("million c-epoll engine: failed", "million", "connections", "exactly", 0),
    Line("throughput engine / wrk", "throughput", "", "at least", 1.0),
    Line("variants c-epoll / nginx", "variants", "", "at least", 1.0),
    Line("variants c-uring / nginx", "variants", "", "at least", 1.0),
    Line("exporter: CPU at 10,000 held connections", "exporter", "cores", "at most", 0.02),
    Line("exporter: CPU at 100,000 held connections", "exporter", "cores", "at most", 0.1),
    Line("exporter: throughput with it / without", "exporter", "", "at least", 0.99),
    *(Line(pair.line, "rivals", "", "at least", 0.8) for pair in PAIRS),
    # What a probe window is worth; nothing that is scored is measured with a rung on. Below this the probes would show
    # another server than the one that was scored.
    Line("rungs ebpf: throughput on / off", "rungs", "", "at least", 0.8),
    Line("rungs perf: throughput on / off", "rungs", "", "at least", 0.8),
    # 100,000 connections, each asking again as soon as its answer of 10 s is in: 10,000/s less what an exchange takes
    # beyond its 10 s. 0.1 % is 10 ms of that; what is usual is below 1 ms (9,999.4/s).
    Line("active-100k engine: answered", "active", "1/s", "at least", 9_990),
    Line("active-100k engine: longest latency beyond its 10 s", "active", "s", "at most", 0.05),
    Line("truth: worst deviation of p50, p90, p99, p99.9", "truth", "ratio", "at most", 0.02),
    Line("truth: closed trials that say so", "truth", "ratio", "exactly", 1.0),
    # 40 comparisons of one server with itself, 20 with itself slowed by a tenth; as many blocks each as a night has.
    Line("calibration: A/A comparisons with a false alarm", "calibration-alarms", "ratio", "at most", 0.05),
    Line("calibration: a tenth slower, called slower", "calibration-slower", "ratio", "at least", 0.95),
    Line("calibration: a tenth slower, the interval covers the truth", "calibration-slower", "ratio", "at least", 0.9),
)
EXPERIMENTS = (
    "throughput",
    "variants",
    "exporter",
    "rivals",
    "rungs",
    "hold",
    "active",
    "truth",
    "million",
    "calibration-alarms",
    "calibration-slower",
)  # in the order they run: short ones first


def holds(line: Line, measured: Measured | None) -> bool:
    """Tell whether a line's goal is met. Never for what was not measured or was spoilt."""
    if measured is None or measured.value is None or measured.spoilt:
        return False
    if line.bound == "at most":
        return measured.value <= line.goal
    if line.bound == "at least":
        return measured.value >= line.goal
    return measured.value == line.goal


def turned(items: Sequence[T], n: int) -> list[T]:
    """Return the items in the order of round `n`: each round begins one further on, so that nobody is always first."""
    first = n % len(items)
    return [*items[first:], *items[:first]]


def median(values: Iterable[float | None]) -> float | None:
    """Return the median of the rounds, or None when one of them was not measured: fewer rounds are another promise."""
    found = list(values)
    known = [v for v in found if v is not None]
    return statistics.median(known) if known and len(known) == len(found) else None


def worst(values: Iterable[float | None], bound: Bound, goal: float) -> float | None:
    """Return the round that is farthest from the goal, for what must hold in each of them; None as in `median`."""
    found = list(values)
    known = [v for v in found if v is not None]
    if not known or len(known) != len(found):
        return None
    if bound == "at most":
        return max(known)
    return min(known) if bound == "at least" else max(known, key=lambda v: abs(v - goal))


def document(
    lines: Sequence[Line], measured: Mapping[str, Measured], earlier: Mapping[str, Mapping[str, object]]
) -> dict[str, dict[str, object]]:
    """Return what bench.json holds: every line, measured or not.

    measured: line name -> what came of it in this run. earlier: entries that still stand, of lines left alone.
    """
    entries: dict[str, dict[str, object]] = {}
    for line in lines:
        found = measured.get(line.name)
        if found is None and line.name in earlier:
            entries[line.name] = dict(earlier[line.name])
            continue
        value = found.value if found is not None else None
        entries[line.name] = {
            "value": value, "unit": line.unit, "goal": line.goal_text, "holds": holds(line, found)
        }  # fmt: skip
    return entries
