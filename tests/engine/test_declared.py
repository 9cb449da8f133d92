"""What a manifest declares reaches the containers and the tables: refusals, walls, processes, seccomp."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator.units import parse_cpu_list
from tests.engine.conftest import ROOT, VARIANTS, LabFile

# One whose technique is refused wherever it runs: what it says is all there is of it.
REFUSER = """#!/usr/bin/python3
import sys
print("a word about something else", file=sys.stderr)
print("unsupported: time_travel: ENOSYS, no kernel has it", file=sys.stderr)
sys.exit(3)
"""
MANIFEST = """name = "refuser"
summary = "refuses to run"
language = "python"
technique = "time travel"
runtime = "python"
speaks = "http"
"""
SAID = "unsupported: time_travel: ENOSYS, no kernel has it"
# Half a second of opening, then two seconds with all open that can be.
BEYOND = {"kind": "hold", "connections": 1500, "delay": "3s", "timeout": "2s"}


@pytest.fixture(scope="module")
def lab(make_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> LabFile:
    folder: Path = tmp_path_factory.mktemp("outside") / "refuser"
    folder.mkdir()
    (folder / "server.py").write_text(REFUSER)
    (folder / "variant.toml").write_text(MANIFEST)
    names = (*VARIANTS, "c-select", "c-uring", "c-epoll-reuseport")
    made: LabFile = make_lab(
        variants=[{"path": str(folder)}, *({"path": str(ROOT / "servers" / name)} for name in names)],
        scenarios={"beyond": BEYOND},
        arena={"variants": ["c-epoll", "refuser"]},
    )
    return made


def test_a_refused_technique_is_shown_and_is_no_failure(lab: LabFile) -> None:
    """The line stands below the table; the run's exit code is that of the others."""
    done = lab.run("run", "first-light@c-epoll,refuser")
    voids = {trial["variant"]: trial["void"] for trial in lab.show()["trials"]}

    assert {"c-epoll": None, "refuser": SAID} == voids
    assert f"unsupported here: refuser: {SAID.removeprefix('unsupported: ')}" in done.stdout
    assert "void" not in done.stdout


def test_a_run_of_nothing_else_is_undecided(lab: LabFile) -> None:
    """It measured nothing, and says so with its exit code."""
    done = lab.run("run", "first-light@refuser", expect=4)

    assert "lab: undecided: too few valid trials: refuser on first-light" in done.stderr


def test_a_wall_is_met_and_named(lab: LabFile) -> None:
    """1,500 are asked for, FD_SETSIZE ends select() at some thousand: a result, with the manifest's words."""
    done = lab.run("run", "beyond@c-select,c-epoll")
    select, epoll = ({t["variant"]: t for t in lab.show()["trials"]}[name] for name in ("c-select", "c-epoll"))
    held = select["metrics"]["connections_held"]

    assert (None, None) == (select["void"], epoll["void"])
    assert 900 <= held <= 1024
    assert 1500 == held + select["metrics"]["connections_failed"]
    assert 1500 == epoll["metrics"]["connections_held"]
    said = " ".join(done.stdout.split())  # a long line wraps
    assert f"wall: FD_SETSIZE: descriptors stay below 1,024: {held:,} of 1,500 connections held (c-select)" in said
    assert [] == [note for note in epoll["notes"] if "wall" in note]


def test_the_arena_has_what_the_manifests_ask_for(lab: LabFile, client: docker.DockerClient) -> None:
    """A seccomp profile on its container, the number of processes in its environment, a refusal beside the others."""
    done = lab.run("up", "--no-load", "--variant", "c-uring", "--variant", "c-epoll-reuseport", timeout_s=900)
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    uring, own = (
        client.containers.get(f"netpoll-lab-{lab.id}-arena-{name}").attrs for name in ("c-uring", "c-epoll-reuseport")
    )
    profiles = [option for option in uring["HostConfig"]["SecurityOpt"] if option.startswith("seccomp=")]
    environment = dict(entry.split("=", 1) for entry in own["Config"]["Env"])
    lab.run("down")

    declared = json.loads((ROOT / "servers" / "c-uring" / "seccomp.json").read_text())
    assert [declared] == [json.loads(option.removeprefix("seccomp=")) for option in profiles]
    assert len(parse_cpu_list(own["HostConfig"]["CpusetCpus"])) == int(environment["LAB_PROCESSES"])
    assert "unsupported:" in rows["refuser"]  # and the rest of it in the lines below, as wide as the terminal is
    assert "verified" in rows["c-epoll-reuseport"]
