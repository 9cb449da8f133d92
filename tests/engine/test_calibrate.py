"""`lab tune --calibrate` in real pods: its figures are kept, and plans are made with them."""

from __future__ import annotations

import json
from typing import Any

import docker
import pytest

from tests.engine.conftest import LabFile


def test_a_calibration_is_measured_kept_and_planned_with(make_lab: Any, client: docker.DockerClient) -> None:
    """Sizes any machine must show, no run in the store, a standing lab left as it was, bounds that say calibrated."""
    lab: LabFile = make_lab(arena={"variants": ["c-epoll"]})
    lab.run("up", "--no-load", timeout_s=900)
    standing = lab.containers(client)
    done = lab.run("tune", "--calibrate", "--variant", "c-epoll")
    kept = json.loads((lab.path.parent / ".lab" / "calibration.json").read_text())
    trials = json.loads(lab.run("plan", "quick", "--json").stdout)["trials"]
    calibrated = {t["variant"] for t in trials for b in t["bounds"] if b["name"] == "memory" and b["calibrated"]}
    server, engine, locust = kept["variants"]["c-epoll"], kept["generators"]["engine"], kept["generators"]["locust"]

    assert "One connection costs the server" in done.stdout
    assert ["c-epoll"] == list(kept["variants"])
    assert 64 < server["user_bytes"] < 2048  # a struct of a few hundred bytes; no buffer, no stack
    assert 800 < server["kernel_bytes"] < 8192  # a socket, its file and its watch
    assert engine["user_bytes"] < locust["user_bytes"]  # a slot of the engine, a greenlet and its objects
    assert engine["opens_per_core_s"] > 0
    assert {"c-epoll"} == calibrated
    assert not (lab.path.parent / "results").exists()
    assert standing == lab.containers(client)
    worker, master = (client.containers.get(f"netpoll-lab-{lab.id}-{name}") for name in ("arena-worker-0", "master"))
    addresses = [network["IPAddress"] for network in master.attrs["NetworkSettings"]["Networks"].values()]
    assert worker.attrs["Args"][-1] in addresses  # --master-host: the master was replaced twice meanwhile
    assert "calibrate" not in json.dumps(master.attrs["Config"]["Env"])


@pytest.mark.parametrize(("name", "code"), [("seed-c", 2), ("nobody", 2)])
def test_who_cannot_be_calibrated_is_refused_at_once(make_lab: Any, name: str, code: int) -> None:
    """Before anything is built or started."""
    lab: LabFile = make_lab()
    done = lab.run("tune", "--calibrate", "--variant", name, expect=code, timeout_s=30)

    assert f"{name}" in done.stderr
    assert "calibrated; write one of: " in done.stderr
