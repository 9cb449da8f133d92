"""A load's own ceiling: who reached it is known to be at least as fast, and nobody else."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.model import Plan, Run, TrialResult
from orchestrator.verdicts.ceiling import AT_CEILING, find_ceilings, is_censored, mark
from orchestrator.verdicts.summary import summarise_run
from orchestrator.verdicts.validity import GENERATOR_LIMITED
from tests.unit.test_verdicts_compare import trial


def limited(block: int, variant: str, throughput: float) -> TrialResult:
    return replace(trial(block, variant, throughput), notes=(GENERATOR_LIMITED,))


def censored(*trials: TrialResult) -> list[str]:
    return [f"{one.spec.variant} {one.spec.block}" for one in mark(trials) if is_censored(one)]


def test_whoever_comes_as_near_as_the_same_thing_twice_is_at_the_ceiling() -> None:
    """2 % below the reference of the same block is at it, 5 % below is a figure of the variant's own."""
    reference = [limited(0, "c-epoll", 100_000.0), limited(1, "c-epoll", 80_000.0)]

    assert ["c-epoll 0", "c-epoll 1", "near 0", "near 1"] == censored(
        *reference, trial(0, "near", 98_000.0), trial(1, "near", 79_000.0), trial(0, "own", 95_000.0)
    )


def test_the_ceiling_is_that_of_the_block_since_the_machine_drifts() -> None:
    """What was the ceiling of a slow block is ordinary in a quick one; a block without one has the usual."""
    reference = [limited(0, "c-epoll", 100_000.0), limited(1, "c-epoll", 60_000.0), limited(3, "c-epoll", 80_000.0)]

    assert "own 0" not in censored(*reference, trial(0, "own", 62_000.0))
    assert "own 1" in censored(*reference, trial(1, "own", 62_000.0))
    assert "own 2" in censored(*reference, trial(2, "own", 81_000.0))


def test_the_reference_is_the_fastest_of_those_that_filled_the_generator() -> None:
    """A slower one that filled it too (its answers cost more to read) sets no ceiling for others."""
    found = find_ceilings([limited(0, "c-epoll", 100_000.0), limited(0, "talkative", 50_000.0)])

    assert ["c-epoll"] == [ceiling.variant for ceiling in found.values()]


def test_without_a_limited_trial_there_is_no_ceiling_and_a_void_one_is_none() -> None:
    """Nobody's figure is taken for a bound without evidence."""
    void = replace(limited(0, "c-epoll", 100_000.0), void="a worker went")

    assert [] == censored(trial(0, "a", 100_000.0), trial(0, "b", 99_000.0))
    assert ["c-epoll 0"] == censored(void, trial(0, "b", 99_000.0))  # by its own note alone
    assert {} == find_ceilings([void])


def test_an_open_load_has_no_ceiling_of_this_kind() -> None:
    """Its clock sets the rate, the same for everybody."""
    clocked = [replace(one, spec=replace(one.spec, kind="open")) for one in (limited(0, "a", 1e3), trial(0, "b", 1e3))]

    assert {} == find_ceilings(clocked)
    assert AT_CEILING not in mark(clocked)[1].notes


def test_a_row_at_the_ceiling_is_shown_as_at_least() -> None:
    """The table's sign for a bound stands beside it as beside the reference."""
    trials = (limited(0, "c-epoll", 100_000.0), trial(0, "near", 99_000.0), trial(0, "own", 50_000.0))
    rows = summarise_run(Run("r", "s", "", "", {}, Plan("s", 1, tuple(t.spec for t in trials), ()), trials))

    assert [True, True, False] == [row.is_at_least for row in rows]
