"""What goes wrong in the middle of a trial is named and bounded in time, and nothing of it is left."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator.containers.labels import LAB, ROLE
from tests.engine.conftest import PORTS, ROOT, VARIANTS, LabFile
from tests.engine.locustfiles import FOREIGN, OWN, write
from tests.engine.turncoat import make_turncoat

WEB = f"http://127.0.0.1:{PORTS['web_port']}"
DEADLINE_S = 120.0
NOTICED_S = 6.0  # from the kill of a worker until its trial is void and its pod is gone

SCENARIOS: dict[str, Any] = {
    "steady": {
        "summary": "long enough to be disturbed", "kind": "closed", "path": "/plain", "connections": 20,
        "warmup": "500ms", "measure": "8s", "timeout": "2s",
    },
    "short": {
        "summary": "short", "kind": "closed", "path": "/plain", "connections": 20, "warmup": "500ms", "measure": "2s",
        "timeout": "2s",
    },
    "short-locust": {
        "summary": "short", "kind": "closed", "path": "/plain", "connections": 20, "warmup": "500ms", "measure": "2s",
        "timeout": "2s", "users": "locust",
    },
}  # fmt: skip
SUITES = {
    "pair": {
        "summary": "two trials, one of them long", "scenarios": ["steady"], "variants": ["c-epoll"], "trials": 2,
        "profile": "default", "seed": 1,
    },
    "bad": {
        "summary": "a server that turns bad", "scenarios": ["short", "short-locust"], "variants": ["turncoat"],
        "trials": 1, "profile": "default", "seed": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def lab(make_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> LabFile:
    turncoat = make_turncoat(tmp_path_factory.mktemp("servers"))
    variants = [{"path": str(ROOT / "servers" / name)} for name in VARIANTS] + [{"path": str(turncoat)}]
    made: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES, variants=variants, arena={"variants": ["c-epoll"]})
    made.run("build", timeout_s=900)
    return made


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> Any:
    """Return what the condition returned once it was true."""
    end_s = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert process is None or process.poll() is None, process.communicate()[0] if process else ""
        assert time.monotonic() < end_s, "it did not get there in time"
        time.sleep(0.05)
    return found


def start_run(lab: LabFile, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        lab.command("run", *arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def pod_members(lab: LabFile, client: docker.DockerClient, trial: str) -> list[Any]:
    found = client.containers.list(filters={"label": f"{LAB}={lab.id}"}, ignore_removed=True)
    return [c for c in found if f"-{trial}" in str(c.name)]


def under_load(lab: LabFile, client: docker.DockerClient, trial: str) -> bool:
    """Whether the swarm has answers of this trial: its load has begun."""
    if not any(c.labels.get(ROLE) == "worker" for c in pod_members(lab, client, trial)):
        return False
    state = ask("/lab/state")
    return bool(state["state"] == "running" and state["connections"]["established"])


def ask(path: str, form: dict[str, Any] | None = None) -> Any:
    data = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(WEB + path, data=data, timeout=10) as answer:
            return json.load(answer)
    except OSError:
        return {"state": "gone", "connections": {"established": 0}, "workers": []}


def kill(lab: LabFile, client: docker.DockerClient, trial: str, role: str) -> str:
    (victim,) = [c for c in pod_members(lab, client, trial) if c.labels.get(ROLE) == role]
    victim.kill(signal="SIGKILL")
    return str(victim.name)


def test_a_worker_killed_in_the_middle_voids_its_trial_and_the_run_goes_on(
    lab: LabFile, client: docker.DockerClient
) -> None:
    """Within six seconds of the kill the trial is void with the reason and its pod is gone; the next one is sound."""
    process = start_run(lab, "pair")
    try:
        wait_until(lambda: under_load(lab, client, "t000"), process)
        killed_s = time.monotonic()
        name = kill(lab, client, "t000", "worker")
        wait_until(lambda: not pod_members(lab, client, "t000"), process)
        gone_s = time.monotonic() - killed_s
        output, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    first, second = lab.show()["trials"]

    assert gone_s < NOTICED_S
    assert f"{name} ended during the trial with exit code 137; the trial was broken off" in first["void"]
    assert "the trial was broken off" == first["missing"]["throughput_per_s"]
    assert second["void"] is None
    assert 0 == process.returncode, output
    assert "exit code 137" in output
    assert [] == lab.containers(client)


def test_a_run_without_a_sound_trial_ends_with_4(lab: LabFile, client: docker.DockerClient) -> None:
    """The only trial's worker is killed: the table has its reason, and the exit code says undecided."""
    process = start_run(lab, "pair", "--trials", "1")
    try:
        wait_until(lambda: under_load(lab, client, "t000"), process)
        kill(lab, client, "t000", "worker")
        output, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()

    assert 4 == process.returncode, output
    assert "too few valid trials: c-epoll on steady" in output
    assert "void: c-epoll trial 1: " in output
    assert "Traceback" not in output


def test_a_server_that_dies_is_named_and_its_errors_have_kinds(lab: LabFile, client: docker.DockerClient) -> None:
    """What was answered before stays counted, what was refused after has its errno, and nothing hangs."""
    process = start_run(lab, "pair", "--trials", "1")
    try:
        wait_until(lambda: under_load(lab, client, "t000"), process)
        time.sleep(1.5)  # into the window, so that both sides of the death are in it
        name = kill(lab, client, "t000", "server")
        output, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    (trial,) = lab.show()["trials"]

    assert 4 == process.returncode, output
    assert f"{name} ended during the trial with exit code 137" in trial["void"]
    assert trial["metrics"]["requests"] > sum(trial["metrics"]["errors"].values()) > 0
    assert any(kind.startswith("ECONNREFUSED in connect") for kind in trial["metrics"]["errors"])


def test_garbage_is_counted_as_malformed_by_both_kinds_of_users(lab: LabFile) -> None:
    """A server that turns bad after its first thousand answers: errors by kind, no hang, no crash."""
    done = lab.run("run", "bad", expect=4, timeout_s=300)
    trials = {t["scenario"]: t for t in lab.show()["trials"]}

    assert {"short", "short-locust"} == set(trials)
    for name, trial in trials.items():
        assert "malformed answer" in trial["metrics"]["errors"] or "malformed answer" in str(trial["void"]), name
        assert "ended during the trial" not in (trial["void"] or ""), name
    assert "malformed" in done.stdout


def test_a_persons_own_locustfile_loads_a_variant(lab: LabFile, tmp_path: Path, client: docker.DockerClient) -> None:
    """Its requests are in the table and, by the names it gave them, in a note; its waiting voids nothing.

    One of its five is an EngineUser: four that ask 20 times a second do not come to a thousand answers in 3 s.
    """
    path = write(tmp_path, OWN)
    done = lab.run("run", "--locustfile", path, "--variant", "go-nethttp", "--users", "5", "--time", "3s")
    (trial,) = lab.show()["trials"]

    assert ("go-nethttp", "locust", None) == (trial["variant"], trial["users"], trial["void"])
    assert {} == trial["metrics"]["errors"]
    assert trial["metrics"]["requests"] > 1000
    assert any("/plain" in note and "/delay" in note for note in trial["notes"] if note.startswith("answers by name"))
    assert "closed loop" not in trial["notes"]
    assert "go-nethttp" in done.stdout
    assert [] == lab.containers(client)
    assert [] == list((lab.path.parent / ".lab").glob("own-*"))


def test_a_foreign_host_in_a_locustfile_is_refused_by_the_worker(lab: LabFile, tmp_path: Path) -> None:
    """No packet leaves for it, the run says so, and ends with 4."""
    done = lab.run("run", "--locustfile", write(tmp_path, FOREIGN), "--users", "2", "--time", "3s", expect=4)
    (trial,) = lab.show()["trials"]

    assert trial["void"].startswith("target refused: 192.0.2.1:80 is no checked target of this lab")
    assert "target refused: 192.0.2.1" in done.stdout


def test_a_locustfile_that_cannot_be_imported_is_named_with_its_line(lab: LabFile, tmp_path: Path) -> None:
    """It compiles, so it is seen in the worker only, whose last words are the reason."""
    path = write(tmp_path, "import a_module_that_nobody_has\n")
    lab.run("run", "--locustfile", path, "--users", "2", "--time", "3s", expect=4)
    (trial,) = lab.show()["trials"]

    assert "a worker ended before the load began" in trial["void"]
    assert "mine.py:1: ModuleNotFoundError" in trial["void"]


@pytest.fixture(scope="module")
def standing(lab: LabFile, client: docker.DockerClient) -> Iterator[LabFile]:
    """The lab with its page and an arena of one variant; the tests before this one want none standing."""
    lab.run("up", "--no-load", timeout_s=600)
    yield lab
    lab.run("down")
    assert [] == lab.containers(client)


def load_the_arena() -> None:
    """Start a swarm of one engine user as the page does, see it connected and answered, and stop it."""
    wait_until(lambda: "ready" in [w["state"] for w in ask("/lab/state")["workers"]])
    form = {"user_count": 1, "spawn_rate": 1, "scenario": "short", "variants": "c-epoll", "connections_per_user": 20}
    started = ask("/swarm", form)
    assert started.get("success"), started
    wait_until(lambda: ask("/lab/state")["connections"]["established"] == 20)
    wait_until(lambda: any(row["num_requests"] > 1000 for row in ask("/stats/requests")["stats"]))
    ask("/stop", {})
    wait_until(lambda: ask("/lab/state")["state"] in ("ready", "stopped"))


def test_a_master_that_was_killed_and_restarted_has_its_worker_back(
    standing: LabFile, client: docker.DockerClient
) -> None:
    """The arena can be loaded again from its page, without another `lab up`."""
    master = client.containers.get(f"netpoll-lab-{standing.id}-master")
    master.kill(signal="SIGKILL")
    master.restart(timeout=5)

    load_the_arena()


def test_a_run_beyond_the_arena_leaves_it_as_it_was(standing: LabFile, tmp_path: Path) -> None:
    """The master was told of another variant and another scenario; afterwards its page offers its own again."""
    path = write(tmp_path, OWN)
    standing.run("run", "--locustfile", path, "--variant", "go-nethttp", "--users", "2", "--time", "2s")
    load_the_arena()

    assert "variants: 'go-nethttp' is unknown" in ask("/swarm", {"user_count": 1, "variants": "go-nethttp"})["message"]
    assert "scenario: 'locustfile' is unknown" in ask("/swarm", {"user_count": 1, "scenario": "locustfile"})["message"]
