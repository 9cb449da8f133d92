"""Settings are made together or not at all, and put back as they were: on a tree that stands for /proc/sys."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import BadInput, EnvironmentMissing
from orchestrator.hosts import tuning
from orchestrator.hosts.tuning import Journal, make_setting
from orchestrator.model import Lab
from orchestrator.tune import apply, look_ahead, look_back, profile_to_tune, put_back
from tests.unit.tuned_tree import BEFORE, MAPS, MEM, PIDS, WANTED, lab, root, seen, tune

__all__ = ["lab", "root"]  # pytest finds the fixtures by these names


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


@pytest.mark.parametrize(("name", "expected"), [(None, "which profile?"), ("narrow", "no profile 'narrow'")])
def test_a_profile_must_be_named_and_known(lab: Lab, name: str | None, expected: str) -> None:
    """The line lists the profiles that ask something of the host."""
    with pytest.raises(BadInput) as told:
        profile_to_tune(lab, name)

    assert expected in str(told.value)
    assert "c100k, c1m, wide" in str(told.value)
