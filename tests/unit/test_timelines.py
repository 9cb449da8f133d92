"""A report's timelines: of each variant the first valid trial, as its kept series have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dashboards.live import QUANTILE
from orchestrator.model import Plan, Run, TrialResult
from orchestrator.results.series import Grid, Track, of_panel, write_tracks
from orchestrator.timelines import read_timelines
from tests.unit.drawn_trials import trial

GRID = Grid(start_s=1_000.0, step_s=1.0, steps=9)


def a_run(*trials: TrialResult) -> Run:
    numbered = tuple(replace(one, spec=replace(one.spec, index=place)) for place, one in enumerate(trials))
    return Run("r", "quick", "", "", {}, Plan("quick", 1, tuple(one.spec for one in numbered), ()), numbered)


def keep(results: Path, run: Run, place: int, *tracks: Track) -> Path:
    return write_tracks(results, run.run_id, run.trials[place].spec, "panels", GRID, tracks)


def test_each_variant_is_drawn_by_its_first_valid_trial(tmp_path: Path) -> None:
    """Seconds count from the beginning of the kept grid; a void trial is passed over, a later one too."""
    run = a_run(trial("a", void="a worker went"), trial("b"), trial("a", block=1), trial("a", block=2))
    for place, value in enumerate((1.0, 2.0, 3.0, 4.0)):
        keep(tmp_path, run, place, of_panel(Track({}, 2, (None, value)), "throughput", 0))
    (told,) = read_timelines(tmp_path, run)["plain"]

    assert ("throughput", "per second") == (told.panel, told.unit)
    assert {"a": ((2.0, None), (3.0, 3.0)), "b": ((2.0, None), (3.0, 2.0))} == {
        line.variant: line.points for line in told.lines
    }


def test_a_panel_is_its_first_query_at_the_pages_own_quantile(tmp_path: Path) -> None:
    """What else the live page lets people choose is not in the report."""
    run = a_run(trial("a"))
    shown = [of_panel(Track({}, 0, (n,)), "latency", 0, q) for n, q in ((0.1, "0.5"), (0.2, QUANTILE), (0.3, "0.999"))]
    keep(tmp_path, run, 0, *shown, of_panel(Track({}, 0, (9.0,)), "resets", 0))
    (told,) = read_timelines(tmp_path, run)["plain"]

    assert ("latency", "log", ((0.0, 0.2),)) == (told.panel, told.scale, told.lines[0].points)


def test_of_connections_by_state_the_established_are_drawn(tmp_path: Path) -> None:
    """Those that are connecting come first in the file, and are no answer to the question."""
    run = a_run(trial("a"))
    states = [
        of_panel(Track({"state": s}, 0, (n,)), "throughput", 0) for s, n in (("connecting", 1.0), ("established", 2.0))
    ]
    keep(tmp_path, run, 0, *states)

    assert ((0.0, 2.0),) == read_timelines(tmp_path, run)["plain"][0].lines[0].points


def test_a_damaged_file_costs_a_line_and_no_report(tmp_path: Path) -> None:
    """The trial's figures are in the database; a run of which nothing was kept has no timelines."""
    run = a_run(trial("a"), trial("b"))
    keep(tmp_path, run, 0, of_panel(Track({}, 0, (1.0,)), "throughput", 0)).write_bytes(b"half")
    keep(tmp_path, run, 1, of_panel(Track({}, 0, (2.0,)), "throughput", 0))

    assert ["b"] == [line.variant for line in read_timelines(tmp_path, run)["plain"][0].lines]
    assert {} == read_timelines(tmp_path, replace(run, run_id="other"))
