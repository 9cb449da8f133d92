"""Limits are read back, divided among processes, or refused; a failed build says so and leaves no stale image."""

from __future__ import annotations

import json
from typing import Any

import docker

from orchestrator.results.store import open_store
from tests.engine.conftest import ROOT, LabFile

HOLD = {
    "hold-400": {"summary": "more than one process may hold", "kind": "hold", "connections": 400, "delay": "2s",
                 "timeout": "4s"},
}  # fmt: skip


def suite(*variants: str, profile: str) -> dict[str, Any]:
    return {
        "one": {"summary": "one trial", "scenarios": ["hold-400"], "variants": list(variants), "trials": 1,
                "profile": profile, "seed": 1},
    }  # fmt: skip


def profile(nofile: int, best_effort: bool) -> dict[str, Any]:
    return {
        "tight": {"summary": "few descriptors", "sysctls": {"net.core.somaxconn": 4096}, "nofile": nofile,
                  "best_effort": best_effort, "server_cpus": "auto", "load_cpus": "auto"},
    }  # fmt: skip


def test_a_server_that_needs_more_descriptors_runs_as_several_processes(make_lab: Any) -> None:
    """400 connections, 300 descriptors per process: three servers share the port (with room for uneven hashing)."""
    lab: LabFile = make_lab(scenarios=HOLD, profiles=profile(300, False), suites=suite("c-epoll", profile="tight"))
    lab.run("run", "one", timeout_s=900)
    found = lab.show()["trials"][0]

    assert found["void"] is None
    assert 400 == found["metrics"]["connections_held"]
    assert any(note.startswith("3 server and 2 worker processes") for note in found["notes"]), found["notes"]


def test_an_ablation_takes_a_setting_back_in_the_pod_itself(make_lab: Any) -> None:
    """Read back inside: 4,096 may wait with everything tuned, 64 without it; later plans know both."""
    name, suites = "net.core.somaxconn", suite("c-epoll", profile="tight")
    suites["one"]["reverts"] = [f"{name}=64"]
    lab: LabFile = make_lab(scenarios=HOLD, profiles=profile(1024, False), suites=suites)
    lab.run("run", "one", timeout_s=900)
    with open_store(lab.path.parent / "results" / "lab.db") as store:
        trials = store.read_run(None).trials
    seen = {t.spec.reverted: b.seen for t in trials for b in t.read_backs if b.what == f"sysctl {name}"}
    kept = json.loads((lab.path.parent / ".lab" / "limits.json").read_text())["sysctls"]

    assert {"": "4096", f"{name}=64": "64"} == seen
    assert [None, None] == [trial.void for trial in trials]
    assert ("4096", "64") == (kept[f"{name}=4096"], kept[f"{name}=64"])
    assert 2 == len(kept["net.ipv4.ip_local_port_range="].split())


def test_a_limit_that_does_not_take_ends_the_run_unless_best_effort(make_lab: Any, client: docker.DockerClient) -> None:
    """More descriptors than any kernel grants by default: one line, exit 3, nothing left."""
    lab: LabFile = make_lab(
        scenarios=HOLD, profiles=profile(1_000_000_000, False), suites=suite("c-epoll", profile="tight")
    )
    done = lab.run("run", "one", expect=3, timeout_s=900)

    assert "nofile" in done.stderr.splitlines()[-1]
    assert "best_effort" in done.stderr.splitlines()[-1]
    assert [] == lab.containers(client)


def test_a_failed_build_shows_its_log_and_never_uses_an_older_image(make_lab: Any, client: docker.DockerClient) -> None:
    """A variant that compiled once and no longer does exits 3 with the compiler's words; no container is started."""
    lab: LabFile = make_lab(scenarios=HOLD, arena={"variants": ["broken"]})
    folder = lab.path.parent / "broken"
    folder.mkdir()
    for source in (ROOT / "servers" / "seed-c").iterdir():
        text = source.read_text().replace('name = "seed-c"', 'name = "broken"')
        (folder / source.name).write_text(text)
    document = lab.path.read_text()
    lab.path.write_text(document.replace("variants:\n- path:", f"variants:\n- path: {folder}\n- path:", 1))
    lab.run("build", timeout_s=900)
    server = folder / "server.c"
    server.write_text(server.read_text() + "\nthis is not C\n")
    done = lab.run("up", "--no-load", expect=3, timeout_s=900)

    assert "image broken" in done.stderr
    assert "this is not C" in done.stderr
    assert [] == lab.containers(client)
