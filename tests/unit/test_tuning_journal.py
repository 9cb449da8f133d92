"""Settings are journalled before they are made: killed at any step, by the journal alone they can be put back."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import EnvironmentMissing
from orchestrator.hosts import tuning
from orchestrator.hosts.tuning import Journal, restore
from orchestrator.model import Lab
from orchestrator.tune import look_back, put_back
from tests.unit.tuned_tree import BEFORE, MAPS, PIDS, WANTED, lab, root, seen, tune

__all__ = ["lab", "root"]  # pytest finds the fixtures by these names


class Killed(BaseException):
    """Stands for kill -9: nothing but the test catches it."""


def test_no_setting_is_written_before_its_journal_line_is_on_the_disk(
    lab: Lab, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each write, the last journal line names that setting and its old value, and was synced."""
    synced: list[int] = []
    really_sync, really_write = os.fsync, tuning._write

    def sync(descriptor: int) -> None:
        really_sync(descriptor)
        synced.append(journal.stat().st_size)

    def write(name: str, value: str, below: Path) -> None:
        line = json.loads(journal.read_text().splitlines()[-1])
        assert ("set", name, BEFORE[name], value) == (line["do"], line["name"], line["old"], line["new"])
        assert journal.stat().st_size in synced
        really_write(name, value, below)

    journal = lab.root / ".lab" / "tune.json"
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(tuning, "_write", write)
    tune(lab, root)

    assert seen(root) == WANTED


def dying(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], int]:
    """Die at a step: before or after any sync or write, or with half a line in the journal. Returns the steps gone."""
    count = 0
    really_sync, really_write = os.fsync, tuning._write

    def pass_step() -> None:
        nonlocal count
        count += 1
        if count == step:
            raise Killed

    def sync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "tune.json":
            size = os.fstat(descriptor).st_size
            if count + 1 == step:
                os.ftruncate(descriptor, size - 7)
        pass_step()
        really_sync(descriptor)
        pass_step()

    def write(name: str, value: str, below: Path) -> None:
        pass_step()
        really_write(name, value, below)
        pass_step()

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(tuning, "_write", write)
    return lambda: count


def test_a_killed_command_can_be_put_back_from_any_step(lab: Lab, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at each step in turn, while tuning and while restoring, the values end where they began."""
    steps = 0
    for verb in ("tune", "restore"):
        step, was_killed = 0, True
        while was_killed:  # the first step that is never reached ends it: every one before has been tried
            step += 1
            if verb == "restore":
                tune(lab, root)
            with monkeypatch.context() as patch:
                gone = dying(patch, step)
                try:
                    tune(lab, root) if verb == "tune" else put_back(lab.root, root=root)
                    was_killed = False
                except Killed:
                    steps += 1
            put_back(lab.root, root=root)

            assert was_killed == (gone() == step)
            assert seen(root) == BEFORE, (verb, step)
            assert [] == look_back(lab.root, root=root)

    assert 2 * 3 * (2 + 2 + 2) == steps  # three settings: a journal line and its folder synced, and a write, each


@pytest.mark.parametrize(
    "line",
    [
        "not JSON",
        "[]",
        '{"do": "set"}',
        '{"do": "set", "number": 0, "name": "kernel.core_pattern", "old": "x", "new": "y", "profile": "", "boot": "", '
        '"at": ""}',
        '{"do": "set", "number": 0, "name": "vm.max_map_count"}',
        '{"do": "seen", "number": 7, "new": "1"}',
    ],
)
def test_a_damaged_journal_ends_it(lab: Lab, root: Path, line: str) -> None:
    """Nothing is set or put back by a journal that cannot be trusted; the line in it is named."""
    path = lab.root / ".lab" / "tune.json"
    path.parent.mkdir()
    path.write_text(line + "\n")

    for act in (lambda: tune(lab, root), lambda: put_back(lab.root, root=root), lambda: look_back(lab.root, root=root)):
        with pytest.raises(EnvironmentMissing, match=r"tune\.json:1: expected a line that lab tune wrote"):
            act()

    assert seen(root) == BEFORE
    assert line + "\n" == path.read_text()


def test_a_journal_that_cannot_be_written_sets_nothing(lab: Lab, root: Path) -> None:
    """The promise: no setting without an entry."""
    (lab.root / ".lab" / "tune.json").mkdir(parents=True)

    with pytest.raises(EnvironmentMissing, match="the journal cannot be read: Is a directory"):
        tune(lab, root)

    assert seen(root) == BEFORE


def test_a_restore_that_is_refused_keeps_its_entries(lab: Lab, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be put back is still in the journal, and a later restore does it."""
    tune(lab, root)
    really_write = tuning._write

    def refuse(name: str, value: str, below: Path) -> None:
        if name == PIDS:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        really_write(name, value, below)

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "_write", refuse)
        with pytest.raises(EnvironmentMissing, match=r"^kernel\.pid_max: cannot be put back to '32768'"):
            restore(Journal(lab.root / ".lab" / "tune.json"), root)
    held = [h.entry.name for h in look_back(lab.root, root=root)]
    put_back(lab.root, root=root)

    assert [MAPS, PIDS] == held
    assert seen(root) == BEFORE
