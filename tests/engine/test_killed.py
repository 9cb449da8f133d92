"""Killed or interrupted at any point, the lab leaves nothing that `lab gc` does not remove, and loses no result."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import docker
import pytest

from orchestrator.containers.images import BASE
from orchestrator.containers.labels import LAB
from tests.engine.conftest import ROOT, LabFile
from tests.engine.test_run import SCENARIOS

SUITES = {
    "long": {
        "summary": "many short trials", "scenarios": ["plain-short"], "variants": ["c-epoll", "c-threads"],
        "trials": 20, "profile": "default", "seed": 1,
    },
}  # fmt: skip
DEADLINE_S = 240


@pytest.fixture(scope="module")
def lab(make_lab: Any) -> LabFile:
    made: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES)
    made.run("build", timeout_s=900)
    return made


def start_run(lab: LabFile) -> subprocess.Popen[str]:
    """Start it as from a terminal: what `nohup make test &` starts has SIGINT ignored, and hands that on."""
    return subprocess.Popen(
        lab.command("run", "long"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end_s, "the run did not get there in time"
        time.sleep(0.1)


def finished(lab: LabFile) -> int:
    """Return how many trials of the newest run are in the store."""
    done = subprocess.run(lab.command("show", "--json"), cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.count('"variant": ') - done.stdout.count('"reason": ') if done.returncode == 0 else 0


def in_a_trial(client: docker.DockerClient, lab: LabFile) -> bool:
    return any("-server-" in name for name in lab.containers(client))


def test_kill_9_then_gc_leaves_nothing_and_keeps_finished_trials(lab: LabFile, client: docker.DockerClient) -> None:
    """A decoy of another lab and one without labels survive; so do the trials that were finished."""
    decoys = [
        client.containers.run(BASE, ["sleep", "600"], detach=True, labels={LAB: "000000000000"}),
        client.containers.run(BASE, ["sleep", "600"], detach=True, labels={"someone": "else"}),
    ]
    network = client.networks.create("netpoll-lab-decoy", labels={LAB: "000000000000"})
    process = start_run(lab)
    try:
        wait_until(lambda: finished(lab) >= 1 and in_a_trial(client, lab), process)
        process.kill()
        process.communicate()
        left = lab.containers(client)
        lab.run("gc")

        assert left != []
        assert [] == lab.containers(client)
        assert [] == client.networks.list(filters={"label": f"{LAB}={lab.id}"})
        assert ["running", "running"] == [client.containers.get(str(d.id)).status for d in decoys]
        assert 1 == len(client.networks.list(ids=[str(network.id)]))
        document = lab.show()
        assert document["finished_at"] is None
        assert len(document["trials"]) >= 1
        assert all(t["void"] is None for t in document["trials"])
    finally:
        process.kill()
        for decoy in decoys:
            decoy.remove(force=True)
        network.remove()


def test_one_ctrl_c_is_graceful(lab: LabFile, client: docker.DockerClient) -> None:
    """SIGINT ends the run with 130, a line that says so, and nothing left."""
    process = start_run(lab)
    try:
        wait_until(lambda: in_a_trial(client, lab), process)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()

    assert 130 == process.returncode, output
    assert "interrupted" in output
    assert "Traceback" not in output
    assert [] == lab.containers(client)


def test_two_runs_at_once_are_refused_in_one_line(lab: LabFile, client: docker.DockerClient) -> None:
    """The second command names the first and exits 3, without touching it."""
    process = start_run(lab)
    try:
        wait_until(lambda: in_a_trial(client, lab), process)
        second = lab.run("run", "long", expect=3)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()  # whatever it was busy with: it would hold the ports of every test to come

    assert f"pid {process.pid}" in second.stderr
    assert 1 == len(second.stderr.strip().splitlines())
