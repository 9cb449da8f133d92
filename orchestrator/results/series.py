"""Keep what Prometheus held of a trial in its run's folder, and read it back.

Two files beside trial-003-c-epoll-plain.json, both gzipped JSON: series-003-c-epoll-plain.json.gz has every metric as
it was scraped, panels-003-c-epoll-plain.json.gz what each declared panel showed, which is what the live page draws
(`lab report --serve`). Values lie on one grid of times: value n of a track is at start_s + (first + n) * step_s, and
null where there was none. Prometheus itself forgets after 15 days, and with a lab that is taken down.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import StoreDamaged
from orchestrator.model import TrialSpec
from orchestrator.results.folder import keep, run_folder, trial_name

Kind = Literal["series", "panels"]
KINDS: tuple[Kind, ...] = ("series", "panels")
_LEVEL = 6  # zlib's own default: a quick trial's series become some 20 KB in 10 ms


@dataclass(frozen=True, slots=True)
class Grid:
    """The instants a trial's values lie on."""

    start_s: float  # seconds since 1970
    step_s: float
    steps: int

    @property
    def end_s(self) -> float:
        """The last instant."""
        return self.start_s + (self.steps - 1) * self.step_s

    def place(self, at_s: float) -> int:
        """Return the number of the instant that is nearest."""
        return round((at_s - self.start_s) / self.step_s)


@dataclass(frozen=True, slots=True)
class Track:
    """One series. panel, query and quantile: what of a panel it shows; a scraped metric has __name__ in its labels."""

    labels: Mapping[str, str]
    first: int  # place on the grid of the first value
    values: tuple[float | None, ...]
    panel: str = ""
    query: int = 0  # its number within the panel
    quantile: str = ""  # "" where the query asks for none


@dataclass(frozen=True, slots=True)
class Kept:
    """All of one file. missing: panel -> why it is not there."""

    run_id: str
    trial: int
    block: int
    variant: str
    scenario: str
    grid: Grid
    tracks: tuple[Track, ...]
    missing: Mapping[str, str]


def lay_out(grid: Grid, labels: Mapping[str, str], points: Iterable[tuple[float, float]]) -> Track | None:
    """Return the points of a series as a track; None where none lies on the grid. What is not finite counts as none."""
    placed = {grid.place(at_s): value for at_s, value in points if math.isfinite(value)}
    within = [place for place in placed if 0 <= place < grid.steps]
    if not within:
        return None
    first, last = min(within), max(within)
    return Track(dict(labels), first, tuple(placed.get(place) for place in range(first, last + 1)))


def write_tracks(
    results: Path,
    run_id: str,
    spec: TrialSpec,
    kind: Kind,
    grid: Grid,
    tracks: Iterable[Track],
    missing: Mapping[str, str] | None = None,
) -> Path:
    """Write one file of a trial and return its path. missing: panel -> why it is not there. Raises StoreDamaged."""
    document = {
        "run_id": run_id,
        "trial": spec.index,
        "block": spec.block,
        "variant": spec.variant,
        "scenario": spec.scenario,
        "start_s": grid.start_s,
        "step_s": grid.step_s,
        "steps": grid.steps,
        "missing": dict(missing or {}),
        "tracks": [_document(track, kind) for track in tracks],
    }
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    # Without a time in its head the same content makes the same file.
    packed = gzip.compress(text.encode(), _LEVEL, mtime=0)
    return keep(run_folder(results, run_id) / f"{kind}-{trial_name(spec)}.json.gz", packed)


def list_tracks(results: Path, run_id: str, kind: Kind) -> list[Path]:
    """Return the files of a run in the order of its trials; none for a run from before they were kept."""
    return sorted(run_folder(results, run_id).glob(f"{kind}-*.json.gz"))


def read_tracks(path: Path) -> Kept:
    """Return what a file holds. Raises StoreDamaged."""
    try:
        told = json.loads(gzip.decompress(path.read_bytes()))
        return Kept(
            run_id=str(told["run_id"]),
            trial=int(told["trial"]),
            block=int(told["block"]),
            variant=str(told["variant"]),
            scenario=str(told["scenario"]),
            grid=Grid(float(told["start_s"]), float(told["step_s"]), int(told["steps"])),
            tracks=tuple(map(_track, told["tracks"])),
            missing=dict(told["missing"]),
        )
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as why:
        raise StoreDamaged(
            f"{path}: expected a trial's time series as the lab wrote them, but {type(why).__name__}: {why}. "
            "The trial's figures are in the database; move this file away to go on without its charts"
        ) from why


def of_panel(track: Track, panel: str, query: int, quantile: str = "") -> Track:
    """Return the track as what a panel's query showed."""
    return replace(track, panel=panel, query=query, quantile=quantile)


def _document(track: Track, kind: Kind) -> dict[str, object]:
    shown = {"panel": track.panel, "query": track.query, "quantile": track.quantile} if kind == "panels" else {}
    return shown | {"labels": dict(track.labels), "first": track.first, "values": list(track.values)}


def _track(told: Mapping[str, Any]) -> Track:
    return Track(
        labels={str(key): str(value) for key, value in told["labels"].items()},
        first=int(told["first"]),
        values=tuple(None if value is None else float(value) for value in told["values"]),
        panel=str(told.get("panel", "")),
        query=int(told.get("query", 0)),
        quantile=str(told.get("quantile", "")),
    )
