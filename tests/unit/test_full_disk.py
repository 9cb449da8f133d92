"""A disk that is full, for once a real one: one line, and everything kept before can be read on it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import StoreDamaged
from orchestrator.model import TrialSpec
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

    def lab(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", "--file", str(results.parent / "lab.yaml"), *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    shown = [lab("show", "--list"), lab("report", "--format", "csv", "--out", "-")]
    assert [(0, "")] * 2 == [(done.returncode, done.stderr) for done in shown]
    assert all(OLD in done.stdout for done in shown)
    written = lab("report")
    assert (3, 1, False) == (
        written.returncode, len(written.stderr.strip().splitlines()), "Traceback" in written.stderr,
    )  # fmt: skip
    assert "No space left on device" in written.stderr
    assert database_before == database(results).read_bytes()


def test_a_run_is_refused_before_it_begins_where_there_is_no_room(results: Path) -> None:
    """Minutes of building would end with nothing kept."""
    with pytest.raises(
        StoreDamaged, match=r"the disk is full: [\d,]+ KiB are left, a run needs 10,240 KiB\. Free some"
    ):
        refuse_without_room(results)
