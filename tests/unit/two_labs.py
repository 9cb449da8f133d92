"""A lab with a run, one without, and the file between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.results.folder import run_folder
from orchestrator.transfer import export_run
from tests.unit.kept_runs import RUN_ID, put, run, said_nothing


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A lab with a run, a report and the time series of its windows."""
    root = tmp_path / "here"
    put(root / "results", run())
    folder = run_folder(root / "results", RUN_ID)
    (folder / "report.html").write_text("<p>")
    (folder / "series").mkdir()
    (folder / "series" / "003.bin").write_bytes(bytes(range(256)) * 1000)
    (folder / ".run.json.77.tmp").write_text("half")
    return root


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a run's folder but the lab's own marks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def exported(root: Path, out: Path) -> Path:
    return export_run(root, None, out, said_nothing).path
