"""How a finished run judges itself, for the command's exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import EnvironmentMissing
from orchestrator.lock import only_one
from orchestrator.model import Plan, Run, TrialResult
from orchestrator.verdicts.outcome import judge
from tests.unit.test_verdicts_summary import trial


def run(*trials: TrialResult) -> Run:
    """Return the run that these are."""
    return Run("id", "quick", "", "", {}, Plan("quick", 1, tuple(t.spec for t in trials), ()), trials)


def test_what_this_machine_refuses_is_nobodys_failure() -> None:
    """Another pairing ran: the run says something, and says what it could not."""
    outcome = judge(run(trial(), trial(variant="c-uring", void="unsupported: io_uring: EPERM")))

    assert ((), (), ("c-uring",)) == (outcome.refused, outcome.undecided, outcome.unsupported)


def test_a_run_of_nothing_but_the_unsupported_says_nothing() -> None:
    """Its exit code must not be that of a run with figures."""
    outcome = judge(run(trial(variant="c-uring", void="unsupported: io_uring: EPERM")))

    assert (("c-uring on plain (0 of 1, 1 needed)",), ("c-uring",)) == (outcome.undecided, outcome.unsupported)


def test_void_and_refused_stay_what_they_are() -> None:
    """A variant that failed verification, and one whose trial was void."""
    outcome = judge(run(trial(), trial(variant="a", void="refused: no"), trial(variant="b", void="throttled")))

    assert (("a",), ()) == (outcome.refused, outcome.unsupported)
    assert ["a on plain", "b on plain"] == [one.partition(" (")[0] for one in outcome.undecided]


@pytest.mark.parametrize(
    ("planned", "valid", "is_enough"), [(2, 1, True), (3, 1, False), (5, 3, True), (10, 6, True), (10, 5, False)]
)
def test_too_few_valid_trials_leave_a_pairing_undecided(planned: int, valid: int, is_enough: bool) -> None:
    """A small run needs half of what it planned, one for verdicts as many as a verdict does."""
    trials = [trial(block=block, void=None if block < valid else "throttled") for block in range(planned)]

    assert is_enough == (not judge(run(*trials)).undecided)


def test_a_state_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    """A file has its name, or nobody may write there: exit code 3 and what to look at, no defect of the lab."""
    (tmp_path / ".lab").write_text("")
    said = pytest.raises(EnvironmentMissing, match=r"\.lab/lock: cannot be written: File exists\. Try: ls -ld ")
    with said, only_one(tmp_path / ".lab", "up"):
        pass
