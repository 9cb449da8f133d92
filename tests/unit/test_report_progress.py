"""Progress in plain lines, on a terminal, and its remaining time from measured durations."""

from io import StringIO

import pytest
from rich.console import Console

from orchestrator.model import Scenario
from orchestrator.report.progress import Progress
from orchestrator.report.remaining import Step, loaded_s, remaining_s

STEPS = (Step("a", 8.0), Step("b", 8.0), Step("c", 20.0))


class HandClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("took_s", "current_s", "expected_s"),
    [
        ((), 0.0, None),  # nothing measured, nothing claimed
        ((12.0,), 0.0, 36.0),  # 4 s around each: 12 + 24
        ((12.0,), 5.0, 31.0),
        ((12.0,), 30.0, 24.0),  # b overruns: it counts as about to end, c stays
        ((12.0, 14.0), 0.0, 25.0),  # mean surplus 5
        ((2.0,), 0.0, 16.0),  # faster than planned: 2 + 14
        ((12.0, 14.0, 26.0), 0.0, 0.0),
    ],
)
def test_remaining_is_known_part_plus_measured_surplus(
    took_s: tuple[float, ...], current_s: float, expected_s: float | None
) -> None:
    """Steps of unlike length are each given their own load and the mean overhead so far."""
    assert expected_s == remaining_s(STEPS, took_s, current_s)


def test_plain_stream_gets_one_line_per_event() -> None:
    """No control codes: begin with the time left once it is known, end with what it took."""
    file, clock = StringIO(), HandClock()
    with Progress(Console(file=file, width=20), clock).stage("trial", STEPS) as stage:
        for took_s, note in ((12.0, ""), (13.0, "void: [no] worker"), (25.5, "")):
            stage.begin()
            clock.now_s += took_s
            stage.end(note)

    assert [
        "trial 1/3: a",
        "trial 1/3: a took 12.0 s",
        "trial 2/3: b (about 36 s left)",
        "trial 2/3: b took 13.0 s, void: [no] worker",
        "trial 3/3: c (about 24 s left)",
        "trial 3/3: c took 25.5 s",
    ] == file.getvalue().splitlines()


def test_a_stage_that_an_earlier_process_began_goes_on_counting() -> None:
    """The remaining time is there from the first line on, by what the earlier steps took."""
    file, clock = StringIO(), HandClock()
    with Progress(Console(file=file, width=80), clock).stage("trial", STEPS, [12.0]) as stage:
        stage.begin()
        clock.now_s += 13.0
        stage.end()

    assert ["trial 2/3: b (about 36 s left)", "trial 2/3: b took 13.0 s"] == file.getvalue().splitlines()


def test_steps_side_by_side_come_to_an_end_in_any_order() -> None:
    """Each under its own name, with the time it took itself."""
    file = StringIO()
    with Progress(Console(file=file, width=80)).stage("building images", STEPS) as stage:
        stage.complete("c", 2.0)
        stage.complete("a", 3.5)

    assert ["building images 1/3: c took 2.0 s", "building images 2/3: a took 3.5 s"] == file.getvalue().splitlines()


def test_terminal_gets_a_live_line_that_counts_to_the_end() -> None:
    """All steps counted, the outcome in words kept above the bar, brackets not read as markup."""
    file, clock = StringIO(), HandClock()
    console = Console(file=file, width=100, force_terminal=True, color_system=None)
    with Progress(console, clock).stage("building images", (Step("base [x]"), Step("go"))) as stage:
        stage.begin()
        clock.now_s += 3.0
        stage.end("retried [once]")
        stage.begin()
        clock.now_s += 3.0
        stage.end()

    assert "base [x]: retried [once]" in file.getvalue()
    assert "2/2" in file.getvalue()


def test_stage_that_fails_leaves_the_error_alone() -> None:
    """What was raised within comes out, on a terminal too."""
    for terminal in (False, True):
        console = Console(file=StringIO(), force_terminal=terminal)
        with pytest.raises(KeyboardInterrupt), Progress(console).stage("trial", STEPS) as stage:
            stage.begin()
            raise KeyboardInterrupt


def test_steps_out_of_order_are_a_mistake() -> None:
    """A step's duration cannot be invented, and there are only as many as were named."""
    with Progress(Console(file=StringIO())).stage("image", (Step("a"),)) as stage:
        with pytest.raises(RuntimeError, match="image: a step ended that was never begun"):
            stage.end()
        stage.begin()
        stage.end()
        with pytest.raises(RuntimeError, match="image: all 1 steps have ended"):
            stage.begin()


def test_time_under_load_is_known_beforehand() -> None:
    """Closed: warm-up and window. Hold: at the least its delay, since the window ends with the last answer."""
    assert 8.0 == loaded_s(Scenario("plain", "", "closed", "/plain", 50, 0.0, 2.0, 6.0, 10.0))
    assert 5.0 == loaded_s(Scenario("hold-2k", "", "hold", "/delay", 2000, 5.0, 0.0, 0.0, 10.0))
