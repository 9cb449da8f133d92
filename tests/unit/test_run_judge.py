"""How a finished run judges itself, for the command's exit code."""

from __future__ import annotations

from orchestrator.model import Plan, Run, TrialResult
from orchestrator.run import judge
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

    assert (("c-uring on plain",), ("c-uring",)) == (outcome.undecided, outcome.unsupported)


def test_void_and_refused_stay_what_they_are() -> None:
    """A variant that failed verification, and one whose trial was void."""
    outcome = judge(run(trial(), trial(variant="a", void="refused: no"), trial(variant="b", void="throttled")))

    assert (("a",), ("a on plain", "b on plain"), ()) == (outcome.refused, outcome.undecided, outcome.unsupported)
