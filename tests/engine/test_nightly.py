"""`lab nightly` as cron starts it: no terminal, no PATH to speak of, nobody's environment; twice."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import ROOT, LabFile

SCENARIOS = {
    "brief": {
        "kind": "closed", "path": "/plain", "connections": 10, "warmup": "200ms", "measure": "1s", "timeout": "5s",
    },
}  # fmt: skip
SUITES = {
    "tiny": {
        "scenarios": ["brief"],
        "variants": ["c-epoll", "c-threads"],
        "trials": 1,
        "profile": "default",
        "seed": 3,
    },
}
NIGHTLY = {
    "suite": "tiny", "control": "c-epoll", "stable": ["c-threads"],
    "notify": {"command": ["sh", "-c", "env | grep ^LAB_NIGHTLY_ > told"]},
}  # fmt: skip


def as_cron(lab: LabFile, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb in a session of its own, with cron's environment and nothing to read."""
    home = lab.path.parent / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        ["setsid", "--wait", "env", "-i", "PATH=/usr/bin:/bin", f"HOME={home}", *lab.command(*arguments)],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def nights(make_lab: Any) -> tuple[LabFile, list[subprocess.CompletedProcess[str]]]:
    """A first night, its acceptance, and a second night."""
    lab: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES, nightly=NIGHTLY)
    first = as_cron(lab, "nightly")
    accepted = as_cron(lab, "baseline", "accept", "last")
    assert 0 == accepted.returncode, accepted.stderr
    return lab, [first, as_cron(lab, "nightly")]


def read(done: subprocess.CompletedProcess[str]) -> tuple[Path, dict[str, Any]]:
    report = Path(done.stdout.splitlines()[-1])
    return report, json.loads((report.parent / "nightly.json").read_text())


def test_both_nights_end_with_the_code_that_is_documented(nights: Any) -> None:
    """The first has nothing to be worse than; one block can say nothing of the second, and that is not fine."""
    _, (first, second) = nights

    assert (0, 4) == (first.returncode, second.returncode), first.stderr + second.stderr
    assert "Traceback" not in first.stderr + second.stderr
    assert "lab: undecided: Nothing can be said of " in second.stderr


def test_each_night_has_its_report_and_its_document(nights: Any) -> None:
    """Both are on the disk, and the second night knows the first."""
    _, done = nights
    (page, first), (later, second) = map(read, done)

    assert (True, True, True) == (page.is_file(), later.is_file(), page != later)
    assert ("fine", "undecided") == (first["verdict"], second["verdict"])
    assert (None, first["run_id"], 1, 2) == (first["baseline"], second["baseline"], first["nights"], second["nights"])
    points = {(h["variant"], h["figure"]): [p["median"] for p in h["nights"]] for h in second["history"]}
    assert {"c-epoll", "c-threads"} == {variant for variant, _ in points}
    assert [2, True] == [len(found := points["c-epoll", "throughput_per_s"]), min(found) > 0.0]


def test_one_image_ran_under_two_names(nights: Any) -> None:
    """In every block, from the very same image; what they differ by is the night's noise."""
    lab, done = nights
    _, document = read(done[1])
    run = lab.show()
    ran = [(t["variant"], t["trial"]) for t in run["trials"] if t["void"] is None]
    images = run["host"]["images"]

    assert [("c-epoll", 1), ("c-epoll~control", 1), ("c-threads", 1)] == sorted(ran)
    assert images["c-epoll"] == images["c-epoll~control"]
    assert "throughput_per_s" in {one["figure"] for one in document["noise_tonight"]}


def test_the_command_was_told(nights: Any) -> None:
    """It ran in the lab's folder with the second night's verdict."""
    lab, done = nights
    told = dict(line.split("=", 1) for line in (lab.path.parent / "told").read_text().splitlines() if "=" in line)

    assert ("undecided", "4", done[1].stdout.splitlines()[-1]) == tuple(
        told[f"LAB_NIGHTLY_{key}"] for key in ("VERDICT", "EXIT_CODE", "REPORT")
    )


def test_nothing_of_the_nights_is_left(nights: Any, client: Any) -> None:
    """Results stay, containers do not."""
    lab, _ = nights

    assert [] == lab.containers(client)
