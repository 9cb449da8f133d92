"""A real run that is killed, killed again and runs into a full disk is resumed until it is whole, plan and all."""

from __future__ import annotations

import errno
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator.results.folder import read_run_folder, run_folder
from orchestrator.results.mend import database, open_results
from tests.engine.conftest import ROOT, LabFile

SCENARIOS = {
    "moment": {
        "summary": "one second of closed loop", "kind": "closed", "path": "/plain", "connections": 10,
        "warmup": "200ms", "measure": "1s", "timeout": "5s",
    },
}  # fmt: skip
SUITES = {
    "night": {
        "summary": "two variants, twice", "scenarios": ["moment"], "variants": ["c-epoll", "c-threads"],
        "trials": 2, "profile": "default", "seed": 5,
    },
}  # fmt: skip
TRIALS = 4
DEADLINE_S = 120


@pytest.fixture(scope="module")
def lab(make_lab: Any) -> Iterator[LabFile]:
    """A lab whose results are on a disk of their own, 40 MiB."""
    made: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES)
    results = made.path.parent / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "netpoll-lab-tests", str(results)], check=True)
    try:
        made.run("build", "c-epoll", "c-threads", timeout_s=900)
        yield made
    finally:
        subprocess.run(["umount", "--lazy", str(results)], check=True)


def start(lab: LabFile, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        lab.command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def kept(results: Path) -> int:
    """Return how many trials the run has; -1 before it began."""
    if not database(results).exists():
        return -1
    with open_results(results, lambda _: None) as store:
        return next((entry.finished for entry in store.list_runs()), -1)


def wait_for(results: Path, trials: int, process: subprocess.Popen[str]) -> None:
    """Wait until the run has so many trials."""
    end_s = time.monotonic() + DEADLINE_S
    while kept(results) < trials:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end_s, "the run did not get there in time"
        time.sleep(0.05)


def fill(results: Path) -> Path:
    hog = results / "hog"
    with hog.open("wb", buffering=0) as file:
        try:
            for block in (65536, 1):
                while True:
                    file.write(b"x" * block)
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return hog


def test_killed_twice_and_out_of_space_a_run_is_resumed_to_its_end(
    lab: LabFile, client: docker.DockerClient, tmp_path: Path
) -> None:
    """Kills at seeded moments of its trials; no trial is lost or done twice; the disk's end is one line and exit 3."""
    results, moments = lab.path.parent / "results", random.Random(5)

    for arguments in (("run", "night"), ("run", "--resume")):
        trials = kept(results) + 1  # first until it has begun, then until one more is kept
        process = start(lab, *arguments)
        wait_for(results, trials, process)
        time.sleep(moments.uniform(0.2, 2.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with open_results(results, lambda _: None) as store:
        (entry,), before = store.list_runs(), store.read_run()
    listed = lab.run("show", "--list").stdout
    assert f"unfinished: {entry.finished} of {TRIALS} trials kept; go on with: lab --file {lab.path} run" in listed

    process = start(lab, "run", "--resume", entry.run_id[:15])
    wait_for(results, min(len(before.trials) + 1, TRIALS - 1), process)
    hog = fill(results)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert 3 == process.returncode, output
    last = [line for line in output.splitlines() if line.startswith("lab: ")]
    assert 1 == len(last), output
    assert "Traceback" not in output
    assert [] == lab.containers(client)
    assert before.trials == _trials(lab, results)[: len(before.trials)]
    refused = lab.run("run", "--resume", expect=3).stderr
    assert "the disk is full" in refused
    hog.unlink()

    done = lab.run("run", "--resume")
    with open_results(results, lambda _: None) as store:
        whole = store.read_run()
    assert before.plan == whole.plan
    assert list(before.plan.trials) == [trial.spec for trial in whole.trials]
    assert before.trials == whole.trials[: len(before.trials)]
    assert {None} == {trial.void for trial in whole.trials}
    assert whole.finished_at is not None
    assert whole.trials == read_run_folder(run_folder(results, whole.run_id)).run.trials
    assert len(whole.sessions) in (3, 4)  # the third command may have met the full disk before it went on
    assert {()} == {session.changes for session in whole.sessions}
    assert f"{TRIALS} of {TRIALS} trials" in done.stdout
    assert "nothing to resume" in lab.run("run", "--resume", whole.run_id, expect=2).stderr

    file = tmp_path / "run.tar.gz"
    lab.run("export", "--out", str(file))
    other = LabFile(Path(shutil.copy(lab.path, tmp_path / "lab.yaml")))
    other.run("import", str(file))
    assert whole.trials == _trials(other, tmp_path / "results")


def _trials(lab: LabFile, results: Path) -> Any:
    """Return what another process' `lab show` can read, and the trials it read."""
    lab.run("show", "20")
    with open_results(results, lambda _: None) as store:
        return store.read_run("20").trials
