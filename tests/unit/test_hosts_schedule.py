"""Who runs the nightly: the texts of cron and systemd, and how they are written and taken away."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import EnvironmentMissing
from orchestrator.hosts import schedule
from orchestrator.hosts.schedule import (
    Job,
    choose_way,
    cron_lines,
    install_cron,
    install_units,
    remove_cron,
    remove_units,
    units,
    with_lines,
    without_lines,
)
from tests.unit.crontabs import write_crontab

JOB = Job(
    lab="0123456789ab",
    root=Path("/srv/my lab 100%"),
    command=("/srv/my lab 100%/.venv/bin/python", "-m", "orchestrator.cli", "--file", "/srv/my lab 100%/lab.yaml"),
    at="02:05",
    log=Path("/srv/my lab 100%/.lab/nightly/last.log"),
)
OTHERS = "MAILTO=me\n5 4 * * * backup --all\n"


def test_the_cron_line_means_what_it_says_to_a_shell() -> None:
    """Minute and hour first; cron turns the escaped % back, and a shell then sees every path whole."""
    mark, line, rest = cron_lines(JOB).split("\n")
    minute, hour, *days, command = line.split(" ", 5)

    assert ("5", "2", ["*", "*", "*"], "") == (minute, hour, days, rest)
    assert mark.startswith("# netpoll-lab nightly 0123456789ab:")
    assert "%" not in command.replace("\\%", "")
    parts = shlex.split(command.replace("\\%", "%"))
    assert ["cd", str(JOB.root), "&&", *JOB.command, ">", str(JOB.log), "2>&1"] == parts


def test_other_lines_of_a_crontab_stay_as_they_are() -> None:
    """Ours come to the end, once, and go again without a trace; another lab's are another's."""
    lines, another = cron_lines(JOB), cron_lines(replace(JOB, lab="ba9876543210"))
    once = with_lines(OTHERS, lines)

    assert OTHERS + lines == once == with_lines(once, lines)
    assert once + another == with_lines(once, another)
    assert with_lines(once + "1 1 * * * x\n", lines) == once + "1 1 * * * x\n"
    assert OTHERS + another == without_lines(once + another, lines.partition("\n")[0])
    later = cron_lines(replace(JOB, at="03:00"))
    assert OTHERS + later == with_lines(once, later)
    assert "no newline\n" + lines == with_lines("no newline", lines)


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    table, folder = write_crontab(tmp_path)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return table


def test_cron_is_installed_once_and_removed(crontab: Path, tmp_path: Path) -> None:
    """The second time nothing is written; without a crontab there is nothing to remove."""
    job = replace(JOB, log=tmp_path / "state" / "last.log")

    assert not remove_cron(job)
    assert (True, False) == (install_cron(job), install_cron(job))
    assert cron_lines(job) == crontab.read_text()
    assert (tmp_path / "state").is_dir()
    crontab.write_text(OTHERS + cron_lines(job))
    assert (True, False) == (remove_cron(job), remove_cron(job))
    assert OTHERS == crontab.read_text()


def test_a_crontab_that_cannot_be_read_is_not_taken_for_an_empty_one(crontab: Path, tmp_path: Path) -> None:
    """Somebody's lines would be lost."""
    (tmp_path / "bin" / "crontab").write_text("#!/bin/sh\necho you are not allowed to use this program >&2; exit 1\n")

    with pytest.raises(EnvironmentMissing, match=r"you are not allowed to use this program\. The crontab is left"):
        install_cron(replace(JOB, log=tmp_path / "last.log"))


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that keeps what it was asked."""
    asked, folder = tmp_path / "asked", tmp_path / "bin"
    folder.mkdir()
    (folder / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    (folder / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("orchestrator.hosts.schedule.os.geteuid", lambda: 0)
    asked.touch()
    return asked


def test_units_are_written_once_started_and_removed(systemctl: Path, tmp_path: Path) -> None:
    """Reloaded only when something was written; enabled again either way, should somebody have stopped it."""
    made = units(JOB, tmp_path / "units")

    assert (True, False) == (install_units(made), install_units(made))
    names = ["netpoll-lab-nightly-0123456789ab.service", "netpoll-lab-nightly-0123456789ab.timer"]
    assert names == sorted(path.name for path in (tmp_path / "units").iterdir())
    assert [
        "daemon-reload",
        f"enable --now {names[1]}",
        f"enable --now {names[1]}",
    ] == systemctl.read_text().splitlines()
    assert tuple(unit.path for unit in made) == remove_units(made)
    assert ((), []) == (remove_units(made), list((tmp_path / "units").iterdir()))
    assert [f"disable --now {names[1]}", "daemon-reload"] == systemctl.read_text().splitlines()[3:]


def test_somebody_elses_unit_of_that_name_is_left_alone(systemctl: Path, tmp_path: Path) -> None:
    """Neither replaced nor removed."""
    service, timer = units(JOB, tmp_path)
    service.path.write_text("[Unit]\nDescription=mine\n")

    with pytest.raises(EnvironmentMissing, match="is not this lab's; it is left alone"):
        install_units((service, timer))
    assert () == remove_units((service, timer))
    assert ("[Unit]\nDescription=mine\n", False) == (service.path.read_text(), timer.path.exists())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here to judge the units")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Its own checker has nothing to say of them, and the time is one to it."""
    root = tmp_path / "a lab of 100%"
    (root / "bin").mkdir(parents=True)
    python = root / "bin" / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    job = replace(JOB, root=root, command=(str(python), "-m", "orchestrator.cli", "a $b"))
    for unit in units(job, tmp_path):
        unit.path.write_text(unit.text)
    timer = tmp_path / "netpoll-lab-nightly-0123456789ab.timer"
    judged = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(timer)], capture_output=True, text=True, check=False
    )
    calendar = subprocess.run(
        ["systemd-analyze", "calendar", "*-*-* 02:05:00"], capture_output=True, text=True, check=False
    )

    assert (0, []) == (judged.returncode, [line for line in judged.stderr.splitlines() if "netpoll-lab" in line])
    assert 0 == calendar.returncode


def test_a_program_that_systemd_would_not_start_is_refused(tmp_path: Path) -> None:
    """It takes a unit with quotes in the path, and then says that the executable is no such thing."""
    with pytest.raises(EnvironmentMissing, match="systemd starts no program with quotes in its path; use --cron"):
        units(replace(JOB, command=("/srv/my 'lab'/python",)), tmp_path)


def test_the_way_is_what_the_machine_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """systemd first, then cron; without either, or without the one asked for, the line says what to do."""
    has: set[str] = set()
    monkeypatch.setattr("orchestrator.hosts.schedule.shutil.which", lambda name: name if name in has else None)
    monkeypatch.setattr(schedule, "_RUNNING", tmp_path)

    with pytest.raises(EnvironmentMissing, match="neither a running systemd nor the command crontab is here"):
        choose_way(None)
    has.add("crontab")
    assert ("cron", "cron") == (choose_way(None), choose_way("cron"))
    with pytest.raises(EnvironmentMissing, match="--systemd: this machine has not a running systemd"):
        choose_way("systemd")
    has.add("systemctl")
    assert ("systemd", "cron") == (choose_way(None), choose_way("cron"))
    monkeypatch.setattr(schedule, "_RUNNING", tmp_path / "not booted by it")
    assert "cron" == choose_way(None)
