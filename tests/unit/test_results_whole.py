"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from orchestrator.results.whole import try_whole, write_whole


def test_an_earlier_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    """Who made a report private finds the next one private."""
    path = tmp_path / "new" / "report.html"
    write_whole(path, b"first")
    path.chmod(0o600)
    write_whole(path, b"second")

    assert (b"second", 0o600) == (path.read_bytes(), path.stat().st_mode & 0o777)
    assert ["report.html"] == [one.name for one in path.parent.iterdir()]


def test_until_the_new_one_is_whole_the_old_one_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong before the rename; nothing is left beside it."""
    path = tmp_path / "report.html"
    write_whole(path, b"old")

    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")

    assert (b"old", ["report.html"]) == (path.read_bytes(), [one.name for one in tmp_path.iterdir()])


def test_to_try_changes_nothing(tmp_path: Path) -> None:
    """What may be written is left as it is, a pipe is not waited for; what may not says why."""
    path = tmp_path / "report.html"
    write_whole(path, b"old")
    os.mkfifo(tmp_path / "pipe")
    for name in ("report.html", "pipe", "other.html"):
        try_whole(tmp_path / name)

    assert (b"old", {"report.html", "pipe"}) == (path.read_bytes(), {one.name for one in tmp_path.iterdir()})
    with pytest.raises(OSError, match=r"report\.html"):
        try_whole(path / "inside.html")


def test_a_link_is_followed(tmp_path: Path) -> None:
    """It goes on pointing to the file, which is the new one."""
    (tmp_path / "public").mkdir()
    (tmp_path / "latest.html").symlink_to(tmp_path / "public" / "index.html")
    write_whole(tmp_path / "latest.html", b"page")

    assert (True, b"page") == ((tmp_path / "latest.html").is_symlink(), (tmp_path / "public/index.html").read_bytes())


def test_a_pipe_is_written_into_and_stays_one(tmp_path: Path) -> None:
    """As /dev/null does: a device that became a file would be everybody's trouble."""
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"page")
    reader.join(10)

    assert ([b"page"], True) == (read, pipe.is_fifo())
