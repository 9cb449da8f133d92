"""The benchmark's pure parts: which lines there are, when one holds, and what the rounds become."""

from __future__ import annotations

import pytest

from bench.lines import EXPERIMENTS, LINES, Line, Measured, document, holds, median, worst
from bench.pairs import PAIRS

AT_MOST = Line("time", "hold", "s", "at most", 6.0)
AT_LEAST = Line("ratio", "throughput", "", "at least", 1.0)
EXACTLY = Line("failed", "hold", "connections", "exactly", 0)


@pytest.mark.parametrize(
    ("line", "value", "expected"),
    [
        (AT_MOST, 6.0, True),
        (AT_MOST, 6.001, False),
        (AT_LEAST, 1.0, True),
        (AT_LEAST, 0.999, False),
        (EXACTLY, 0, True),
        (EXACTLY, 1, False),
    ],
)
def test_a_line_holds_up_to_its_goal_and_no_further(line: Line, value: float, expected: bool) -> None:
    """The goal itself holds; the next value beyond it does not."""
    assert expected is holds(line, Measured(value))


@pytest.mark.parametrize("measured", [None, Measured(None), Measured(5.0, "round 1 is void: two workers of six")])
def test_what_was_not_measured_or_was_spoilt_never_holds(measured: Measured | None) -> None:
    """A missing figure is no figure of 0, and one from a void round is none either."""
    assert not holds(AT_MOST, measured)


def test_the_document_has_every_line_even_when_nothing_was_measured() -> None:
    """Nobody can mistake a line that is absent for one that holds."""
    entries = document(LINES, {}, {})

    assert [line.name for line in LINES] == list(entries)
    assert {(None, False)} == {(entry["value"], entry["holds"]) for entry in entries.values()}
    assert {"value", "unit", "goal", "holds"} == set(entries[LINES[0].name])


def test_an_entry_keeps_its_value_when_it_fails() -> None:
    """A failed figure is written with what was seen."""
    entries = document([AT_MOST], {"time": Measured(7.5)}, {})

    assert {"time": {"value": 7.5, "unit": "s", "goal": "at most 6 s", "holds": False}} == entries


def test_an_earlier_entry_stands_only_where_this_run_measured_nothing() -> None:
    """What was measured anew replaces what was known, also by nothing."""
    earlier = {"time": {"value": 5.0, "holds": True}, "ratio": {"value": 1.2, "holds": True}}
    entries = document([AT_MOST, AT_LEAST], {"time": Measured(None)}, earlier)

    assert (None, False) == (entries["time"]["value"], entries["time"]["holds"])
    assert earlier["ratio"] == entries["ratio"]


def test_the_median_of_rounds_is_the_middle_one() -> None:
    """One round that met a busy machine does not decide."""
    assert 5.0 == median([4.9, 30.0, 5.0])


def test_a_round_without_a_figure_leaves_no_median() -> None:
    """Three rounds were promised; the median of two would be another figure."""
    assert median([4.9, None, 5.0]) is None
    assert median([]) is None


def test_the_worst_round_is_the_farthest_on_the_wrong_side() -> None:
    """What must hold in every round is judged by the one that is worst."""
    assert 7.0 == worst([5.0, 7.0], "at most", 6.0)
    assert 0.9 == worst([0.9, 1.1], "at least", 1.0)
    assert 99_999 == worst([100_000, 99_999], "exactly", 100_000)
    assert worst([0, None], "exactly", 0) is None


def test_names_are_unique_and_every_experiment_has_a_line() -> None:
    """Two lines of one name would overwrite each other in bench.json."""
    assert len(LINES) == len({line.name for line in LINES})
    assert set(EXPERIMENTS) == {line.experiment for line in LINES}


def test_the_goals_are_those_of_the_issue() -> None:
    """The promised numbers, in one place that a slip of the pen cannot change unseen."""
    goals = {line.name: (line.bound, line.goal) for line in LINES}

    for variant in ("c-epoll", "go-nethttp"):
        assert ("at most", 6.0) == goals[f"hold-100k {variant} engine: all established"]
        assert ("at most", 15.0) == goals[f"hold-100k {variant} locust: all established"]
        for users in ("engine", "locust"):
            hold = f"hold-100k {variant} {users}"
            assert ("exactly", 0) == goals[f"{hold}: failed"]
            assert ("exactly", 100_000) == goals[f"{hold}: answered"] == goals[f"{hold}: shown in the web UI"]
            assert ("at least", 100_000) == goals[f"{hold}: counted by the server"]
        assert ("at most", 0.6) == goals[f"hold-100k {variant} engine: workers' memory"]
    assert ("at least", 1_000_000) == goals["million c-epoll engine: held"]
    assert ("exactly", 0) == goals["million c-epoll engine: failed"]
    assert ("at least", 1.0) == goals["throughput engine / wrk"]
    assert ("at least", 1.0) == goals["variants c-epoll / nginx"]
    assert ("at least", 1.0) == goals["variants c-uring / nginx"]
    assert {("at least", 0.8)} == {goals[pair.line] for pair in PAIRS}
    assert ("at least", 9_990) == goals["active-100k engine: answered"]
    assert ("at most", 0.05) == goals["active-100k engine: longest latency beyond its 10 s"]
    assert ("at most", 0.02) == goals["truth: worst deviation of p50, p90, p99, p99.9"]
    assert ("exactly", 1.0) == goals["truth: closed trials that say so"]
