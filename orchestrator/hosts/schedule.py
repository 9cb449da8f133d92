"""Have this machine run the nightly: a systemd timer, or a line in the user's crontab. Shown first, written when asked.

Only what carries this lab's mark is ever replaced or removed. The texts are made here too, because what systemd and
cron make of a character is their business: systemd.service(5), systemd.syntax(7), systemd.time(7), crontab(5).
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.errors import EnvironmentMissing

Way = Literal["systemd", "cron"]

_SYSTEM_UNITS = Path("/etc/systemd/system")
_RUNNING = Path("/run/systemd/system")  # sd_booted(3): there when systemd is this machine's init
_COMMAND_S = 30.0  # crontab and systemctl answer at once; one that hangs must not hang us


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run every night, and for which lab."""

    lab: str  # the clone's id: the mark
    root: Path  # the lab file's folder
    command: tuple[str, ...]  # absolute, with its arguments
    at: str  # "02:30"
    log: Path  # where cron's output goes; systemd has its journal


@dataclass(frozen=True, slots=True)
class Unit:
    """A file of systemd's."""

    path: Path
    text: str


def choose_way(asked: Way | None) -> Way:
    """Return the scheduler to use: the one asked for, or what this machine has. Raises EnvironmentMissing for none."""
    has = {
        "systemd": bool(shutil.which("systemctl")) and _RUNNING.is_dir(),
        "cron": bool(shutil.which("crontab")),
    }
    if asked is not None:
        if has[asked]:
            return asked
        what = "a running systemd" if asked == "systemd" else "the command crontab (Debian: apt-get install cron)"
        raise EnvironmentMissing(f"--{asked}: this machine has not {what}. {_BY_HAND}")
    if has["systemd"]:
        return "systemd"
    if has["cron"]:
        return "cron"
    raise EnvironmentMissing(f"neither a running systemd nor the command crontab is here. {_BY_HAND}")


_BY_HAND = "docs/nightly.md says what to run by other schedulers"


# --- systemd --------------------------------------------------------------------------------------------------------


def units_folder() -> Path:
    """Return where units of this user belong: the machine's for root, the user's own otherwise."""
    if os.geteuid() == 0:
        return _SYSTEM_UNITS
    configured = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configured) if configured else Path.home() / ".config") / "systemd" / "user"


def units(job: Job, folder: Path) -> tuple[Unit, Unit]:
    """Return the service and its timer. Raises EnvironmentMissing for a program that systemd would not start."""
    if set(job.command[0]) & set("\"'\\"):
        raise EnvironmentMissing(f"{job.command[0]}: systemd starts no program with quotes in its path; use --cron")
    name = f"netpoll-lab-nightly-{job.lab}"
    mark = _mark(job)
    service = f"""{mark}
[Unit]
Description=netpoll-lab: the nightly run of {_specifier(str(job.root))}

[Service]
Type=oneshot
WorkingDirectory={_specifier(str(job.root))}
ExecStart={" ".join(_word(part) for part in job.command)}
# The engine that a night may have to start outlives it.
KillMode=process
"""
    timer = f"""{mark}
[Unit]
Description=netpoll-lab: every night at {job.at}

[Timer]
OnCalendar=*-*-* {job.at}:00
# A machine that slept through it catches up when it is back.
Persistent=true

[Install]
WantedBy=timers.target
"""
    return Unit(folder / f"{name}.service", service), Unit(folder / f"{name}.timer", timer)


def install_units(made: Sequence[Unit]) -> bool:
    """Write and start the units; return False when they were there already, word for word.

    Raises EnvironmentMissing where that is not allowed, or where a file of another's has the name.
    """
    is_new = False
    for unit in made:
        there = _read(unit.path)
        if there is not None and _first_line(there) != _first_line(unit.text):
            raise EnvironmentMissing(f"{unit.path} is not this lab's; it is left alone. Move it away, then try again")
        if there != unit.text:
            is_new = True
            _write(unit)
    timer = made[-1].path.name
    if is_new:
        _systemctl("daemon-reload")
    _systemctl("enable", "--now", timer)
    return is_new


def remove_units(made: Sequence[Unit]) -> tuple[Path, ...]:
    """Stop and remove the units that are there and this lab's; return their files."""
    mine = [
        unit for unit in made if (text := _read(unit.path)) is not None and _first_line(text) == _first_line(unit.text)
    ]
    timers = [unit.path.name for unit in mine if unit.path.suffix == ".timer"]
    if timers:
        _systemctl("disable", "--now", *timers)
    for unit in mine:
        try:
            unit.path.unlink()
        except OSError as error:
            raise EnvironmentMissing(f"{unit.path}: cannot be removed: {error.strerror}") from error
    if mine:
        _systemctl("daemon-reload")
    return tuple(unit.path for unit in mine)


def _systemctl(*arguments: str) -> None:
    scope = [] if os.geteuid() == 0 else ["--user"]
    _call(["systemctl", *scope, *arguments])


def _specifier(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """Quote one word of ExecStart: specifiers, variables and quotes mean themselves."""
    escaped = _specifier(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    is_plain = escaped == text and text and not any(char.isspace() or char in "';" for char in text)
    return text if is_plain else f'"{escaped}"'


# --- cron -----------------------------------------------------------------------------------------------------------


def cron_lines(job: Job) -> str:
    """Return the two lines of this lab: its mark, and what to run when. `%` would end a command there."""
    hour, minute = job.at.split(":")
    folder, command = shlex.quote(str(job.root)), shlex.join(job.command)
    text = f"cd {folder} && {command} > {shlex.quote(str(job.log))} 2>&1".replace("%", "\\%")
    return f"{_mark(job)}\n{int(minute)} {int(hour)} * * * {text}\n"


def with_lines(crontab: str, lines: str) -> str:
    """Return a crontab with this lab's two lines instead of its earlier ones; everybody else's stay as they are."""
    mark = _first_line(lines)
    if lines in crontab and crontab.count(mark) == 1:
        return crontab
    rest = without_lines(crontab, mark)
    return rest + ("" if not rest or rest.endswith("\n") else "\n") + lines


def without_lines(crontab: str, mark: str) -> str:
    """Return a crontab without the marked line and the one after it."""
    kept, after = [], False
    for line in crontab.splitlines(keepends=True):
        is_mark = line.rstrip("\n") == mark
        if not is_mark and not after:
            kept.append(line)
        after = is_mark
    return "".join(kept)


def install_cron(job: Job) -> bool:
    """Put the lines into the user's crontab; return False when they were there already."""
    now = _crontab()
    wanted = with_lines(now, cron_lines(job))
    job.log.parent.mkdir(parents=True, exist_ok=True)
    if wanted == now:
        return False
    _call(["crontab", "-"], text=wanted)
    return True


def remove_cron(job: Job) -> bool:
    """Take the lines out of the user's crontab; return False when there were none."""
    if not shutil.which("crontab"):
        return False
    now = _crontab()
    wanted = without_lines(now, _mark(job))
    if wanted == now:
        return False
    _call(["crontab", "-"], text=wanted)
    return True


def _crontab() -> str:
    done = _run(["crontab", "-l"], None)
    if done.returncode == 0:
        return done.stdout
    if "no crontab" in done.stderr.lower():  # how a user has none yet; anything else must not be taken for an empty one
        return ""
    raise EnvironmentMissing(f"crontab -l: {_last(done)}. The crontab is left as it is")


# --- both -----------------------------------------------------------------------------------------------------------


def _mark(job: Job) -> str:
    return f"# netpoll-lab nightly {job.lab}: written by lab nightly --install, taken away by --uninstall"


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentMissing(f"{path}: cannot be read: {error}") from error


def _write(unit: Unit) -> None:
    try:
        unit.path.parent.mkdir(parents=True, exist_ok=True)
        unit.path.write_text(unit.text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentMissing(
            f"{unit.path}: cannot be written: {error.strerror}. Try: lab nightly --install --cron"
        ) from error


def _call(command: Sequence[str], text: str | None = None) -> None:
    done = _run(command, text)
    if done.returncode != 0:
        raise EnvironmentMissing(f"{shlex.join(command)}: {_last(done)}")


def _run(command: Sequence[str], text: str | None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(command), input=text, capture_output=True, text=True, errors="replace", timeout=_COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentMissing(f"{shlex.join(command)}: no answer within {_COMMAND_S:.0f} s") from None
    except OSError as error:
        raise EnvironmentMissing(f"{shlex.join(command)}: {error.strerror}") from error


def _last(done: subprocess.CompletedProcess[str]) -> str:
    last = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-1:]
    return last[0][:200] if last else f"ended with {done.returncode}"
