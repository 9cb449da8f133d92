"""What a connection costs: two points give a slope; a calibration counts on its own machine, else the reference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.hosts.calibration import keep_calibration, read_calibration
from orchestrator.model import Variant
from orchestrator.planning.costs import (
    Calibration,
    EndCost,
    GeneratorCost,
    Point,
    costs_of,
    dump_calibration,
    merge,
    parse_calibration,
    reference_server,
    slope,
)

HERE = {"kernel": "6.18", "cpu_model": "x", "memory_gib": "24", "engine": "20.10"}
EPOLL = Variant("c-epoll", "", "c", "one epoll loop", "c", Path("/s"), "http", 8080, False, "one", (2, 6), ())
COST = EndCost(81.5, 3_900.25, True)
ENGINE = GeneratorCost(700.0, 3_800.0, 4e7, 25_000.0, 150_000.0, True)
KEPT = Calibration(HERE, {"c-epoll": COST}, {"engine": ENGINE})


def test_slope_is_growth_over_more_connections() -> None:
    """What is there without a connection cancels out."""
    found = slope(Point(1_000, 50e6, 10e6), Point(4_000, 50e6 + 3_000 * 250, 10e6 + 3_000 * 4_000))

    assert EndCost(250.0, 4_000.0, True) == found


def test_growth_within_page_noise_is_no_cost() -> None:
    """A server that shrank by a page while 3,000 connected costs nothing that can be told."""
    assert EndCost(0.0, 0.0, True) == slope(Point(1_000, 2e6, 1e6), Point(4_000, 2e6 - 4_096, 1e6))


@pytest.mark.parametrize(
    ("low", "high", "reason"),
    [
        (Point(1_000, 0, 0), Point(1_999, 0, 0), "saw 1,000 and 1,999; take 1,000 and 4,000"),
        (Point(0, 0, 0), Point(4_000, 0, 0), "saw 0 and 4,000"),
        (Point(1_000, 9e6, 0), Point(4_000, 8e6, 0), "the process's memory shrank by 1,000,000 bytes"),
        (Point(1_000, 0, 9e6), Point(4_000, 0, 8e6), "the kernel's memory shrank by 1,000,000 bytes"),
    ],
)
def test_points_that_tell_nothing_are_refused(low: Point, high: Point, reason: str) -> None:
    """A failure is never turned into a number."""
    with pytest.raises(ValueError, match=reason):
        slope(low, high)


def test_calibrated_costs_count_on_their_own_machine() -> None:
    """Both ends, each as far as it was measured."""
    costs = costs_of(EPOLL, "engine", KEPT, HERE)

    assert (COST, ENGINE) == (costs.server, costs.generator)
    assert not costs_of(replace(EPOLL, name="other"), "locust", KEPT, HERE).server.calibrated


@pytest.mark.parametrize(("key", "value"), [("kernel", "6.19"), ("cpu_model", "y"), ("engine", "29")])
def test_another_machines_calibration_counts_nowhere(key: str, value: str) -> None:
    """The reference's constants do then, and say that they were not measured here."""
    costs = costs_of(EPOLL, "engine", KEPT, {**HERE, key: value})

    assert (False, False, 100.0) == (costs.server.calibrated, costs.generator.calibrated, costs.server.user_bytes)


def test_an_engine_that_was_not_asked_is_no_other_machine() -> None:
    """`lab plan` asks no engine, and knows its version only after the first run."""
    assert costs_of(EPOLL, "engine", KEPT, {**HERE, "engine": "unknown"}).server.calibrated


@pytest.mark.parametrize(
    ("changes", "user_bytes"),
    [
        ({}, 100.0),
        ({"technique": "io_uring, direct descriptors"}, 40.0),
        ({"threads": "per-connection"}, 8_300.0),
        ({"language": "go", "technique": "net/http"}, 15_000.0),
        ({"language": "go", "technique": "raw connections"}, 4_200.0),
        ({"language": "python", "technique": "asyncio Protocol"}, 3_300.0),
        ({"language": "python", "technique": "asyncio streams"}, 5_600.0),
        ({"language": "zig"}, 15_000.0),
    ],
)
def test_a_technique_costs_what_the_reference_measured(changes: dict[str, str], user_bytes: float) -> None:
    """By the manifest's words; an unknown language as much as the dearest event loop."""
    found = reference_server(replace(EPOLL, **changes))  # type: ignore[arg-type]  # the tests name the fields rightly

    assert (user_bytes, False) == (found.user_bytes, found.calibrated)


def test_a_calibration_survives_its_file(tmp_path: Path) -> None:
    """Written, read back, exactly."""
    path = keep_calibration(tmp_path, KEPT)

    assert KEPT == parse_calibration(dump_calibration(KEPT)) == read_calibration(tmp_path)
    assert [path] == list(tmp_path.iterdir())


def test_a_later_calibration_keeps_the_rest_of_an_earlier_one(tmp_path: Path) -> None:
    """On the same machine; another machine's is replaced."""
    new = Calibration(HERE, {"go-nethttp": COST, "c-epoll": replace(COST, user_bytes=1.0)})
    keep_calibration(tmp_path, KEPT)
    keep_calibration(tmp_path, new)
    kept = read_calibration(tmp_path)

    assert kept is not None
    assert ({"c-epoll": 1.0, "go-nethttp": 81.5}, {"engine": ENGINE}) == (
        {name: cost.user_bytes for name, cost in kept.variants.items()},
        kept.generators,
    )
    assert new == merge(replace(KEPT, fingerprint={**HERE, "kernel": "5.4"}), new)


def test_no_calibration_is_none(tmp_path: Path) -> None:
    """Most machines have none at first."""
    assert read_calibration(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"fingerprint": {}, "variants": []}',
        '{"fingerprint": {}, "variants": {"x": {"user_bytes": 1}}}',
        '{"fingerprint": {}, "variants": {"x": {"user_bytes": -1, "kernel_bytes": 1}}}',
        '{"fingerprint": {}, "variants": {"x": {"user_bytes": NaN, "kernel_bytes": 1}}}',
        '{"fingerprint": {}, "generators": {"engine": 7}}',
    ],
)
def test_a_damaged_calibration_is_named_and_can_be_replaced(tmp_path: Path, text: str) -> None:
    """One line with the file and the way out; a new calibration takes its place."""
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(BadInput, match=r"calibration\.json: expected what lab tune --calibrate wrote, saw: "):
        read_calibration(tmp_path)
    keep_calibration(tmp_path, KEPT)

    assert KEPT == read_calibration(tmp_path)
