"""The plan as people and programs read it: limits, fixes, owners, assumptions, more hosts."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from orchestrator.model import Arena, Bound, Lab, Observability, Plan, Ramp, Scenario, TrialSpec
from orchestrator.planning.extrapolation import Extrapolation
from orchestrator.report.plandocument import plan_document
from orchestrator.report.plantable import extrapolation_table, load_in_words, plan_table

FILES = Bound("server descriptors", 119_616.0, "6 x 19,936", "a higher limit", "host", wanted=100_000)
MEMORY = Bound("memory", 2_000_000.0, "20 GiB / 10,000", "more of it", "host", False, 100_000)
PORTS = Bound("source ports", 28_232.0, "1 x 28,232", "more sources", "container", wanted=100_000)
SEARCH = Bound("quick port search", 14_000.0, "1 x 14,000", "more workers", "lab", wanted=100_000, hard=False)
UNKNOWN = Bound("conntrack", None, "tracks nothing", "", "host", wanted=100_000)
SPEC = TrialSpec(0, 0, "c-epoll", "hold", "hold", "c100k", 6, 6, "six", "engine", bounds=(FILES, MEMORY, UNKNOWN))
HOLD = Scenario("hold", "", "hold", "/delay", 100_000, 60.0, 0.0, 0.0, 30.0)
LAB = Lab(
    Path("lab.yaml"),
    Path(),
    {},
    {},
    {"hold": HOLD},
    {},
    Observability(8089, 9090, 9100, 1.0),
    Arena("default", ()),
)


def words(drawn: RenderableType) -> list[str]:
    """Return what is drawn on a wide terminal, line by line, runs of blanks as one."""
    console = Console(file=StringIO(), width=220, highlight=False)
    console.print(drawn)
    assert isinstance(console.file, StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_the_binding_constraint_stands_with_its_fix_and_owner() -> None:
    """One line for a pairing, however often it is repeated."""
    drawn = words(plan_table(Plan("c100k", 1, (SPEC, replace(SPEC, index=1, block=1)), ()), LAB))

    assert 1 == drawn.count("c-epoll hold 119,616 server descriptors 6 x 19,936 a higher limit host")


def test_a_number_from_constants_is_marked() -> None:
    """A tilde before what was not measured on this machine."""
    drawn = words(plan_table(Plan("s", 1, (replace(SPEC, bounds=(MEMORY,)),), ()), LAB))

    assert "c-epoll hold ~2,000,000 memory 20 GiB / 10,000 more of it host" in drawn


def test_an_impossible_trial_says_so_and_a_slow_one_too() -> None:
    """Red for what lab run refuses; a line for what costs time; assumptions below."""
    plan = Plan("s", 1, (replace(SPEC, bounds=(PORTS, FILES, SEARCH)),), ())
    drawn = words(plan_table(plan, LAB, ["a limit that nobody read"]))

    assert "c-epoll hold 28,232 source ports: impossible 1 x 28,232 more sources container" in drawn
    assert (
        "c-epoll on hold: beyond quick port search (100,000 of 14,000 connections: 1 x 14,000); more workers" in drawn
    )
    assert "assumed: a limit that nobody read" == drawn[-1]


def test_an_ablation_shows_what_each_trial_lacks() -> None:
    """A column that other plans do not have."""
    plan = Plan("s", 1, (SPEC, replace(SPEC, index=1, reverted="nofile=1024", bounds=(PORTS,))), ())
    drawn = words(plan_table(plan, LAB))

    assert drawn[1].endswith("why without")
    assert drawn[2].endswith("six (all in place)")
    assert drawn[3].endswith("six nofile=1024")
    assert any(line.startswith("c-epoll hold, nofile=1024 28,232 source ports: impossible") for line in drawn)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "100,000 held 60.0 s"),
        ({"answer": "release"}, "100,000 held until released"),
        ({"kind": "closed", "path": "/plain"}, "100,000 users on /plain"),
        ({"kind": "open", "rate_per_s": 1_000.0, "path": "/plain"}, "1,000/s on /plain"),
        ({"kind": "storm", "every_s": 2.0}, "100,000 each 2.00 s"),
        ({"kind": "ramp", "ramp": Ramp("rate", 50, 9_000, 2, 3, 1, 0.01, 0.1)}, "50 to 9,000/s"),
        ({"kind": "ramp", "ramp": Ramp("connections", 50, 9_000, 2, 3, 1, 0.01, 0.1)}, "50 to 9,000 users"),
    ],
)
def test_a_load_in_a_few_words(changes: dict[str, object], expected: str) -> None:
    """How many, how often, on what."""
    assert expected == load_in_words(replace(HOLD, **changes))  # type: ignore[arg-type]  # the tests name the fields


def test_more_hosts_stand_with_what_was_measured() -> None:
    """Numbers beyond four times the measured are named."""
    row = Extrapolation("c-epoll", "hold", 10, 262_144, UNKNOWN, 100_200)
    drawn = words(extrapolation_table([row]))

    assert "10 hosts of this kind, each with its own servers and load" == drawn[0]
    assert (
        "c-epoll hold 262,144 2,621,440 4 39 conntrack 100,200 extrapolated, untested: together, 1 M, 10 M" == drawn[2]
    )


def test_the_document_says_what_a_reader_would_work_out() -> None:
    """Limit, constraint, what is impossible, what was assumed, how far hosts go."""
    plan = Plan("s", 1, (SPEC, replace(SPEC, index=1, bounds=(PORTS, SEARCH))), ())
    row = Extrapolation("c-epoll", "hold", 1, 262_144, UNKNOWN, 100_200)
    document = json.loads(json.dumps(plan_document(plan, ["x"], [row]), allow_nan=False))
    first, second = document["trials"]

    assert (119_616.0, "server descriptors", False) == (first["limit"], first["binds"], first["bounds"][0]["exceeded"])
    assert (28_232.0, "source ports", True) == (second["limit"], second["binds"], second["bounds"][1]["exceeded"])
    assert [{"trial": 1, "constraint": "source ports", "fix": "more sources", "whose": "container"}] == document[
        "impossible"
    ]
    assert (["x"], [4, 39], ["extrapolated, untested"] * 2) == (
        document["assumed"],
        [goal["hosts"] for goal in document["extrapolations"][0]["goals"]],
        [goal["label"] for goal in document["extrapolations"][0]["goals"]],
    )
    assert "" == document["extrapolations"][0]["per_host_label"]
