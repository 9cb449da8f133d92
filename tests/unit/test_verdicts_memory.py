"""What one more connection costs: seeded holds with a known slope, and what keeps a line from being drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from orchestrator.model import Metrics, Plan, Run, TrialResult, TrialSpec
from orchestrator.report.asjson import show_document
from orchestrator.report.memorytable import memory_remarks
from orchestrator.report.sidebyside import side_by_side
from orchestrator.verdicts.measured import SOCKETS_BY_DIAG
from orchestrator.verdicts.memory import MemoryFit, fit, fit_run

SIZES = (500, 1000, 2000, 4000)
KERNEL, USER = 1480.0, 220.0  # of an epoll server, as the exporter's own notes have it


def hold(held: int, seed: int = 0, spread: float = 4096.0, **changes: Any) -> TrialResult:
    """A hold of an epoll server whose first MiB is its own; each part is uncertain by a page."""
    noise = np.random.default_rng((seed, held)).normal(0.0, spread, 2)
    kernel, user = KERNEL * held + noise[0], USER * held + float(1 << 20) + noise[1]
    metrics: dict[str, Any] = {
        "connections_requested": held, "connections_held": held, "memory_bytes": kernel + user,
        "memory_kernel_bytes": kernel, "memory_user_bytes": user,
    }  # fmt: skip
    metrics.update({key: changes.pop(key) for key in list(changes) if key in Metrics.__dataclass_fields__})
    reverted = changes.pop("reverted", "")
    spec = TrialSpec(0, seed, "c-epoll", f"hold-{held}", "hold", "default", 1, 1, "", "engine", reverted)
    missing = {"memory_socket_bytes": "cgroup v1 charges socket memory to nobody"}
    return replace(TrialResult(spec, None, Metrics(**metrics), missing, {}, (), (), "", 1.0, 1.0), **changes)


def fitted(*trials: TrialResult) -> MemoryFit:
    found = fit("c-epoll", trials)
    assert found is not None
    return found


def holds(repetitions: int = 2, **changes: Any) -> list[TrialResult]:
    return [hold(held, seed, **changes) for seed in range(repetitions) for held in SIZES]


def test_the_slope_is_the_planted_one_and_the_base_is_not_in_it() -> None:
    """1,700 bytes each; one hold of 500 would say 3,797, because it spreads the first MiB over them."""
    found = fitted(*holds())

    assert found.whole.low < KERNEL + USER < found.whole.high
    assert KERNEL + USER == pytest.approx(found.whole.bytes_each, rel=0.01)
    assert float(1 << 20) == pytest.approx(found.whole.base_bytes, rel=0.02)
    assert found.kernel is not None
    assert found.user is not None
    assert found.whole.bytes_each == pytest.approx(found.kernel.bytes_each + found.user.bytes_each)
    assert (SIZES, 8, True) == (found.sizes, len(found.points), found.is_straight)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Of 300 suites at least 92 % cover it: 95 % less three standard errors of such a count."""
    covered = 0
    for seed in range(300):
        trials = [hold(held, 1000 + 2 * seed + n, 16384.0) for held in SIZES for n in (0, 1)]
        slope = fitted(*trials).whole
        covered += slope.low <= KERNEL + USER <= slope.high

    assert covered >= 274


def test_a_part_that_is_not_accounted_has_its_reason_and_no_number() -> None:
    """Under cgroup v1 nobody knows what sockets take; where it is known it has its slope."""
    found = fitted(*holds())
    known = fitted(*[replace(t, metrics=replace(t.metrics, memory_socket_bytes=3.0 * (t.metrics.connections_held or 0)))
                     for t in holds()])  # fmt: skip

    assert (None, {"socket": "cgroup v1 charges socket memory to nobody"}) == (found.socket, found.missing)
    assert known.socket is not None
    assert 3.0 == pytest.approx(known.socket.bytes_each)
    assert not known.missing
    assert ("", "cgroup") == (found.socket_source, known.socket_source)


def test_sockets_by_inet_diag_are_said_to_be_beside_the_whole() -> None:
    """The fit names its source, and a line below the table says what that means for whom."""
    told = [
        replace(t, notes=(SOCKETS_BY_DIAG,), metrics=replace(t.metrics, memory_socket_bytes=2_304.0 * (held or 0)))
        for t in holds()
        if (held := t.metrics.connections_held)
    ]
    other = [replace(t, spec=replace(t.spec, variant="other")) for t in holds()]
    found, unknown = fitted(*told), fit("other", other)

    assert unknown is not None
    assert found.socket is not None
    assert "inet_diag" == found.socket_source
    assert 2_304.0 == pytest.approx(found.socket.bytes_each)
    said = "sockets by inet_diag: cgroup v1 charges them to nobody, so the whole is without them"
    assert [said] == memory_remarks([found])
    assert f"{said} (c-epoll)" in memory_remarks([found, unknown])


def test_only_whole_valid_holds_with_all_settings_in_place_are_points() -> None:
    """Void, incomplete and reverted ones, other kinds and unread memory say nothing of a connection's cost."""
    spoilt = [
        hold(8000, void="a worker went"),
        hold(8000, connections_held=7000),
        hold(8000, reverted="nofile=1024"),
        hold(8000, memory_bytes=None),
        replace(hold(8000), spec=replace(hold(8000).spec, kind="closed")),
    ]

    assert SIZES == fitted(*holds(), *spoilt).sizes


def test_two_sizes_or_three_points_are_no_line() -> None:
    """Two always lie on one, and three leave an interval that says nothing."""
    assert fit("c-epoll", [hold(500, 1), hold(1000, 1), hold(500, 2), hold(1000, 2)]) is None
    assert fit("c-epoll", [hold(500), hold(1000), hold(2000)]) is None


def test_memory_that_grows_in_steps_is_said_to_lie_on_no_line() -> None:
    """A server that doubles a table costs nothing for a while, and then for thousands at once."""
    stairs = {500: 2e6, 1000: 2e6, 2000: 2e6, 4000: 9e6}
    found = fitted(*(replace(t, metrics=replace(t.metrics, memory_bytes=stairs[t.metrics.connections_held or 0]))
                     for t in holds()))  # fmt: skip

    assert not found.is_straight


def test_memory_that_does_not_grow_at_all_costs_nothing() -> None:
    """A slope of zero is a finding, and no division by it."""
    found = fitted(*(replace(t, metrics=replace(t.metrics, memory_bytes=5e6)) for t in holds()))

    assert (0.0, 0.0, 0.0, 5e6) == (
        found.whole.bytes_each, found.whole.low, found.whole.high, found.whole.base_bytes
    )  # fmt: skip
    assert found.is_straight


def test_the_tables_end_with_what_a_connection_costs() -> None:
    """In the terminal and as JSON, with what is not known and why."""
    trials = tuple(replace(t, spec=replace(t.spec, index=n)) for n, t in enumerate(holds()))
    run = Run("r", "memory", "a", "b", {}, Plan("memory", 1, tuple(t.spec for t in trials), ()), trials)
    console = Console(file=StringIO(), record=True, width=120, highlight=False)
    for one in side_by_side(run):
        console.print(one)
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    shown = json.loads(json.dumps(show_document(run)))["memory"][0]
    (slope,) = [one.whole.bytes_each for one in fit_run(run)]

    assert any(line.startswith("c-epoll 1.66 KiB 1.66 KiB to 1.67 KiB 220 B 1.45 KiB - 1,0") for line in lines), lines
    assert "no socket memory: cgroup v1 charges socket memory to nobody" in lines
    assert slope == shown["whole"]["bytes_each"]
