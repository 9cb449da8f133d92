"""Run folders: names, contents, and never half a file."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orchestrator.errors import StoreDamaged
from orchestrator.model import Metrics, Plan, Run, TrialResult, TrialSpec
from orchestrator.results.codec import load_trial
from orchestrator.results.folder import new_run_id, run_folder, write_run, write_trial

TRIAL = TrialResult(
    TrialSpec(3, 0, "c-epoll", "hold-2k", "hold", "default", 1, 1, ""),
    None,
    Metrics(requests=5),
    {},
    {312: 5},
    (),
    (),
    "2026-11-23T08:20:36Z",
    1.0,
    2.0,
)


def test_run_id_sorts_by_start_in_utc() -> None:
    """An aware time of any zone becomes UTC."""
    berlin = timezone(timedelta(hours=1))
    now = datetime(2026, 11, 23, 9, 20, 36, 999, tzinfo=berlin)

    assert "20261123T082036Z-quick-ab12cd" == new_run_id("quick", now, "ab12cd")


def test_names_cannot_leave_the_folder() -> None:
    """Slashes and leading dots of a suite or run name do not reach the path."""
    now = datetime(2026, 1, 1, tzinfo=UTC)

    assert "20260101T000000Z-_.._x-ab12cd" == new_run_id("../../x", now, "ab12cd")
    assert Path("r/runs/_etc") == run_folder(Path("r"), "../etc")


def test_trial_file_holds_everything(tmp_path: Path) -> None:
    """The file is named after the trial, decodes to it, and nothing else is left beside it."""
    path = write_trial(tmp_path, "20261123T082036Z-quick-ab12cd", TRIAL)

    assert tmp_path / "runs/20261123T082036Z-quick-ab12cd/trial-003-c-epoll-hold-2k.json" == path
    assert TRIAL == load_trial(path.read_text(encoding="utf-8"))
    assert [path] == list(path.parent.iterdir())


def test_run_file_is_replaced_whole(tmp_path: Path) -> None:
    """run.json written at the start is replaced at the end, plan and host with it."""
    plan = Plan("quick", 7, (TRIAL.spec,), ())

    def write(finished_at: str | None) -> Path:
        return write_run(tmp_path, Run("r1", "quick", "a", finished_at, {"cpus": 2}, plan, ()))

    write(None)
    document = json.loads(write("b").read_text(encoding="utf-8"))

    assert ("r1", "quick", "a", "b", {"cpus": 2}) == tuple(
        document[key] for key in ("run_id", "suite", "started_at", "finished_at", "host")
    )
    assert "c-epoll" == document["plan"]["trials"][0]["variant"]
    assert ["run.json"] == [path.name for path in (tmp_path / "runs/r1").iterdir()]


def test_failed_write_keeps_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk while writing: one line, the old file untouched, no partial one left."""
    path = write_trial(tmp_path, "r1", TRIAL)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreDamaged, match=r"trial-003.*No space left on device.*Free space"):
        write_trial(tmp_path, "r1", TRIAL)

    assert TRIAL == load_trial(path.read_text(encoding="utf-8"))
    assert [path] == list(path.parent.iterdir())


def test_file_in_place_of_the_folder_is_explained(tmp_path: Path) -> None:
    """`runs` being a file is StoreDamaged in one line."""
    (tmp_path / "runs").write_text("")

    with pytest.raises(StoreDamaged, match=r"runs/r1/trial-003.*mend the folder") as caught:
        write_trial(tmp_path, "r1", TRIAL)

    assert "\n" not in str(caught.value)
