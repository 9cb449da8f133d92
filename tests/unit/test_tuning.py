"""Settings are journalled before they are made, and put back as they were: on a tree that stands for /proc/sys."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from orchestrator.errors import BadInput, EnvironmentMissing
from orchestrator.hosts import tuning
from orchestrator.hosts.tuning import Journal, make_setting, read_setting, restore
from orchestrator.model import Lab
from orchestrator.tune import apply, look_ahead, look_back, profile_to_tune, put_back

MAPS, PIDS, MEM = "vm.max_map_count", "kernel.pid_max", "net.ipv4.tcp_mem"
BEFORE = {MAPS: "65530", PIDS: "32768", MEM: "1 2 3"}
WANTED = {MAPS: "262144", PIDS: "4194304", MEM: "10 20 30"}


class Killed(BaseException):
    """Stands for kill -9: nothing but the test catches it."""


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


def test_what_was_set_is_put_back_newest_first(lab: Lab, root: Path) -> None:
    """Two rounds of changes end where the first began."""
    tune(lab, root)
    assert seen(root) == WANTED

    wider = replace(lab.profiles["wide"], host={MAPS: "300000"})
    apply(lab, wider, look_ahead(wider, root=root), root=root)
    held = [(h.entry.name, h.entry.old, h.entry.new, h.state) for h in look_back(lab.root, root=root)]
    endings = [(e.entry.name, e.entry.old, e.fate) for e in put_back(lab.root, root=root)]

    assert (MAPS, "262144", "300000", "in force") == held[-1]
    assert (MAPS, "65530", "262144", "changed since") == held[0]
    assert [MAPS, MEM, PIDS, MAPS] == [name for name, _, _ in endings]
    assert {"restored"} == {fate for _, _, fate in endings}
    assert seen(root) == BEFORE
    assert [] == put_back(lab.root, root=root)


def test_looking_ahead_touches_nothing(lab: Lab, root: Path) -> None:
    """Neither a setting nor a journal."""
    changes = look_ahead(profile_to_tune(lab, "wide"), root=root)

    assert [("set", BEFORE[c.name], WANTED[c.name]) for c in changes] == [(c.action, c.now, c.becomes) for c in changes]
    assert seen(root) == BEFORE
    assert not (lab.root / ".lab").exists()


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


def test_a_value_somebody_else_changed_is_left(lab: Lab, root: Path) -> None:
    """It stays and stays journalled; --force puts it back."""
    tune(lab, root)
    (root / "vm/max_map_count").write_text("99999\n")

    fates = {e.entry.name: e.fate for e in put_back(lab.root, root=root)}
    left = seen(root)
    forced = {e.entry.name: e.fate for e in put_back(lab.root, root=root, force=True)}

    assert {MEM: "restored", PIDS: "restored", MAPS: "changed since"} == fates
    assert {**BEFORE, MAPS: "99999"} == left
    assert {MAPS: "restored"} == forced
    assert seen(root) == BEFORE


def test_after_a_restart_nothing_is_this_labs(lab: Lab, root: Path) -> None:
    """A value that looks like ours under another boot id was set by somebody else."""
    tune(lab, root)
    (root / "kernel/random/boot_id").write_text("boot-2\n")

    states = [h.state for h in look_back(lab.root, root=root)]
    fates = {e.fate for e in put_back(lab.root, root=root, force=True)}

    assert ["restarted since"] * 3 == states
    assert {"restarted"} == fates
    assert seen(root) == WANTED


def test_what_the_kernel_rounds_is_put_back_too(lab: Lab, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal knows the value the kernel made of it, and the person is told."""
    really_write = tuning._write

    def round_up(name: str, value: str, below: Path) -> None:
        really_write(name, "262208" if value == "262144" else value, below)

    monkeypatch.setattr(tuning, "_write", round_up)
    remarks = tune(lab, root)
    put_back(lab.root, root=root)

    assert ["vm.max_map_count: 262144 was written, and the kernel made 262208 of it"] == remarks
    assert seen(root) == BEFORE


def test_a_setting_the_kernel_refuses_undoes_those_before_it(
    lab: Lab, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is half done, and the line says which one it was."""
    really_write = tuning._write

    def refuse(name: str, value: str, below: Path) -> None:
        if name == MEM:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        really_write(name, value, below)

    monkeypatch.setattr(tuning, "_write", refuse)
    with pytest.raises(EnvironmentMissing, match=r"^net\.ipv4\.tcp_mem: the kernel refused '10 20 30': Inv") as told:
        tune(lab, root)

    assert str(told.value).endswith("; the 2 set before it are put back")

    assert seen(root) == BEFORE
    assert [] == look_back(lab.root, root=root)


def test_what_cannot_be_written_is_refused_before_anything_is(
    lab: Lab, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the right to write the last of three, the first is not touched either."""
    really_access = os.access
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    monkeypatch.setattr(os, "access", lambda path, mode: "tcp_mem" not in str(path) and really_access(path, mode))

    with pytest.raises(EnvironmentMissing, match=r"^net\.ipv4\.tcp_mem: cannot be set: that takes root; nothing was"):
        tune(lab, root)

    assert seen(root) == BEFORE


def test_an_absent_setting_is_named_or_skipped(lab: Lab, root: Path) -> None:
    """One line that names it and what to do; with skip_absent the others are set."""
    (root / "kernel/pid_max").unlink()
    profile = profile_to_tune(lab, "wide")
    changes = look_ahead(profile, root=root)

    with pytest.raises(EnvironmentMissing, match=r"^kernel\.pid_max is not on this kernel .*--skip-absent$"):
        apply(lab, profile, changes, root=root)
    untouched = seen(root)
    apply(lab, profile, changes, skip_absent=True, root=root)

    assert {**BEFORE, PIDS: None} == untouched
    assert {**WANTED, PIDS: None} == seen(root)


@pytest.mark.parametrize("name", ["kernel.core_pattern", "vm.max_map_count/../../../etc/passwd", "../passwd", ""])
def test_only_names_on_the_list_are_touched(root: Path, tmp_path: Path, name: str) -> None:
    """Neither read nor written, nor journalled."""
    journal = Journal(tmp_path / "tune.json")

    with pytest.raises(BadInput, match="is not a setting that lab tune touches"):
        make_setting(journal, name, "1", "wide", root)
    assert not journal.path.exists()


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


@pytest.mark.parametrize(("name", "expected"), [(None, "which profile?"), ("narrow", "no profile 'narrow'")])
def test_a_profile_must_be_named_and_known(lab: Lab, name: str | None, expected: str) -> None:
    """The line lists the profiles that ask something of the host."""
    with pytest.raises(BadInput) as told:
        profile_to_tune(lab, name)

    assert expected in str(told.value)
    assert "c100k, c1m, wide" in str(told.value)
