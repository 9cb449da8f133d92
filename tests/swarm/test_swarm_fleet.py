"""Totals become parts: connections add up, arrivals interleave, and the engine's rows are used again."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from swarm import fleet, kinds
from swarm.bulk import Fold
from swarm.engine import binding
from swarm.fleet import Fleet
from swarm.recorder import Recorder
from swarm.settings import Ramp, Scenario, Target
from tests.swarm.compiler import ENGINE

TARGET = Target("v", "127.0.0.1", 9, "http", False)  # nobody listens on discard
NOW_NS = 1_000_000_000_000


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    subprocess.run(["make", "-s", "-C", str(ENGINE)], check=True, timeout=300)


class Played:
    """Stands for the engine: remembers what it is told."""

    def __init__(self) -> None:
        self.groups: list[binding.Group] = []
        self.changes: list[dict[str, float]] = []
        self.windows: list[tuple[int, int]] = []
        self.rows = 0

    def add_row(self, *, by_start: bool) -> int:
        self.rows += 1
        return self.rows - 1

    def add_group(self, row: int, group: binding.Group) -> int:
        self.groups.append(group)
        return len(self.groups) - 1

    def end_group(self, group: int, *, count_unanswered: bool) -> None: ...

    def change_group(self, group: int, **told: float) -> None:
        self.changes.append({"group": group} | told)

    def window(self, start_ns: int, end_ns: int) -> None:
        self.windows.append((start_ns, end_ns))

    def take(self, row: int) -> binding.Record:
        none = binding.Cells(b"")
        return binding.Record(none, none, none, {}, 0, 0, 0, 0, 0, 0)

    def counts(self, row: int) -> dict[str, int]:
        return {"opened": 5}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    engine = Played()
    monkeypatch.setattr(fleet, "Engine", lambda: engine)
    monkeypatch.setattr(fleet, "_now_ns", lambda: NOW_NS)
    yield engine


def make_fleet(share: tuple[int, int] | None = None, me: str = "w0") -> Fleet:
    return Fleet(Recorder(lambda: 0), me, 64, share)


def scenario(kind: str = "closed", **told: Any) -> Scenario:
    return Scenario("x", kind, "/plain", told.pop("delay_s", 0.0), 10.0, users="engine", **told)


def load(fleets: list[Fleet], asked: Scenario, per_user: int, users_each: int = 1) -> None:
    """Begin and end these users, all at once."""
    with ExitStack() as stack:
        for one in fleets:
            for _ in range(users_each):
                stack.enter_context(one.loading(asked, TARGET, per_user, once=True))


def test_shares_of_a_trial_add_up(played: Played) -> None:
    """11 connections and 300/s over three workers: 4, 4 and 3, 100/s each, a third of a period apart."""
    asked = scenario("open", connections=11, rate_per_s=300.0)
    load([make_fleet((n, 3)) for n in range(3)], asked, 0)
    firsts = sorted(group.first_ns % 10_000_000 for group in played.groups)

    assert [4, 4, 3] == [group.connections for group in played.groups]
    assert [100.0] * 3 == [group.rate_per_s for group in played.groups]
    assert [3_333_333, 3_333_334] == [later - sooner for sooner, later in itertools.pairwise(firsts)]
    assert all(group.first_ns > NOW_NS for group in played.groups)


def test_a_worker_without_a_share_of_the_connections_opens_none(played: Played) -> None:
    """Two connections over three workers."""
    load([make_fleet((n, 3)) for n in range(3)], scenario(connections=2), 0)

    assert [1, 1] == [group.connections for group in played.groups]


def test_a_share_is_opened_once_however_many_users_come(played: Played) -> None:
    """A user that Locust moved here from a worker it misses opens nothing; after the first one's end, the next may."""
    one, asked = make_fleet((0, 3)), scenario(connections=9)
    with one.loading(asked, TARGET, 0, once=True), one.loading(asked, TARGET, 0, once=True):
        assert [3] == [group.connections for group in played.groups]
    with one.loading(asked, TARGET, 0, once=True):
        assert [3, 3] == [group.connections for group in played.groups]


def test_users_of_the_arena_take_k_each_and_their_part_of_the_rate(played: Played) -> None:
    """Four users on two workers, seven connections each, a quarter of 400/s each, evenly interleaved."""
    fleets = [make_fleet(me="a"), make_fleet(me="b")]
    for rank, one in enumerate(fleets):
        one.rescale(4, (rank, 2))
    load(fleets, scenario("open", rate_per_s=400.0), 7, users_each=2)

    assert [7] * 4 == [group.connections for group in played.groups]
    assert [100.0] * 4 == [group.rate_per_s for group in played.groups]
    assert {0, 2_500_000, 5_000_000, 7_500_000} == {group.first_ns % 10_000_000 for group in played.groups}


def test_more_users_mean_a_smaller_part_for_each(played: Played) -> None:
    """Edited on the page while it runs."""
    one, asked = make_fleet(), scenario("open", rate_per_s=400.0)
    one.rescale(2, (0, 1))
    with one.loading(asked, TARGET, 1, once=False), one.loading(asked, TARGET, 1, once=False):
        one.rescale(8, (0, 1))

    assert [
        {"group": 0, "rate_per_s": 50.0, "phase": 0.0},
        {"group": 1, "rate_per_s": 50.0, "phase": 0.125},
    ] == played.changes


def test_bursts_begin_together_with_the_window(played: Played) -> None:
    """On every worker at its start; without one, on a grid all workers know."""
    told = scenario("storm", connections=10, every_s=2.0)
    fleets = [make_fleet((n, 2)) for n in range(2)]
    load(fleets, told, 0)
    for one in fleets:
        one._recorder.open_window("w", NOW_NS + 7, NOW_NS + 10**10, NOW_NS)
    load(fleets, told, 0)
    first, second, third, fourth = [group.first_ns for group in played.groups]

    assert first == second
    assert 0 == first % 2_000_000_000
    assert (NOW_NS + 7, NOW_NS + 7) == (third, fourth)


def test_a_ramp_begins_with_its_first_step_and_rises(played: Played) -> None:
    """Loops for connections, arrivals for a rate; each worker its share of every step."""
    ramp = Ramp("connections", 5, 50, 2.0, 1.0, 0.0, 0.01, 0.1)
    fleets = [make_fleet((n, 2)) for n in range(2)]
    with ExitStack() as stack:
        for one in fleets:
            stack.enter_context(one.loading(scenario("ramp", ramp=ramp), TARGET, 0, once=True))
            one.change({"connections": 9})

    assert [("closed", 3), ("closed", 2)] == [(group.kind, group.connections) for group in played.groups]
    assert [{"group": 0, "connections": 5}, {"group": 1, "connections": 4}] == played.changes


def test_loops_with_a_delay_open_spread_over_it(played: Played) -> None:
    """Otherwise every round would be a burst: 100 connections with 4 s answers open at 25/s."""
    load([make_fleet((0, 1))], scenario(connections=100, delay_s=4.0), 0)
    load([make_fleet((0, 1))], scenario(connections=100), 0)
    ramp = Ramp("connections", 5, 50, 2.0, 1.0, 0.0, 0.01, 0.1)
    load([make_fleet((0, 1))], scenario("ramp", delay_s=4.0, ramp=ramp), 0)

    assert [25.0, 0.0, 0.0] == [group.opens_per_s for group in played.groups]


def test_a_trials_hold_keeps_its_connections_open(played: Played) -> None:
    """So that all are open at once can be seen even after the answers; the arena's go on with the next one."""
    one = make_fleet((0, 1))
    hold = scenario("hold", connections=3, delay_s=1.0)
    for once in (True, False):
        with one.loading(hold, TARGET, 0, once=once):
            pass

    assert [(True, True), (False, False)] == [(group.once, group.stays) for group in played.groups]
    assert 1 == played.rows  # the second test uses the first one's row again


def test_a_window_opened_before_the_engine_reaches_it(played: Played) -> None:
    """A trial opens its window before the first user starts the engine."""
    one = make_fleet((0, 1))
    one._recorder.open_window("w", 5, 10, 1)
    load([one], scenario(), 0)

    assert [(5, 10)] == played.windows


def test_nobody_takes_the_place_of_an_engines_row(played: Played) -> None:
    """A complaint, a person's own GET /plain, and a hold of another class: each has a row beside the closed loop's."""
    one = make_fleet((0, 1))
    with one.loading(scenario(), TARGET, 2, once=False):
        closed = one.row(scenario(), TARGET)
        own = one._recorder.row("v", "/plain")
        held = one.row(scenario("hold"), TARGET)

    assert {"/plain"} == {row.name for row in (closed, own, held)}
    assert {id(closed), id(own), id(held)} == {id(row) for row in one._recorder.rows.values()}


def test_the_real_engine_counts_refused_connects_under_their_word() -> None:
    """Nobody listens: the row's piece, part and standing agree, and Locust's statistics get every one."""
    recorder = Recorder(lambda: 0)
    one = Fleet(recorder, "w0", 64, (0, 1))
    try:
        with one.loading(scenario(connections=2), TARGET, 0, once=False):
            (row,) = recorder.rows.values()
            end_s = time.monotonic() + 20.0
            while row.standing()["failed"] < 2 and time.monotonic() < end_s:
                time.sleep(0.01)
        seen = row.standing()["failed"]
        fold = Fold(row, row.take())
        list(fold.steps())
    finally:
        if one.engine is not None:
            one.engine.close()

    assert seen >= 2
    assert {"ECONNREFUSED in connect": seen} == fold.piece.errors
    assert seen == sum(fold.failed_buckets.values())


@pytest.mark.parametrize(
    ("phase", "wrong", "name", "kind"),
    [
        (1, 111, "ECONNREFUSED", "ECONNREFUSED in connect"),
        (3, 104, "ECONNRESET", "ECONNRESET in first byte"),
        (4, 104, "ECONNRESET", "ECONNRESET in body"),
        (0, 24, "EMFILE", "EMFILE in socket"),
        (2, 4000, None, "errno 4000 in send"),
        (3, binding.TIMEOUT, None, "timeout in first byte"),
        (3, binding.CLOSED, None, kinds.CLOSED),
        (4, binding.MALFORMED, None, kinds.MALFORMED),
        (4, binding.LENGTH, None, "wrong length"),
        (4, binding.BODY, None, "wrong body"),
        (3, binding.UNANSWERED, None, "no answer before the end"),
        (4, binding.STATUS + 302, None, "status 302"),
    ],
)
def test_errors_of_the_engine_have_the_words_of_the_others(phase: int, wrong: int, name: str | None, kind: str) -> None:
    """What engine.h numbers, swarm/kinds.py names."""
    assert kind == binding.name_error(phase << 16 | wrong, name)


def test_a_third_of_a_millisecond_is_kept_from_the_engines_cells() -> None:
    """300 us in a cell reads 0.3 in Locust's buckets, with its minimum and maximum."""
    cells = binding.Cells(binding.CELL.pack(300, 4) + binding.CELL.pack(1250, 1))
    row = Recorder(lambda: 0).row("v", "/plain")
    piece = row.take()
    piece.histogram_us = cells
    fold = Fold(row, piece)
    list(fold.steps())

    assert {0.3: 4, 1.2: 1} == fold.response_times
    assert (300, 1250, 5) == (fold.least_us, fold.most_us, fold.answered)


def test_a_missing_library_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line with the path and the command; a broken one differs from none."""
    monkeypatch.setenv("LAB_ENGINE", str(tmp_path / "none.so"))
    with pytest.raises(binding.EngineMissing, match=r"none\.so is not there; build it: make -C swarm/engine"):
        binding.Engine()
    (tmp_path / "broken.so").write_bytes(b"no library")
    monkeypatch.setenv("LAB_ENGINE", str(tmp_path / "broken.so"))
    with pytest.raises(binding.EngineMissing, match=r"broken\.so cannot be loaded; build it"):
        binding.Engine()
