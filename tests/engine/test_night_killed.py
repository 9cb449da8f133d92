"""A real nightly that is killed -9 at random moments, from its first second to its last, and finished by `--resume`.

Two kills in `make test`. All twenty, some three minutes:
    LAB_NIGHT_KILLS=20 .venv/bin/python -m pytest -s tests/engine/test_night_killed.py
LAB_NIGHT_SEED draws other moments. What is printed says when each kill came.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator.containers.labels import LAB
from orchestrator.model import Run
from orchestrator.results.folder import read_run_folder, run_folder
from orchestrator.results.mend import database, open_results
from orchestrator.results.nights import REPORT, is_closed
from tests.engine.conftest import ROOT, LabFile

KILLS = int(os.environ.get("LAB_NIGHT_KILLS", "2"))
SEED = int(os.environ.get("LAB_NIGHT_SEED", "20"))
BLOCKS = math.ceil(KILLS / 4)
TRIALS = 3 * BLOCKS  # two variants and the control
# What a part of a night takes at most, as far as a moment within it is drawn: it may be over sooner or go on longer.
SETUP_S, TRIAL_S, CLOSING_S = 5.0, 3.0, 1.0
PATIENCE_S = 120.0  # for one command to come as far as its moment

SCENARIOS = {
    "blink": {"kind": "closed", "path": "/plain", "connections": 5, "warmup": "0s", "measure": "200ms", "timeout": "5s"}
}
SUITES = {
    "tiny": {
        "scenarios": ["blink"], "variants": ["c-epoll", "c-threads"], "trials": BLOCKS, "profile": "default", "seed": 3,
    }
}  # fmt: skip
NIGHTLY = {
    "suite": "tiny", "control": "c-epoll", "stable": ["c-threads"],
    "notify": {"command": ["sh", "-c", 'echo "$LAB_NIGHTLY_RUN $LAB_NIGHTLY_VERDICT" >> told']},
}  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """When a kill comes: so many seconds after so many trials are kept; -1: after the command's own beginning."""

    place: float  # in the night: 0 its beginning, 1 its end
    kept: int
    after_s: float


def draw(kills: int, seed: int) -> list[Moment]:
    """Return moments over the whole of a night, one in each of its `kills` equal parts: set-up, trials, closing."""
    numbers = random.Random(seed)
    found = []
    for number in range(kills):
        place = (number + numbers.random()) / kills
        part, share = divmod(place * (TRIALS + 2), 1.0)
        lasts_s = SETUP_S if part == 0 else CLOSING_S if part > TRIALS else TRIAL_S
        found.append(Moment(place, int(part) - 1, share * lasts_s))
    return found


def night(results: Path) -> Run | None:
    """Return the night as far as it is kept; there is no other run."""
    if not database(results).exists():
        return None
    with open_results(results, lambda _: None) as store:
        entries = store.list_runs()
        assert len(entries) <= 1, entries
        return store.read_run() if entries else None


def kill(lab: LabFile, results: Path, moment: Moment, log: Path) -> tuple[str, bool]:
    """Start what comes next, kill its whole process group at the moment; return what ran and whether it was alive."""
    arguments = ("nightly",) if night(results) is None else ("run", "--resume")
    with log.open("ab") as output:
        process = subprocess.Popen(
            lab.command(*arguments), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        end_s = time.monotonic() + PATIENCE_S
        while moment.kept >= 0 and process.poll() is None:
            seen = night(results)
            if seen is not None and len(seen.trials) >= moment.kept:
                break
            assert time.monotonic() < end_s, f"{moment} did not come:\n{log.read_text()}"
            time.sleep(0.02)
        time.sleep(moment.after_s)
        is_alive = process.poll() is None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return f"lab {' '.join(arguments)}", is_alive


@pytest.mark.timeout(240 + 60 * KILLS)
def test_a_nightly_killed_at_random_moments_is_finished_and_no_trial_is_lost_or_doubled(
    make_lab: Any, client: docker.DockerClient, tmp_path: Path
) -> None:
    """One plan throughout, each trial once, its first result; one report, one notification, nothing left behind."""
    lab: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES, nightly=NIGHTLY)
    lab.run("build", "c-epoll", "c-threads", timeout_s=900)
    results, log = lab.path.parent / "results", tmp_path / "log"
    seen: list[Run] = []
    killed = 0
    print(f"\nseed {SEED}, {KILLS} kills, {TRIALS} trials")
    for number, moment in enumerate(draw(KILLS, SEED), start=1):
        what, is_alive = kill(lab, results, moment, log)
        found = night(results)
        kept = -1 if found is None else len(found.trials)
        how = "" if is_alive else "; it was over already"
        print(f"kill {number} at {moment.place:.2f} of the night: {what}, {kept} of {TRIALS} trials kept{how}")
        # Only the last trial and the closing may be over before a moment within them.
        assert is_alive or moment.kept >= TRIALS - 1, f"{what} ended by itself:\n{log.read_text()}"
        killed += is_alive
        if found is not None:
            seen.append(found)
    assert killed >= KILLS - 2
    if not is_closed(results, seen[-1].run_id):
        done = subprocess.run(
            lab.command("run", "--resume"), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )
        # Three blocks and fewer decide nothing, and a window of 200 ms may be void: that is no failure of the night's.
        assert done.returncode in (0, 4), done.stdout + done.stderr

    whole = night(results)
    assert whole is not None
    assert whole.finished_at is not None
    assert list(whole.plan.trials) == [trial.spec for trial in whole.trials]
    assert TRIALS == len(whole.trials)
    for earlier in seen:
        assert (earlier.run_id, earlier.plan) == (whole.run_id, whole.plan)
        assert earlier.trials == whole.trials[: len(earlier.trials)]
    folder = run_folder(results, whole.run_id)
    assert whole.trials == read_run_folder(folder).run.trials
    document = json.loads((folder / "nightly.json").read_text())
    assert (whole.run_id, True) == (document["run_id"], document["closed_at"] is not None)
    assert f"{whole.run_id}" in (folder / REPORT).read_text()
    assert [f"{whole.run_id} {document['verdict']}"] == (lab.path.parent / "told").read_text().splitlines()
    assert "no run is unfinished" in lab.run("run", "--resume", expect=2).stderr
    assert [] == lab.containers(client)
    assert [] == client.networks.list(filters={"label": f"{LAB}={lab.id}"})
