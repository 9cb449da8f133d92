"""`lab tune` on this machine's own kernel: one harmless setting is raised and put back, also after a kill.

Needs root and a writable /proc/sys; a machine that lacks them skips with the reason.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.conftest import ROOT, LabFile, write_lab

NAME = "vm.max_map_count"
SETTING = Path("/proc/sys/vm/max_map_count")
# Ends itself for good where it would write: the journal has its line, the kernel does not have the value.
DYING = """
import os, signal
from orchestrator import cli
from orchestrator.hosts import tuning
tuning._write = lambda *told: os.kill(os.getpid(), signal.SIGKILL)
cli.main()
"""


@pytest.fixture
def before() -> Iterator[int]:
    """The value found; it is put back at the end whatever the lab did."""
    if not os.access(SETTING, os.W_OK) or os.statvfs(SETTING).f_flag & os.ST_RDONLY:
        pytest.skip(f"{SETTING} cannot be written here")
    value = SETTING.read_text()
    yield int(value)
    SETTING.write_text(value)


@pytest.fixture
def lab(tmp_path: Path, before: int) -> LabFile:
    """A lab with a profile that asks for a little more than there is."""
    profile = {"summary": "a little more", "nofile": 1024, "host": {NAME: before + 7, "kernel.pid_max": 1024}}
    return write_lab(tmp_path, profiles={"more": profile})


def status(lab: LabFile) -> list[dict[str, str]]:
    document: list[dict[str, str]] = json.loads(lab.run("tune", "--status", "--json").stdout)
    return document


def test_a_setting_is_shown_made_and_put_back(lab: LabFile, before: int) -> None:
    """Without --yes nothing changes; with it the kernel has the new value; --restore gives the old one back."""
    shown = json.loads(lab.run("tune", "more", "--json").stdout)
    untouched = int(SETTING.read_text())
    lab.run("tune", "more", "--yes")
    made = int(SETTING.read_text())
    held = status(lab)
    put_back = lab.run("tune", "--restore").stdout

    assert [("set", str(before), str(before + 7))] == [
        (c["action"], c["now"], c["becomes"]) for c in shown["changes"] if c["name"] == NAME
    ]
    assert ["higher"] == [c["action"] for c in shown["changes"] if c["name"] == "kernel.pid_max"]
    assert (before, before + 7) == (untouched, made)
    assert [(NAME, "in force")] == [(h["name"], h["state"]) for h in held]
    assert f"{NAME}: {before} again, was {before + 7}\n" == put_back
    assert before == int(SETTING.read_text())
    assert [] == status(lab)


@pytest.mark.parametrize(("verb", "made"), [("tune", False), ("restore", True)])
def test_a_killed_command_can_be_put_back(lab: LabFile, before: int, verb: str, made: bool) -> None:
    """Killed between journal and kernel, while tuning or while restoring, the old value comes back."""
    if verb == "restore":
        lab.run("tune", "more", "--yes")
    arguments = ["--restore"] if verb == "restore" else ["more", "--yes"]
    command = [sys.executable, "-c", DYING, "--file", str(lab.path), "tune", *arguments]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    left = int(SETTING.read_text())
    states = [h["state"] for h in status(lab)]
    lab.run("tune", "--restore")

    assert -signal.SIGKILL == killed.returncode
    assert (before + 7 if made else before) == left
    assert ["in force" if made else "not made"] == states
    assert before == int(SETTING.read_text())
    assert [] == status(lab)


def test_what_somebody_else_changed_is_left_and_named(lab: LabFile, before: int) -> None:
    """Exit 3 and the name; with --force the old value comes back."""
    lab.run("tune", "more", "--yes")
    SETTING.write_text(str(before + 9))
    refused = lab.run("tune", "--restore", expect=3)
    left = int(SETTING.read_text())
    lab.run("tune", "--restore", "--force")

    assert f"lab: {NAME}: changed by somebody else since, and left" in refused.stderr
    assert before + 9 == left
    assert before == int(SETTING.read_text())


def test_a_read_only_proc_is_named_and_nothing_is_changed(lab: LabFile, before: int) -> None:
    """Where /proc/sys is mounted read-only, as in a container, the verb ends with 3 and says so."""
    mount = "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys"
    inner = lab.command("tune", "more", "--yes")
    command = ["unshare", "-m", "sh", "-c", f'{mount} || exit 77; exec "$@"', "sh", *inner]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"no mount namespace to be had: {done.stderr.strip()}")

    assert 3 == done.returncode, done.stderr
    assert f"lab: {NAME}: cannot be set: /proc/sys is read-only here, as in a container; nothing was" in done.stderr
    assert before == int(SETTING.read_text())
    assert [] == status(lab)
