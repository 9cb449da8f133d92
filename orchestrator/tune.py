"""Raise the host's own limits to what a profile asks for, say what would change first, and put everything back.

The one verb that changes the machine itself. Every change is journalled before it is made (hosts/tuning.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import BadInput, EnvironmentMissing
from orchestrator.hosts.tuning import (
    ROOT,
    Ending,
    Entry,
    Journal,
    make_setting,
    read_boot,
    read_setting,
    refuse_writing,
    restore,
)
from orchestrator.lock import only_one
from orchestrator.model import Lab, Profile
from orchestrator.planning.hostsettings import Change, decide
from orchestrator.up import state_folder


@dataclass(frozen=True, slots=True)
class Held:
    """One setting that the journal says is this lab's, and what stands there now."""

    entry: Entry
    now: str | None
    state: str  # "in force", "not made", "changed since", "restarted since"


def journal_of(lab_root: Path) -> Journal:
    """Return the journal of a lab. lab_root: the lab file's folder."""
    return Journal(state_folder(lab_root) / "tune.json")


def profile_to_tune(lab: Lab, name: str | None) -> Profile:
    """Return the profile whose host settings are meant. Raises BadInput naming those that have any."""
    having = ", ".join(sorted(p.name for p in lab.profiles.values() if p.host)) or "none"
    if name is None:
        raise BadInput(f"lab tune PROFILE: which profile? With settings of the host's: {having}")
    if name not in lab.profiles:
        raise BadInput(f"{lab.path}: no profile '{name}'; with settings of the host's: {having}")
    return lab.profiles[name]


def look_ahead(profile: Profile, *, lower: bool = False, root: Path = ROOT) -> list[Change]:
    """Return what applying a profile would change; nothing is touched."""
    return decide(profile.host, {name: read_setting(name, root) for name in profile.host}, lower)


def apply(
    lab: Lab, profile: Profile, changes: list[Change], *, skip_absent: bool = False, root: Path = ROOT
) -> list[str]:
    """Make the changes and return a line for each setting that came out other than asked.

    All or nothing: what can be known before is checked before, and where the kernel refuses one in the middle, those
    made before it are put back. Raises EnvironmentMissing, also while another command is at work on this lab.
    """
    with only_one(state_folder(lab.root), "tune"):
        journal = journal_of(lab.root)
        known = journal.open_entries()  # a damaged journal ends it here
        _refuse(changes, skip_absent, root)
        first = 1 + max((entry.number for entry in known), default=-1)
        remarks = []
        try:
            for change in changes:
                if change.action == "set":
                    seen = make_setting(journal, change.name, change.becomes, profile.name, root)
                    if seen != change.becomes:
                        remarks.append(f"{change.name}: {change.becomes} was written, and the kernel made {seen} of it")
        except EnvironmentMissing as error:
            undone = [ending for ending in restore(journal, root, since=first) if ending.fate == "restored"]
            tail = f"; the {len(undone)} set before it are put back" if undone else "; nothing was changed"
            raise EnvironmentMissing(f"{error}{tail}") from None
        except KeyboardInterrupt:
            restore(journal, root, since=first)
            raise
        return remarks


def _refuse(changes: list[Change], skip_absent: bool, root: Path) -> None:
    absent = [change.name for change in changes if change.action == "absent"]
    if absent and not skip_absent:
        verb = "is" if len(absent) == 1 else "are"
        raise EnvironmentMissing(
            f"{', '.join(absent)} {verb} not on this kernel (a module such as nf_conntrack may be missing); nothing "
            "was changed. Load it, or go on without: --skip-absent"
        )
    for change in changes:
        why = refuse_writing(change.name, root) if change.action == "set" else None
        if why is not None:
            raise EnvironmentMissing(
                f"{change.name}: cannot be set: {why}; nothing was changed. Run lab tune as root on the host itself"
            )


def put_back(lab_root: Path, *, force: bool = False, root: Path = ROOT) -> list[Ending]:
    """Put back what the journal says, newest first. force: also what somebody else changed since."""
    with only_one(state_folder(lab_root), "tune --restore"):
        return restore(journal_of(lab_root), root, force=force)


def look_back(lab_root: Path, *, root: Path = ROOT) -> list[Held]:
    """Return the settings not yet put back, oldest first, and whether they still are what was set."""
    held = []
    for entry in journal_of(lab_root).open_entries():
        now = read_setting(entry.name, root)
        state = "in force" if now == entry.new else "not made" if now == entry.old else "changed since"
        held.append(Held(entry, now, "restarted since" if entry.boot != read_boot(root) else state))
    return held
