"""What an experiment hands back, and the two files it becomes: results/bench.json and results/bench-details.json.

bench.json holds every line of bench/lines.py, measured or not. The details hold the rounds, the command and the host.
An entry of an earlier run stands until it is measured again, as long as the images are the same; then it is unmeasured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.lines import LINES, Line, Measured, document
from orchestrator.errors import StoreDamaged
from orchestrator.results.whole import write_whole

# What changes between two runs on the same machine and the same code.
_PASSING = frozenset({"load_average_1m", "recorded_at"})


@dataclass(slots=True)
class Outcome:
    """One experiment's figures, with the values of their rounds and whatever else explains them."""

    measured: dict[str, Measured] = field(default_factory=dict)
    values: dict[str, list[float | None]] = field(default_factory=dict)  # line -> one value for each round
    rounds: list[dict[str, object]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)  # label -> ratio, to be drawn

    def add(self, line: str, values: Sequence[float | None], value: float | None, spoilt: str = "") -> None:
        """Note a line's figure and the rounds it comes from."""
        self.values[line] = list(values)
        self.measured[line] = Measured(value, spoilt)


def write(
    folder: Path,
    outcomes: Mapping[str, Outcome],
    command: str,
    host: Mapping[str, object],
    recorded_at: str,
    own_images: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, dict[str, object]]:
    """Write both files, keeping what still stands of the earlier ones, and return what bench.json holds now.

    outcomes: experiment -> what came of it; an empty Outcome takes an earlier entry back. own_images: experiment -> the
    images, as they are now, that it alone measures. Raises StoreDamaged.
    """
    earlier, details = _read(folder / "bench.json"), _read(folder / "bench-details.json")
    experiments: dict[str, Any] = dict(details.get("experiments", {}))
    own_images = own_images or {}
    for name, outcome in outcomes.items():
        experiments[name] = {
            "command": command,
            "recorded_at": recorded_at,
            "host": dict(host),
            "images": dict(own_images.get(name, {})),
            "remarks": outcome.remarks,
            "ratios": outcome.ratios,
            "figures": {
                line: {"value": m.value, "spoilt": m.spoilt, "rounds": outcome.values.get(line, [])}
                for line, m in outcome.measured.items()
            },
            "rounds": outcome.rounds,
        }
    standing = {
        line.name: earlier[line.name]
        for line in LINES
        if line.experiment not in outcomes
        and earlier.get(line.name, {}).get("goal") == line.goal_text
        and stands(experiments.get(line.experiment), host, own_images.get(line.experiment, {}))
    }
    measured = {name: m for outcome in outcomes.values() for name, m in outcome.measured.items()}
    entries = document(LINES, measured, standing)
    _write(folder / "bench-details.json", {"experiments": experiments})
    _write(folder / "bench.json", entries)
    return entries


def stands(experiment: Mapping[str, Any] | None, host: Mapping[str, object], own_images: Mapping[str, str]) -> bool:
    """Tell whether an earlier experiment's figures are still this clone's on this machine: same host, same images.

    Images of the host's facts that there were not then cannot have been in it.
    """
    if experiment is None or experiment.get("images", {}) != dict(own_images):
        return False
    then = {k: v for k, v in dict(experiment.get("host", {})).items() if k not in _PASSING}
    now = json.loads(json.dumps({k: v for k, v in host.items() if k not in _PASSING}))
    known, here = (dict(facts.pop("images", {}) or {}) for facts in (then, now))
    return bool(then == now and all(here.get(name) == digest for name, digest in known.items()))


def failed(entries: Mapping[str, Mapping[str, object]], experiments: Sequence[str]) -> list[Line]:
    """Return the lines of these experiments that do not hold."""
    return [line for line in LINES if line.experiment in experiments and entries[line.name]["holds"] is not True]


def _read(path: Path) -> dict[str, Any]:
    """Return an earlier file, or nothing where there is none that can be read: what is lost is measured again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: object) -> None:
    try:
        write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise StoreDamaged(
            f"{path}: expected to write the figures, but {error.strerror or error}. Free space or mend the folder's "
            "permissions, then run again"
        ) from error
