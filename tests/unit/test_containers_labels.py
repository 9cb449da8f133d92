"""An owner is one process on one boot; what belongs to nobody alive is abandoned."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.containers.labels import (
    LAB,
    OWNER,
    ROLE,
    SPEC,
    STANDING,
    Owner,
    current_owner,
    is_abandoned,
    is_alive,
    lab_id,
    labels,
    owner_of,
    read_owner,
)

RUN = "20261123T082036Z-quick-ab12cd"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A live process of the test's own."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def dead_owner(purpose: str = RUN) -> Owner:
    """Return the record of a process that has ended and was waited for."""
    process = subprocess.Popen(["sleep", "60"])
    owner = owner_of(process.pid, purpose)
    process.kill()
    process.wait()
    return owner


def labels_of(owner: Owner) -> dict[str, str]:
    """Return the labels of something that belongs to an owner."""
    return labels("ab12cd34ef56", "server", owner)


def test_this_very_process_is_alive() -> None:
    """Its record names its pid and purpose."""
    owner = current_owner(RUN)

    assert (os.getpid(), RUN, True) == (owner.pid, owner.purpose, is_alive(owner))


def test_another_live_process_is_alive(child: subprocess.Popen[bytes]) -> None:
    """An owner need not be the process that asks."""
    owner = owner_of(child.pid, RUN)

    assert (child.pid, True) == (owner.pid, is_alive(owner))


def test_a_process_that_ended_is_not_alive() -> None:
    """It was alive when its record was made."""
    assert not is_alive(dead_owner())


def test_the_same_pid_on_another_boot_is_not_alive() -> None:
    """After a reboot pids are given out anew."""
    assert not is_alive(replace(current_owner(RUN), boot_id="00000000-0000-0000-0000-000000000000"))


@pytest.mark.parametrize("ticks", [-1, 1])
def test_a_reused_pid_is_not_alive(ticks: int) -> None:
    """One clock tick of difference in the start time is another process."""
    owner = current_owner(RUN)

    assert not is_alive(replace(owner, start_ticks=owner.start_ticks + ticks))


def test_a_zombie_is_not_alive() -> None:
    """A killed process whose parent never waited still has its pid and its start time."""
    with subprocess.Popen(["sleep", "60"]) as process:
        owner = owner_of(process.pid, RUN)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and left unreaped

        assert (True, False) == (Path(f"/proc/{process.pid}").exists(), is_alive(owner))


def test_a_record_made_of_a_dead_process_is_not_alive() -> None:
    """There was no start time to note."""
    gone = dead_owner()

    assert not is_alive(owner_of(gone.pid, RUN))


def test_labels_carry_the_owner_there_and_back() -> None:
    """What was written is what is read, and nothing else stands in the labels."""
    owner = Owner(RUN, "boot", 41, 12345)
    written = labels("ab12cd34ef56", "server", owner, "5bec")

    assert {LAB: "ab12cd34ef56", ROLE: "server", SPEC: "5bec", OWNER: written[OWNER]} == written
    assert owner == read_owner(written)


def test_what_lab_up_left_is_never_abandoned() -> None:
    """It outlives the command that made it."""
    assert not is_abandoned(labels_of(dead_owner(STANDING)))


def test_what_a_live_run_owns_is_not_abandoned() -> None:
    """Another command may be clearing up meanwhile."""
    assert not is_abandoned(labels_of(current_owner(RUN)))


def test_what_a_dead_run_owned_is_abandoned() -> None:
    """Nobody else will remove it."""
    assert is_abandoned(labels_of(dead_owner()))


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "null",
        "41",
        "[]",
        '"up"',
        "{}",
        json.dumps({"purpose": STANDING}),
        json.dumps({"purpose": STANDING, "boot_id": "b", "pid": 41}),
        json.dumps({"purpose": STANDING, "boot_id": "b", "pid": "many", "start_ticks": 1}),
        json.dumps({"purpose": STANDING, "boot_id": "b", "pid": None, "start_ticks": 1}),
    ],
)
def test_a_garbled_record_is_always_abandoned(record: str) -> None:
    """Even one that calls itself `lab up`'s: no owner can be told from it."""
    assert (None, True) == (read_owner({OWNER: record}), is_abandoned({OWNER: record}))


def test_without_a_record_it_is_abandoned() -> None:
    """An absent label names nobody."""
    assert (None, True) == (read_owner({}), is_abandoned({LAB: "ab12cd34ef56"}))


def test_a_clone_keeps_its_id(tmp_path: Path) -> None:
    """Twelve hex digits that do not depend on how the folder is written, and never change: containers carry them."""
    (tmp_path / "link").symlink_to(tmp_path)

    assert "8a5edab28263" == lab_id(Path("/"))
    assert lab_id(tmp_path) == lab_id(tmp_path / "link") == lab_id(tmp_path / "a" / "..")


def test_two_folders_have_two_ids(tmp_path: Path) -> None:
    """Two clones on one engine do not meet."""
    assert 2 == len({lab_id(tmp_path / "one"), lab_id(tmp_path / "two")})
