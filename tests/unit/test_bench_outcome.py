"""The benchmark's two files: complete, honest about what was not measured, and never older than the code they judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.lines import LINES
from bench.outcome import Outcome, failed, write
from bench.pairs import PAIRS
from orchestrator.errors import StoreDamaged

HOST: dict[str, object] = {"kernel": "6.18.44", "images": {"swarm": "abc"}, "load_average_1m": 0.5, "recorded_at": "t0"}
RATIO = "throughput engine / wrk"
STALL = "truth: worst deviation of p50, p90, p99, p99.9"


def one(line: str, value: float | None, spoilt: str = "") -> Outcome:
    outcome = Outcome()
    outcome.add(line, [value, value], value, spoilt)
    return outcome


def read(folder: Path, name: str = "bench.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


def test_every_line_is_written_after_the_first_experiment(tmp_path: Path) -> None:
    """A benchmark that is killed in the middle leaves what it measured, and the rest as not holding."""
    write(tmp_path, {"throughput": one(RATIO, 1.3)}, "make bench", HOST, "t1")
    entries = read(tmp_path)

    assert {line.name for line in LINES} == set(entries)
    assert [RATIO] == [name for name, entry in entries.items() if entry["holds"]]


def test_the_details_hold_command_host_and_rounds_of_each_figure(tmp_path: Path) -> None:
    """A figure can be traced to the command, the machine and the rounds it came from."""
    write(tmp_path, {"throughput": one(RATIO, 0.9, "round 2, wrk: 3 wrong")}, "python -m bench", HOST, "t1")
    found = read(tmp_path, "bench-details.json")["experiments"]["throughput"]

    assert ("python -m bench", "t1", HOST) == (found["command"], found["recorded_at"], found["host"])
    assert {"value": 0.9, "spoilt": "round 2, wrk: 3 wrong", "rounds": [0.9, 0.9]} == found["figures"][RATIO]


def test_another_experiment_leaves_earlier_figures_standing(tmp_path: Path) -> None:
    """`--only` on the same images and machine adds to what is there."""
    write(tmp_path, {"throughput": one(RATIO, 1.3)}, "first", HOST, "t1")
    later = {**HOST, "load_average_1m": 7.0, "recorded_at": "t2"}
    entries = write(tmp_path, {"truth": one(STALL, 0.01)}, "second", later, "t2")

    assert (1.3, True) == (entries[RATIO]["value"], entries[RATIO]["holds"])
    assert entries[STALL]["holds"] is True


@pytest.mark.parametrize(("now", "stands"), [({"bare-c": "c:1"}, True), ({"bare-c": "c:2"}, False)])
def test_figures_of_images_that_one_experiment_alone_measures_stand_while_those_do(
    tmp_path: Path, now: dict[str, str], stands: bool
) -> None:
    """A variant that was changed since has to be measured again; the other experiments' figures stay."""
    line = PAIRS[0].line
    then = {"rivals": {"bare-c": "c:1"}}
    write(tmp_path, {"rivals": one(line, 0.9), "throughput": one(RATIO, 1.3)}, "first", HOST, "t1", then)
    entries = write(tmp_path, {"truth": one(STALL, 0.01)}, "second", HOST, "t2", {"rivals": now})

    assert (stands, True) == (entries[line]["holds"], entries[RATIO]["holds"])


@pytest.mark.parametrize("change", [{"images": {"swarm": "def"}}, {"kernel": "6.19"}])
def test_figures_of_other_images_or_another_machine_do_not_stand(tmp_path: Path, change: dict[str, object]) -> None:
    """A figure is a claim about the code and the machine that were measured."""
    write(tmp_path, {"throughput": one(RATIO, 1.3)}, "first", HOST, "t1")
    entries = write(tmp_path, {"truth": one(STALL, 0.01)}, "second", {**HOST, **change}, "t2")

    assert (None, False) == (entries[RATIO]["value"], entries[RATIO]["holds"])


def test_an_image_that_there_was_not_then_changes_nothing(tmp_path: Path) -> None:
    """A new experiment's own server cannot have been in the older figures."""
    then = {**HOST, "images": {"c-epoll": "aa"}}
    write(tmp_path, {"throughput": one(RATIO, 1.3)}, "first", then, "t1")
    more = write(tmp_path, {"truth": one(STALL, 0.01)}, "x", {**then, "images": {"c-epoll": "aa", "paced": "b"}}, "t2")
    less = write(tmp_path, {"truth": one(STALL, 0.01)}, "x", {**then, "images": {"paced": "b"}}, "t3")

    assert ([True, False]) == [entries[RATIO]["holds"] for entries in (more, less)]


def test_an_experiment_left_out_on_purpose_takes_its_lines_back(tmp_path: Path) -> None:
    """--without-million: whatever was measured before, the lines do not hold."""
    million = "million c-epoll engine: held"
    write(tmp_path, {"million": one(million, 1_000_000)}, "first", HOST, "t1")
    entries = write(tmp_path, {"million": Outcome(), "truth": one(STALL, 0.01)}, "second", HOST, "t2")

    assert (None, False) == (entries[million]["value"], entries[million]["holds"])


def test_a_line_its_experiment_did_not_deliver_has_failed(tmp_path: Path) -> None:
    """A chosen experiment answers for all of its lines, the missing ones too."""
    entries = write(tmp_path, {"truth": one(STALL, 0.01)}, "x", HOST, "t")

    assert ["truth: closed trials that say so"] == [line.name for line in failed(entries, ["truth"])]
    assert [RATIO] == [line.name for line in failed(entries, ["throughput"])]


def test_garbage_in_an_earlier_file_is_measured_over(tmp_path: Path) -> None:
    """A file that cannot be read holds nothing."""
    (tmp_path / "bench.json").write_text("{half")
    (tmp_path / "bench-details.json").write_text("[]")
    entries = write(tmp_path, {"truth": one(STALL, 0.01)}, "x", HOST, "t")

    assert entries[STALL]["holds"] is True
    assert entries[RATIO]["holds"] is False


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    """The line names the file and what to do."""
    (tmp_path / "results").write_text("a file where the folder should be")

    with pytest.raises(StoreDamaged, match=r"bench-details\.json.*then run again"):
        write(tmp_path / "results", {}, "x", HOST, "t")
