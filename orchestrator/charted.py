"""Keep what a trial's charts show: every panel and every scraped metric, from Prometheus into the run's folder.

A trial's last answers are scraped after its end (a hold's come all at once then), so that each is asked for when the
next one has ended, and the last one two scrapes later; some sixty queries, 0.3 s.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from dashboards.live import FACTS, QUANTILES, panels_of_a_trial
from orchestrator.errors import BadInput, NotReady
from orchestrator.model import TrialResult
from orchestrator.observe.prometheus import query_range
from orchestrator.results.series import Grid, Track, lay_out, of_panel, write_tracks

RATE_OVER = 5  # scrapes that a rate is taken over, as on the live page
_SETTLED = 2  # scrapes after a trial's end until its last answers are in: reported four times a second, then scraped
_MOST_STEPS = 10_000  # Prometheus refuses above 11,000


class Keeper:
    """Keeps the trials of one run, one behind. interval_s: seconds between scrapes."""

    def __init__(self, results: Path, run_id: str, prometheus_url: str, interval_s: float) -> None:
        self._results, self._run_id, self._url, self._interval_s = results, run_id, prometheus_url, interval_s
        self._waiting: tuple[TrialResult, float] | None = None

    def take(self, result: TrialResult) -> str:
        """A trial has ended just now: keep the one before. Returns "", or in words why that one's are not kept."""
        until_s = math.inf
        if self._waiting is not None and _pairing(self._waiting[0]) == _pairing(result):
            until_s = datetime.fromisoformat(result.started_at).timestamp()  # from then on the series are this one's
        trouble = self._keep(until_s)
        self._waiting = result, time.time()
        return trouble

    def finish(self, sleep: Callable[[float], None] = time.sleep) -> str:
        """Keep the last one as soon as it has been scraped; returns as `take` does."""
        if self._waiting is not None:
            sleep(max(0.0, self._waiting[1] + _SETTLED * self._interval_s - time.time()))
        return self._keep(math.inf)

    def _keep(self, until_s: float) -> str:
        if self._waiting is None:
            return ""
        (result, ended_s), self._waiting = self._waiting, None
        # What the rates still show of it afterwards belongs to it.
        end_s = min(until_s, time.time(), ended_s + RATE_OVER * self._interval_s)
        trouble = keep_charted(self._results, self._run_id, result, self._url, self._interval_s, end_s)
        spec = result.spec
        return f"{spec.scenario} {spec.variant}: its time series are not kept: {trouble}" if trouble else ""


def _pairing(result: TrialResult) -> tuple[str, str]:
    return result.spec.variant, result.spec.scenario


def keep_charted(
    results: Path, run_id: str, result: TrialResult, prometheus_url: str, interval_s: float, end_s: float
) -> str:
    """Write both files of a finished trial. Returns "", or in words why there are none.

    interval_s: seconds between scrapes. end_s: the last instant, seconds since 1970. A chart that cannot be kept is no
    reason to lose a run.
    """
    grid = _grid(datetime.fromisoformat(result.started_at).timestamp(), end_s, interval_s)
    missing: dict[str, str] = {}
    try:
        scraped = list(_scraped(prometheus_url, grid, run_id, result))
        shown = list(_shown(prometheus_url, grid, run_id, result, interval_s, missing))
    except NotReady as why:
        return str(why)
    if not scraped:
        return f"Prometheus at {prometheus_url} holds nothing of this trial. Try: open {prometheus_url}/targets"
    write_tracks(results, run_id, result.spec, "series", grid, scraped)
    write_tracks(results, run_id, result.spec, "panels", grid, shown, missing)
    return ""


def _grid(start_s: float, end_s: float, interval_s: float) -> Grid:
    step_s = max(interval_s, math.ceil((end_s - start_s) / _MOST_STEPS))
    first_s = math.floor(start_s)
    return Grid(first_s, step_s, math.floor((end_s - first_s) / step_s) + 1)


def _scraped(url: str, grid: Grid, run_id: str, result: TrialResult) -> Iterator[Track]:
    """Yield the trial's own series, and the lab's that belong to no run (the collectors', the host's, up)."""
    own = f'{{run_id="{run_id}",scenario="{result.spec.scenario}",variant="{result.spec.variant}"}}'
    for selector in (own, '{__name__=~"lab_.+|up",run_id=""}'):
        yield from _tracks(url, grid, selector)


def _shown(
    url: str, grid: Grid, run_id: str, result: TrialResult, interval_s: float, missing: dict[str, str]
) -> Iterator[Track]:
    spec = result.spec
    chosen = f'run_id="{run_id}",scenario="{spec.scenario}",variant="{spec.variant}"'
    letters = {"S": chosen, "I": f"{RATE_OVER * max(1.0, interval_s):g}s"}
    for panel in panels_of_a_trial():
        for quantile in QUANTILES:
            expressions = panel.expressions(letters | {"Q": quantile})
            for place, (query, expression) in enumerate(zip(panel.queries, expressions, strict=True)):
                asks_one = "$Q" in query.expression
                if not asks_one and quantile != QUANTILES[0]:
                    continue
                try:
                    found = list(_tracks(url, grid, expression))
                except BadInput as why:
                    missing[panel.name] = str(why)
                    continue
                for track in found:
                    yield of_panel(track, panel.name, place, quantile if asks_one else "")
    for name, expression in FACTS.items():
        for track in _tracks(url, grid, expression):
            yield of_panel(track, name, 0)


def _tracks(url: str, grid: Grid, expression: str) -> Iterator[Track]:
    for series in query_range(url, expression, grid.start_s, grid.end_s, grid.step_s):
        track = lay_out(grid, series.labels, series.points)
        if track is not None:
            yield track
