"""A trial's time series in its run's folder: nothing is lost on the way, nothing is invented, damage is one line."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest

from orchestrator.errors import StoreDamaged
from orchestrator.model import TrialSpec
from orchestrator.results.series import Grid, Track, lay_out, list_tracks, of_panel, read_tracks, write_tracks

GRID = Grid(start_s=1_000.0, step_s=1.0, steps=5)


def make_spec(index: int = 3, variant: str = "c-epoll") -> TrialSpec:
    return TrialSpec(
        index=index, block=1, variant=variant, scenario="plain", kind="closed", profile="default",
        server_processes=1, workers=1, why_processes="",
    )  # fmt: skip


def test_a_hole_stays_a_hole() -> None:
    """Between two scrapes that came nothing is filled in; what is not finite counts as nothing."""
    track = lay_out(GRID, {"a": "b"}, [(1001.0, 7.0), (1002.0, math.inf), (1003.0, 0.0), (1009.0, 1.0)])

    assert Track({"a": "b"}, 1, (7.0, None, 0.0)) == track
    assert lay_out(GRID, {}, [(1001.0, math.nan)]) is None
    assert lay_out(GRID, {}, []) is None


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Labels, places, values and which panel, query and quantile they are of; reasons too."""
    shown = [
        of_panel(Track({"variant": "c-epoll"}, 0, (0.1, None, 12_345.678901234567)), "latency", 1, "0.999"),
        of_panel(Track({}, 4, (3.0,)), "threads", 0),
    ]
    path = write_tracks(tmp_path, "r1", make_spec(), "panels", GRID, shown, {"memory": "refused"})
    kept = read_tracks(path)

    assert "panels-003-c-epoll-plain.json.gz" == path.name
    assert tuple(shown) == kept.tracks
    assert ("r1", 3, 1, "c-epoll", "plain", GRID) == (
        kept.run_id, kept.trial, kept.block, kept.variant, kept.scenario, kept.grid,
    )  # fmt: skip
    assert {"memory": "refused"} == kept.missing


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    """A copy can be compared by its digest: no clock goes into the archive."""
    track = Track({"__name__": "up"}, 0, (1.0,) * 5)
    first, second = (
        write_tracks(tmp_path, run, make_spec(), "series", GRID, [track]).read_bytes() for run in ("same", "same")
    )

    assert first == second


def test_files_are_listed_in_the_order_of_the_trials(tmp_path: Path) -> None:
    """By number, each kind for itself; a run from before they were kept has none."""
    for index in (10, 2):
        write_tracks(tmp_path, "r1", make_spec(index), "panels", GRID, [])
    write_tracks(tmp_path, "r1", make_spec(0), "series", GRID, [])

    assert ["panels-002-c-epoll-plain.json.gz", "panels-010-c-epoll-plain.json.gz"] == [
        path.name for path in list_tracks(tmp_path, "r1", "panels")
    ]
    assert [] == list_tracks(tmp_path, "another", "panels")


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"no JSON"), gzip.compress(b"[]"), gzip.compress(json.dumps({}).encode())],
    ids=["empty", "not gzip", "not JSON", "a list", "no keys"],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    """Which file, what was expected, and what to do; a cut one too."""
    path = tmp_path / "panels-000-a-b.json.gz"
    path.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"panels-000-a-b.*expected.*move this file away") as caught:
        read_tracks(path)

    assert "\n" not in str(caught.value)


def test_a_file_cut_short_is_one_line(tmp_path: Path) -> None:
    """As a full disk would leave it, if files did not appear whole."""
    path = write_tracks(tmp_path, "r1", make_spec(), "series", GRID, [Track({"a": "b"}, 0, (1.0,) * 5)])
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(StoreDamaged, match="series-003"):
        read_tracks(path)
