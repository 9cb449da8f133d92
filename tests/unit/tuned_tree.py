"""A tree that stands for /proc/sys, and a lab with a profile that asks for other values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from orchestrator.hosts.tuning import read_setting
from orchestrator.model import Lab
from orchestrator.tune import apply, look_ahead, profile_to_tune

MAPS, PIDS, MEM = "vm.max_map_count", "kernel.pid_max", "net.ipv4.tcp_mem"
BEFORE = {MAPS: "65530", PIDS: "32768", MEM: "1 2 3"}
WANTED = {MAPS: "262144", PIDS: "4194304", MEM: "10 20 30"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree of three settings, spelled as the kernel spells them."""
    tree = tmp_path / "sys"
    for name, value in {**BEFORE, "kernel.random.boot_id": "boot-1"}.items():
        path = tree / name.replace(".", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value.replace(" ", "\t") + "\n")
    return tree


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """The repository's lab, in a folder of its own, with one profile that asks for WANTED."""
    read = load_lab(Path(__file__).resolve().parents[2] / "lab.yaml")
    profile = replace(read.profiles["default"], name="wide", host=WANTED)
    return replace(read, root=tmp_path, profiles={**read.profiles, "wide": profile})


def seen(root: Path) -> dict[str, str | None]:
    return {name: read_setting(name, root) for name in BEFORE}


def tune(lab: Lab, root: Path) -> list[str]:
    profile = profile_to_tune(lab, "wide")
    return apply(lab, profile, look_ahead(profile, root=root), root=root)
