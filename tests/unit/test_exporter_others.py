"""What each CPU ran and what the lab took of it: whose time interrupts are decides what may be subtracted."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.observe.exporter import others
from orchestrator.observe.exporter.errors import Absent, BadTarget
from orchestrator.observe.exporter.look import Watched, watch
from orchestrator.observe.exporter.others import keeps_interrupts_apart
from orchestrator.observe.exporter.reading import Ledger, Reading, take
from orchestrator.observe.exporter.sources import SOURCES
from orchestrator.observe.exporter.target import Container, Target, parse_target
from orchestrator.observe.exporter.taskstats import Taskstats
from tests.unit.kernel_text import FIXTURES
from tests.unit.test_exporter_cgroup import CONTAINER, v1_tree, v2_tree

LABELS = {"run_id": "r", "scenario": "s", "variant": "v"}
CGROUPS = Path("/sys/fs/cgroup")
OURS = tuple(source for source in SOURCES if source.name in ("cpus_ran", "beside"))


def make_proc(folder: Path, *pressures: str) -> Path:
    """Return a /proc with the frozen host's CPUs and these files of pressure."""
    proc = folder / "proc"
    (proc / "pressure").mkdir(parents=True)
    shutil.copy(FIXTURES / "host" / "stat", proc / "stat")
    for name in pressures:
        (proc / "pressure" / name).write_text("full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
    return proc


@pytest.mark.parametrize(("pressures", "is_apart"), [(("cpu",), False), (("cpu", "irq"), True)])
def test_pressure_of_interrupts_is_there_where_their_time_is_kept_apart(
    tmp_path: Path, pressures: tuple[str, ...], is_apart: bool
) -> None:
    """Linux 6.1 made that file, under the same condition as the accounting."""
    assert is_apart is keeps_interrupts_apart(make_proc(tmp_path, *pressures), "6.1.0-37-amd64")


@pytest.mark.parametrize(
    ("pressures", "release"), [((), "6.18.44"), (("cpu",), "5.15.0-91-generic"), (("cpu",), "6"), (("cpu",), "x.y")]
)
def test_a_kernel_that_does_not_tell_is_not_guessed(tmp_path: Path, pressures: tuple[str, ...], release: str) -> None:
    """Older ones, and those that keep no pressure: a guess would be a third of a busy server off."""
    with pytest.raises(Absent, match="tells whose time interrupts are"):
        keeps_interrupts_apart(make_proc(tmp_path, *pressures), release)


def test_interrupts_whose_accounting_is_off_are_in_the_tasks_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is there then and cannot be read; any other failure is one."""

    def refuse(number: int) -> None:
        def read_text(_path: Path) -> str:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(others, "read_text", read_text)

    refuse(errno.EOPNOTSUPP)
    assert not keeps_interrupts_apart(tmp_path, "6.18.44")
    refuse(errno.EACCES)
    with pytest.raises(PermissionError):
        keeps_interrupts_apart(tmp_path, "6.18.44")


def read(watched: Watched, *, fresh: bool = True, **changes: Any) -> Reading:
    for name, value in changes.items():
        setattr(watched, name, value)
    return take(watched, Taskstats(), Ledger(), fresh=fresh, sources=OURS)


@pytest.mark.parametrize(
    ("pressures", "ran"),
    [(("cpu",), {"0": 787.03, "1": 651.41}), (("cpu", "irq"), {"0": 650.46, "1": 533.40})],
    ids=["within the tasks", "apart"],
)
def test_interrupts_count_where_the_scheduler_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pressures: tuple[str, ...], ran: dict[str, float]
) -> None:
    """In a task's time, and so in its cgroup's, exactly where the kernel does not keep them apart."""
    monkeypatch.setattr(os, "uname", lambda: type("U", (), {"release": "6.18.44"}))
    monkeypatch.setattr(others, "TICKS_PER_S", 100)
    watched = watch(Target("x", LABELS, (Container("", os.getpid()),)), CGROUPS)
    reading = read(watched, proc=make_proc(tmp_path, *pressures))

    assert pytest.approx(ran) == reading.values["cpus_ran_s"]
    assert "no containers beside it were named" == reading.missing["beside_cpu_s"]


@pytest.mark.parametrize(
    ("tree", "each_s"), [(v1_tree, 0.030351815), (v2_tree, 1.225474)], ids=["cgroup v1", "cgroup v2"]
)
def test_the_labs_other_containers_are_added_up_under_both_cgroups(tmp_path: Path, tree: Any, each_s: float) -> None:
    """Two of them: nanoseconds of cpuacct.usage, microseconds of cpu.stat."""
    root, proc = tree(tmp_path)
    shutil.copy(FIXTURES / "epoll" / "stat", proc / "30499" / "stat")
    other = Container(CONTAINER, 30499)
    watched = watch(Target("x", LABELS, (other,), beside=(other, other)), root, proc)

    assert 2 * each_s == read(watched).values["beside_cpu_s"]


@contextlib.contextmanager
def spinning() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(not CGROUPS.exists(), reason="no /sys/fs/cgroup: this is not Linux with cgroups mounted")
def test_what_a_program_runs_shows_on_the_cpus_of_this_machine() -> None:
    """Half a second of one program is at least 0.4 s on some CPU, counted by ticks; nobody has to register it."""
    watched = watch(Target("x", LABELS, (Container("", os.getpid()),)), CGROUPS)
    before = read(watched)
    if "cpus_ran_s" in before.missing:
        pytest.skip(before.missing["cpus_ran_s"])
    with spinning() as process:
        until_s = time.monotonic() + 20.0
        while _cpu_s(process.pid) < 0.5 and time.monotonic() < until_s:
            time.sleep(0.02)
    after = read(watched)
    was, now = (reading.values["cpus_ran_s"] for reading in (before, after))

    assert isinstance(was, dict)
    assert isinstance(now, dict)
    assert sum(now.values()) - sum(was.values()) >= 0.4


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_only_a_reading_that_is_asked_for_looks_at_them() -> None:
    """Nobody needs them once a second."""
    watched = watch(Target("x", LABELS, (Container("", os.getpid()),)), CGROUPS)

    assert {"cpus_ran_s", "beside_cpu_s"} == set(read(watched, fresh=False).missing)


def test_a_service_that_ended_costs_its_figure_and_not_the_trial() -> None:
    """Prometheus may have been restarted since; the server is observed all the same."""
    gone = Container("ab" * 32, 4194305)
    reading = read(watch(Target("x", LABELS, (Container("", os.getpid()),), beside=(gone,)), CGROUPS))

    assert "the lab's own containers could not all be found: " in reading.missing["beside_cpu_s"]
    assert "beside_cpu_s" not in reading.values


def test_others_are_registered_as_the_servers_are() -> None:
    """By id and pid; a hundred workers and more are no mistake, and what is none is named."""
    entry = '{"id": "%s", "pid": 7}' % ("ab" * 32)
    body = '{"labels": {}, "containers": [%s], "beside": %s}'
    made = parse_target("x", (body % (entry, f"[{', '.join([entry] * 200)}]")).encode())

    assert (Container("ab" * 32, 7),) * 200 == made.beside
    assert () == parse_target("x", (body % (entry, "[]")).encode()).beside
    with pytest.raises(BadTarget, match=r"x\.beside\[0\]: expected exactly id and pid, saw '7'"):
        parse_target("x", (body % (entry, "[7]")).encode())
    with pytest.raises(BadTarget, match=r"x\.beside: expected a list of 1 to 1024, saw 'True'"):
        parse_target("x", (body % (entry, "true")).encode())
