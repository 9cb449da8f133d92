"""The accepted baseline, and the pruning of old nights' folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import BadInput, StoreDamaged
from orchestrator.model import Keep
from orchestrator.results.baseline import FILE, Accepted, accept, read_baselines
from orchestrator.results.prune import Folder, choose, measure, remove

MIB = 1 << 20


def test_each_suite_has_the_run_that_was_accepted_last(tmp_path: Path) -> None:
    """Accepting again replaces, accepting for another suite does not."""
    results = tmp_path / "results"
    for suite, run in (("nightly", "one"), ("quick", "two"), ("nightly", "three")):
        accept(results, suite, Accepted(run, "2026-01-01"))

    assert {"nightly": Accepted("three", "2026-01-01"), "quick": Accepted("two", "2026-01-01")} == read_baselines(
        results
    )
    assert [FILE] == [path.name for path in results.iterdir()]


def test_without_a_file_nothing_is_accepted(tmp_path: Path) -> None:
    """And reading makes none."""
    assert ({}, []) == (read_baselines(tmp_path), list(tmp_path.iterdir()))


@pytest.mark.parametrize("text", ["{", "[]", '{"nightly": "run"}', '{"nightly": {"run": "x"}}', "\x00"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    """Nobody's decision is thrown away in silence."""
    (tmp_path / FILE).write_text(text)

    with pytest.raises(BadInput, match=r"baseline\.json: expected what lab baseline accept wrote, saw"):
        read_baselines(tmp_path)
    with pytest.raises(BadInput, match=r"baseline\.json"):
        accept(tmp_path, "nightly", Accepted("one", "now"))
    assert text == (tmp_path / FILE).read_text()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """One line with what to do."""
    (tmp_path / "results").write_text("a file")

    with pytest.raises(StoreDamaged, match="cannot keep the baseline"):
        accept(tmp_path / "results" / "deeper", "nightly", Accepted("one", "now"))


# --- pruning ----------------------------------------------------------------------------------------------------------


def nights(*sizes: int) -> list[Folder]:
    return [Folder(f"run-{place}", size * MIB) for place, size in enumerate(sizes)]


def gone(found: tuple[Folder, ...]) -> list[str]:
    return [folder.run_id for folder in found]


def test_the_oldest_go_beyond_the_number_of_nights() -> None:
    """Three of five stay."""
    assert ["run-0", "run-1"] == gone(choose(nights(1, 1, 1, 1, 1), Keep(3, None), ()))
    assert [] == gone(choose(nights(1, 1, 1), Keep(3, None), ()))


def test_the_oldest_go_beyond_the_bytes() -> None:
    """Until the rest fits."""
    assert ["run-0", "run-1"] == gone(choose(nights(5, 2, 3, 1), Keep(60, 5 * MIB), ()))
    assert ["run-0", "run-2"] == gone(choose(nights(5, 2, 3, 1), Keep(60, 5 * MIB), ("run-1",)))


def test_the_baseline_and_the_newest_stay_whatever_the_policy_says() -> None:
    """Even where these two alone are more than allowed."""
    assert ["run-1", "run-2"] == gone(choose(nights(9, 1, 1, 9), Keep(1, MIB), ("run-0",)))
    assert [] == gone(choose(nights(9), Keep(1, MIB), ()))


def test_removing_takes_these_folders_and_nothing_else(tmp_path: Path) -> None:
    """What an earlier, killed prune left goes too; a link is no folder of ours."""
    runs = tmp_path / "runs"
    for name in ("run-0", "run-1", ".pruned-run-9"):
        (runs / name / "deep").mkdir(parents=True)
        (runs / name / "deep" / "file").write_bytes(b"x" * 5000)
    (tmp_path / "elsewhere").mkdir()
    (runs / "run-2").symlink_to(tmp_path / "elsewhere")
    found = measure(tmp_path, ["run-0", "run-2", "run-3"])
    freed = remove(tmp_path, found)

    assert ["run-0"] == gone(found)
    assert freed >= 5000
    assert ["run-1", "run-2"] == sorted(path.name for path in runs.iterdir())
    assert (tmp_path / "elsewhere").is_dir()
