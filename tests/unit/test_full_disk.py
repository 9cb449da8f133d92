"""A disk that is full, for once a real one: one line, and everything kept before can be read on it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from click.testing import CliRunner

from orchestrator import cli
from orchestrator.cli.report import FORMATS
from orchestrator.errors import StoreDamaged
from orchestrator.model import TrialSpec
from orchestrator.results.baseline import FILE, Accepted, accept
from orchestrator.results.folder import read_run_folder, run_folder
from orchestrator.results.mend import database, open_results
from orchestrator.results.opening import refuse_without_room
from tests.unit.kept_runs import RUN_ID, carry, plan, put, run, said_nothing

ROOT = Path(__file__).resolve().parents[2]
OLD = "20260101T000000Z-old-000000"
NEW = RUN_ID


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    """A results folder on a disk of its own, of 2 MiB, with one run from before."""
    folder = tmp_path / "results"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "netpoll-lab-tests", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"no disk of its own can be mounted here: {done.stderr.strip() or done.returncode}")
    try:
        put(folder, run(run_id=OLD))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(results: Path, leave_bytes: int = 0) -> Path:
    """Take all the space there is, but for some, and return the file that does."""
    hog = results / "hog"
    with hog.open("wb", buffering=0) as file:
        try:
            for block in (4096, 1):
                while True:
                    space = os.statvfs(results)
                    if space.f_bavail * space.f_frsize <= leave_bytes:
                        return hog
                    file.write(b"x" * block)
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return hog


@pytest.mark.parametrize("leave_bytes", [0, 4096, 8192, 12288, 16384, 20480, 28672, 40960])
def test_a_run_on_a_disk_that_fills_ends_in_one_line_and_goes_on_later(results: Path, leave_bytes: int) -> None:
    """Whichever write it is that finds no space: trials kept before are there, and the run is resumed once there is."""
    hogs: list[Path] = []

    def executed(spec: TrialSpec) -> None:
        if spec.index == 3 and not hogs:
            hogs.append(fill(results, leave_bytes))

    with pytest.raises(StoreDamaged) as caught:
        carry(results, 40, executed)

    assert (3, False) == (caught.value.exit_code, "\n" in str(caught.value))
    assert any(words in str(caught.value) for words in ("the disk is full", "No space left on device"))
    assert "lab run --resume" in str(caught.value)
    with open_results(results, said_nothing) as store:
        assert run(run_id=OLD) == store.read_run(OLD)
        kept = store.read_run(NEW)
    assert [spec.index for spec in plan(40).trials][: len(kept.trials)] == [t.spec.index for t in kept.trials]
    assert len(kept.trials) >= 3
    hogs[0].unlink()
    carry(results, 40, executed)
    with open_results(results, said_nothing) as store:
        whole = store.read_run(NEW)
        assert store.find_damage() is None
    assert (40, kept.trials) == (len(whole.trials), whole.trials[: len(kept.trials)])
    assert whole.trials == read_run_folder(run_folder(results, NEW)).run.trials


def test_old_results_are_shown_on_a_full_disk(results: Path) -> None:
    """`lab show --list` and a report to stdout in real processes; what must write says so in one line."""
    fill(results)
    database_before = database(results).read_bytes()

    shown = [lab(results, "show", "--list"), lab(results, "report", "--format", "csv", "--out", "-")]
    assert [(0, "")] * 2 == [(done.returncode, done.stderr) for done in shown]
    assert all(OLD in done.stdout for done in shown)
    written = lab(results, "report")
    assert (3, 1, False) == (
        written.returncode, len(written.stderr.strip().splitlines()), "Traceback" in written.stderr,
    )  # fmt: skip
    assert "No space left on device" in written.stderr
    assert database_before == database(results).read_bytes()


def lab(results: Path, *arguments: str, stdout: int | IO[bytes] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run a verb as a process of its own, whose output is held back as it is in a pipe or file of the shell's."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "--file", str(results.parent / "lab.yaml"), *arguments],
        cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )  # fmt: skip


def refused(results: Path, *arguments: str) -> str:
    """Run a verb that finds no space, and return its line."""
    done = CliRunner().invoke(cli.lab, ["--file", str(results.parent / "lab.yaml"), *arguments])
    assert isinstance(done.exception, StoreDamaged), done.output
    assert (3, 1) == (done.exception.exit_code, len(str(done.exception).splitlines()))
    return str(done.exception)


def left_behind(results: Path) -> list[str]:
    return [path.name for path in results.rglob("*.tmp")]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_report_that_does_not_fit_leaves_the_earlier_one_as_it_was(results: Path, kind: str) -> None:
    """In every format: the file is the old one to the last byte, and nothing else lies beside it."""
    earlier = run_folder(results, OLD) / f"report.{FORMATS[kind]}"
    earlier.write_text("an earlier report\n" * 1000)
    fill(results)
    said = refused(results, "report", "--format", kind)

    assert f"{earlier}: expected to write the report, but No space left on device; an earlier one" in said
    assert ("an earlier report\n" * 1000, []) == (earlier.read_text(), left_behind(results))


def test_an_export_that_does_not_fit_leaves_nothing(results: Path) -> None:
    """Neither a half of it nor what it was being written into."""
    fill(results)
    said = refused(results, "export", "--out", str(results / "run.tar.gz"))

    assert "run.tar.gz: expected to write the export, but No space left on device" in said
    assert (False, []) == ((results / "run.tar.gz").exists(), left_behind(results))


def test_a_baseline_that_does_not_fit_leaves_the_accepted_one(results: Path) -> None:
    """What a person decided stays decided."""
    accept(results, "quick", Accepted(OLD, "then"))
    decided = (results / FILE).read_bytes()
    fill(results)
    with pytest.raises(StoreDamaged, match=r"the baseline: No space left on device; what was accepted stays"):
        accept(results, "quick", Accepted("another", "now" * 5000))

    assert (decided, []) == ((results / FILE).read_bytes(), left_behind(results))


def test_an_output_that_takes_no_more_is_one_line_and_3(results: Path) -> None:
    """A report into a pipe or file of the shell's that is full."""
    with Path("/dev/full").open("wb") as full:
        done = lab(results, "report", "--format", "csv", "--out", "-", stdout=full)

    assert (3, 1) == (done.returncode, len(done.stderr.strip().splitlines())), done.stderr
    assert "the disk is full" in done.stderr


def test_a_run_is_refused_before_it_begins_where_there_is_no_room(results: Path) -> None:
    """Minutes of building would end with nothing kept."""
    with pytest.raises(
        StoreDamaged, match=r"the disk is full: [\d,]+ KiB are left, a run needs 10,240 KiB\. Free some"
    ):
        refuse_without_room(results)
