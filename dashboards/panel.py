"""The words panels are declared in.

A panel answers one question with PromQL that says nothing about who draws it. `$S` in an expression stands for the
selector of what is being looked at, `$B` for the same of the run it is held against, `$H` for the same scenarios and
variants in any run, `$K` for the suites whose runs count, `$I` for the range that rates are taken over, `$Q` for the
quantile, `$E` for the end of the time that is drawn; whoever draws puts their own in (`Panel.expressions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Literal

Unit = Literal["seconds", "bytes", "per second", "ratio", "count", "cores"]
Kind = Literal["lines", "bars", "heatmap"]
# log: to the base of 10, for what spans decades. Zero has no place on it and is drawn at its foot, what is absent not.
Scale = Literal["linear", "log"]
Source = Literal["client", "server", "store", "bpf", "runtime", "host"]

# What selects the series of the trials looked at, in each place that draws. Prometheus' own label matching.
GRAFANA = {
    "S": 'run_id="$run",scenario=~"$scenario",variant=~"$variant"',
    "B": 'run_id="$baseline",scenario=~"$scenario",variant=~"$variant"',
    "H": 'scenario=~"$scenario",variant=~"$variant"',
    "K": 'suite=~"$suite"',
    "I": "$__rate_interval",
    "Q": "$quantile",
    # Grafana rounds a query's end down to its step, which over a month is half an hour: too long ago for what a lab
    # shows that was brought up just now. Its own variable is exact.
    "E": "${__to:date:seconds}",
}
LETTERS = "".join(GRAFANA)


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and how its series are called."""

    expression: str
    legend: str  # Prometheus labels in double braces: "{{variant}}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """From this value on, a reader should worry."""

    above: float
    why: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart."""

    name: str  # kebab-case, unique; also the anchor of the live page
    title: str
    question: str  # what it answers, as a person would ask it
    unit: Unit
    queries: tuple[Query, ...]
    source: Source
    kind: Kind = "lines"
    threshold: Threshold | None = None
    wide: bool = False  # takes the whole row
    repeat: bool = False  # once for each variant
    signed: bool = False  # below zero means something
    scale: Scale = "linear"

    def expressions(self, meaning: Mapping[str, str]) -> list[str]:
        """Return each query with its letters replaced. meaning: by letter.

        Other dollars stay as they are. Raises KeyError where a letter has no meaning.
        """
        return [_fill(query.expression, meaning) for query in self.queries]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of panels for one kind of reader."""

    uid: str  # fixed: a second provisioning finds the first one's
    title: str
    summary: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]  # (heading, panels)
    since: str = "now-5m"  # how far back it looks at first, in Grafana's words
    of_past: bool = False  # its scenarios and variants are those of past runs, not of one run's live series

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for _, panels in self.rows for panel in panels)


class _Letters(Template):
    idpattern = f"(?:[{LETTERS}])(?![a-z_])"


def _fill(expression: str, meaning: Mapping[str, str]) -> str:
    found = _Letters(expression)
    # $run and its like are no letters of ours, and are for Grafana to replace: they stay.
    return found.safe_substitute({key: meaning[key] for key in LETTERS if f"${key}" in expression})
