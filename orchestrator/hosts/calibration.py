"""Keep what was calibrated on this machine in .lab/calibration.json, and read it for plans."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.errors import BadInput
from orchestrator.planning.costs import Calibration, dump_calibration, merge, parse_calibration


def read_calibration(state: Path) -> Calibration | None:
    """Return the calibration kept in a state folder; None when there is none. Raises BadInput for a damaged one."""
    path = state / "calibration.json"
    try:
        return parse_calibration(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path}: expected what lab tune --calibrate wrote, saw: {error}. Remove the file; plans then use the "
            "reference's constants until it is made again"
        ) from error


def keep_calibration(state: Path, new: Calibration) -> Path:
    """Keep a calibration beside what an earlier one of this machine has besides, and return the file.

    A damaged earlier file is replaced: its figures cannot be had any more, and the new ones can.
    """
    path = state / "calibration.json"
    try:
        kept = read_calibration(state)
    except BadInput:
        kept = None
    state.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"calibration.{os.getpid()}.tmp")
    partial.write_text(dump_calibration(merge(kept, new)), encoding="utf-8")
    partial.replace(path)
    return path
