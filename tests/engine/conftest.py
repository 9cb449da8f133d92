"""A lab of the tests' own: its lab file lies in a temporary folder, so that its id, ports and results are its own.

Nothing of a lab that stands on this machine is touched.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from orchestrator.containers.engine import find_engine
from orchestrator.containers.labels import LAB, lab_id
from tests.engine.browser import open_browser

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = ("seed-go", "seed-c", "go-nethttp", "c-threads", "c-epoll", "py-asyncio")
FULL = ("go-nethttp", "c-threads", "c-epoll", "py-asyncio")
PORTS = {"web_port": 18089, "prometheus_port": 19090, "exporter_port": 19100}


@dataclass(frozen=True)
class LabFile:
    """A lab file in a folder of its own, and the command that reads it."""

    path: Path

    @property
    def id(self) -> str:
        return lab_id(self.path.parent)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "orchestrator.cli", "--file", str(self.path), *arguments]

    def run(self, *arguments: str, expect: int = 0, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a verb and insist on its exit code."""
        done = subprocess.run(
            self.command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert expect == done.returncode, f"lab {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def show(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run("show", "--json").stdout)
        return document

    def containers(self, client: docker.DockerClient) -> list[str]:
        """Return the names of this lab's containers, running or not."""
        found = client.containers.list(all=True, filters={"label": f"{LAB}={self.id}"}, ignore_removed=True)
        return sorted(str(c.name) for c in found)


def write_lab(folder: Path, **changes: Any) -> LabFile:
    """Write the repository's lab.yaml into a folder, with ports of the tests' own and the given sections merged in."""
    document = yaml.safe_load((ROOT / "lab.yaml").read_text())
    document["observability"].update(PORTS)
    document["grafana"] = {"use": "off"}
    # What is tested is what the lab does, not what its figures are worth: whoever else is busy voids no trial here.
    document["gate"] = {"stolen": "100%", "others": "100%"}
    document["variants"] = [{"path": str(ROOT / "servers" / name)} for name in VARIANTS]
    for section, content in changes.items():
        if isinstance(content, dict):
            document.setdefault(section, {}).update(content)
        else:
            document[section] = content
    path = folder / "lab.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return LabFile(path)


def share_wheels(lab: LabFile) -> None:
    """Let a lab use pip's downloads of the clone's own: the lock file pins them by hash."""
    wheels = ROOT / ".lab" / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    (lab.path.parent / ".lab").mkdir()
    (lab.path.parent / ".lab" / "wheels").symlink_to(wheels)


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    found = find_engine()
    assert found is not None, "no Docker engine answers; `make test` starts one (python -m tests.prepare)"
    return found


@contextmanager
def labs(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LabFile]]:
    """Give a function that writes a lab file; every lab written is taken down at the end."""
    written: list[LabFile] = []

    def make(**changes: Any) -> LabFile:
        lab = write_lab(tmp_path_factory.mktemp("lab"), **changes)
        share_wheels(lab)
        written.append(lab)
        return lab

    try:
        yield make
    finally:
        for lab in written:
            lab.run("down")
            assert [] == lab.containers(client)


@pytest.fixture(scope="module")
def make_lab(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a function that writes a lab file; every lab written is taken down at the end of the module."""
    with labs(client, tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, which keeps what its console said."""
    assert shutil.which("chromium") and shutil.which("chromedriver"), "make test installs chromium-driver"
    driver = open_browser(keeps_log=True)
    try:
        yield driver
    finally:
        driver.quit()
