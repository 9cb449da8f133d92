"""One lab and one run of it for all tests of this folder."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator.observe.prometheus import SELDOM_S, query
from tests.engine.conftest import ROOT, VARIANTS, LabFile, labs
from tests.engine.panels.stand import (
    PATIENCE_S,
    PROMETHEUS,
    SCENARIOS,
    SUITES,
    Page,
    Watched,
    post,
    state,
    take_interrupts,
)


@pytest.fixture(scope="package")
def lab(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFile]:
    with labs(client, tmp_path_factory) as make_lab:
        made = make_lab(scenarios=SCENARIOS, suites=SUITES, arena={"variants": list(VARIANTS)})
        made.run("up", "--no-load", timeout_s=900)
        yield made


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = Path(os.environ.get("LAB_SCREENSHOTS") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return Page(browser, folder)


@pytest.fixture(scope="package")
def watched(lab: LabFile) -> Iterator[Watched]:
    if state()["state"] not in ("ready", "stopped"):  # the arena's own load would be ended by a run
        post("/stop")
    began_s = time.time()
    with (lab.path.parent / "watched.jsonl").open("wb") as file:
        watcher = subprocess.Popen(
            lab.command("watch", "--json"), cwd=ROOT, stdout=file, stderr=subprocess.PIPE, preexec_fn=take_interrupts
        )
        try:
            lab.run("run", "panels", timeout_s=900)
        finally:
            watcher.send_signal(signal.SIGINT)
            said = watcher.communicate(timeout=PATIENCE_S)[1]
    assert 130 == watcher.returncode, said
    run_id = str(lab.show()["run_id"])
    end_s = time.monotonic() + 2 * SELDOM_S
    while not query(PROMETHEUS, f'lab_run_info{{run_id="{run_id}",finished="yes"}}'):
        assert time.monotonic() < end_s, "the run that ended is not among the past ones"
        time.sleep(0.2)
    yield Watched(run_id, began_s, time.time())
