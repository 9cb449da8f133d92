"""Set the host's own settings, and put them back: /proc/sys and a journal, .lab/tune.json.

No setting is touched before a line of the journal that says what it was is on the disk, so a command killed between
any two steps leaves a machine that `restore` can put back. The journal only grows: one JSON object in a line, a
setting that was made or what became of one. Names outside config.sysctls.HOST are refused, in a journal too.
Source: proc_sys(5), Documentation/admin-guide/sysctl/.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from orchestrator.config.sysctls import HOST
from orchestrator.errors import BadInput, EnvironmentMissing

ROOT = Path("/proc/sys")

Fate = Literal["restored", "never made", "restarted", "changed since"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting that was about to be made."""

    number: int  # position among the journal's settings, from 0
    name: str
    old: str
    new: str  # as the kernel shows it, where it rounds
    profile: str
    boot: str  # the kernel's boot id: values do not outlive it
    at: str  # UTC; a label


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of one journalled setting."""

    entry: Entry
    fate: Fate
    seen: str | None  # the value found


class Journal:
    """What was changed on this machine by this lab, and what of it was put back."""

    def __init__(self, path: Path):
        self.path = path

    def open_entries(self) -> list[Entry]:
        """Return the settings not yet put back, oldest first. Raises EnvironmentMissing for a damaged journal."""
        made: dict[int, Entry] = {}
        for line, record in self._records():
            try:
                number = int(record["number"])
                if record["do"] == "set":
                    texts = [str(record[key]) for key in ("name", "old", "new", "profile", "boot", "at")]
                    made[number] = Entry(number, *texts)
                elif record["do"] == "seen":
                    made[number] = Entry(**{**asdict(made[number]), "new": str(record["new"])})
                else:
                    made.pop(number, None)
            except (KeyError, TypeError, ValueError):
                raise self._damaged(line) from None
            if number in made and made[number].name not in HOST:
                raise self._damaged(line)
        return [made[number] for number in sorted(made)]

    def begin(self, name: str, old: str, new: str, profile: str, boot: str) -> Entry:
        """Put down that a setting is about to be made; it is on the disk when this returns."""
        number = 1 + max((int(record["number"]) for _, record in self._records()), default=-1)
        entry = Entry(number, name, old, new, profile, boot, datetime.now(UTC).isoformat(timespec="seconds"))
        self._append({"do": "set", **asdict(entry)})
        return entry

    def note_seen(self, entry: Entry, value: str) -> None:
        """Put down what the kernel made of the value written, where it made something else of it."""
        self._append({"do": "seen", "number": entry.number, "new": value})

    def end(self, entry: Entry, fate: Fate) -> None:
        """Put down that nothing of a setting is left to be put back."""
        self._append({"do": fate, "number": entry.number})

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for line, text in enumerate(self._whole().splitlines(), start=1):
            try:
                record = json.loads(text)
            except ValueError:
                raise self._damaged(line) from None
            if not isinstance(record, dict) or not isinstance(record.get("number"), int):
                raise self._damaged(line)
            yield line, record

    def _whole(self) -> bytes:
        """Return every whole line. A last one without its end was being written when its command was killed: what it
        announces was not done."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise EnvironmentMissing(f"{self.path}: the journal cannot be read: {error.strerror}") from None
        return data[: data.rfind(b"\n") + 1]

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.truncate(len(self._whole()))
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)  # the file's name, should it be new
            finally:
                os.close(folder)
        except OSError as error:
            raise EnvironmentMissing(
                f"{self.path}: the journal cannot be written: {error.strerror}; nothing is set without it"
            ) from None

    def _damaged(self, line: int) -> EnvironmentMissing:
        return EnvironmentMissing(
            f"{self.path}:{line}: expected a line that lab tune wrote, saw a damaged one. Nothing was changed. Read "
            "the old values out of it, set them with sysctl -w, then remove the file"
        )


def read_setting(name: str, root: Path = ROOT) -> str | None:
    """Return a setting with one space between its numbers; None where this kernel does not have it.

    Raises EnvironmentMissing where it is there and cannot be read.
    """
    try:
        return " ".join(_path(name, root).read_text(encoding="ascii").split())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentMissing(f"{name}: cannot be read: {error}. Try: sysctl {name}") from None


def refuse_writing(name: str, root: Path = ROOT) -> str | None:
    """Return why a setting could not be written, in words; None when it can. Nothing is touched."""
    path = _path(name, root)
    if os.access(path, os.W_OK):
        return None
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{root} is read-only here, as in a container"
    return "that takes root" if os.geteuid() else "the kernel does not let it be written"


def read_boot(root: Path = ROOT) -> str:
    """Return the kernel's boot id, or "" where it has none to tell."""
    with contextlib.suppress(OSError):
        return (root / "kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def make_setting(journal: Journal, name: str, value: str, profile: str, root: Path = ROOT) -> str:
    """Journal a setting, then write it, and return what the kernel made of it. Raises EnvironmentMissing."""
    old = read_setting(name, root)
    if old is None:
        raise EnvironmentMissing(f"{name}: this kernel does not have it")
    entry = journal.begin(name, old, value, profile, read_boot(root))
    try:
        _write(name, value, root)
    except OSError as error:
        journal.end(entry, "never made")
        raise EnvironmentMissing(f"{name}: the kernel refused '{value}': {error.strerror}") from None
    seen = read_setting(name, root) or ""
    if seen != value:
        journal.note_seen(entry, seen)
    return seen


def restore(journal: Journal, root: Path = ROOT, *, force: bool = False, since: int = 0) -> list[Ending]:
    """Put back what the journal says, newest first, and return what became of each setting.

    A value that is neither what was set nor what was before belongs to somebody else now, and stays unless `force`.
    since: only the settings of this number and above. Raises EnvironmentMissing at the first that cannot be written;
    those before it are done and journalled.
    """
    endings = []
    for entry in reversed([entry for entry in journal.open_entries() if entry.number >= since]):
        seen = read_setting(entry.name, root)
        fate: Fate
        if entry.boot != read_boot(root):
            fate = "restarted"
        elif seen == entry.old:
            fate = "never made"  # killed before it was written, or put back by hand or by a killed restore
        elif seen == entry.new or (force and seen is not None):
            try:
                _write(entry.name, entry.old, root)
            except OSError as error:
                why = refuse_writing(entry.name, root) or error.strerror
                raise EnvironmentMissing(
                    f"{entry.name}: cannot be put back to '{entry.old}': {why}. The journal keeps it: {journal.path}"
                ) from None
            fate = "restored"
        else:
            fate = "changed since"
        if fate != "changed since":
            journal.end(entry, fate)
        endings.append(Ending(entry, fate, seen))
    return endings


def _path(name: str, root: Path) -> Path:
    if name not in HOST:
        raise BadInput(f"{name}: is not a setting that lab tune touches; it touches {', '.join(sorted(HOST))}")
    return root / name.replace(".", "/")


def _write(name: str, value: str, root: Path) -> None:
    """The only place that writes below /proc/sys. One write(2): the kernel takes a value whole or not at all."""
    descriptor = os.open(_path(name, root), os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, value.encode("ascii") + b"\n")
    finally:
        os.close(descriptor)
