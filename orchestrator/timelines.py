"""Turn the time series that were kept of a run into its report's timelines: one trial of each variant, as it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from dashboards.live import QUANTILE, panels_of_a_trial
from dashboards.panel import Panel
from orchestrator.errors import StoreDamaged
from orchestrator.model import Run
from orchestrator.report.page.lines import TimeLine, Timeline
from orchestrator.results.series import Kept, Track, list_tracks, read_tracks

# What a reader asks of a trial's course, by the scenario's kind; the live page has every panel (lab report --serve).
WANTED: Mapping[str, tuple[str, ...]] = {
    "closed": ("throughput", "latency", "server-cpu", "memory"),
    "open": ("throughput", "latency", "schedule-lag", "server-cpu"),
    "hold": ("connections", "memory", "threads", "server-cpu"),
    "ramp": ("throughput", "latency", "server-cpu", "connections"),
    "storm": ("throughput", "latency", "accept-queue", "server-cpu"),
}


def read_timelines(results: Path, run: Run) -> dict[str, list[Timeline]]:
    """Return scenario -> its timelines, each variant's first valid trial; nothing for a run without kept series.

    A file that cannot be read is passed over: a report with a line less is better than none.
    """
    first: dict[tuple[str, str], int] = {}
    kinds: dict[str, str] = {}
    for trial in run.trials:
        spec = trial.spec
        kinds[spec.scenario] = spec.kind
        if trial.void is None and not spec.reverted:
            first.setdefault((spec.scenario, spec.variant), spec.index)
    kept: dict[str, list[Kept]] = {}
    for path in list_tracks(results, run.run_id, "panels"):
        number = path.name.removeprefix("panels-").partition("-")[0]
        if number.isdigit() and int(number) in first.values():
            try:
                found = read_tracks(path)
            except StoreDamaged:
                continue
            if first.get((found.scenario, found.variant)) == found.trial:
                kept.setdefault(found.scenario, []).append(found)
    return {
        scenario: [drawn for name in WANTED.get(kinds[scenario], ()) if (drawn := _timeline(name, found)) is not None]
        for scenario, found in kept.items()
    }


def _timeline(name: str, kept: Iterable[Kept]) -> Timeline | None:
    panel: Panel | None = next((one for one in panels_of_a_trial() if one.name == name), None)
    if panel is None:
        return None
    lines = tuple(
        TimeLine(one.variant, _points(one, track)) for one in kept if (track := _shown(one.tracks, name)) is not None
    )
    return Timeline(name, panel.question, panel.unit, lines, panel.scale) if lines else None


def _shown(tracks: Iterable[Track], panel: str) -> Track | None:
    """Return a panel's first query, at the page's own quantile where it asks for one.

    Of several series of one query that of what is established, or the first: one variant has one line.
    """
    found = [one for one in tracks if one.panel == panel and one.query == 0 and one.quantile in ("", QUANTILE)]
    return next((one for one in found if one.labels.get("state") == "established"), found[0] if found else None)


def _points(kept: Kept, track: Track) -> tuple[tuple[float, float | None], ...]:
    step_s = kept.grid.step_s
    return tuple(((track.first + place) * step_s, value) for place, value in enumerate(track.values))
