"""A night's verdict: its word, its exit code, its two sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from orchestrator.model import Run
from orchestrator.verdicts.night import Night, judge_night
from tests.unit.nights import HOST, host, steady

LEVELS = {"fast": 1000.0, "rock": 500.0, "stone": 300.0}


def judged(tonight: Run, earlier: Sequence[Run] = (), baseline: Run | None = None, **more: Any) -> Night:
    return judge_night(tonight, earlier, baseline, lambda *_: 0.03, ["rock", "stone"], **more)


def night(number: int, **changes: float) -> Run:
    return steady(number, {**LEVELS, **changes})


def test_a_first_night_is_fine_and_asks_for_a_baseline() -> None:
    """Nothing is worse than nothing; the A/A difference is told from the first night on."""
    found = judged(night(1))

    assert ("fine", 0, "") == (found.word, found.exit_code, found.baseline)
    assert found.sentences == (
        "No baseline is accepted yet, so nothing was compared (lab baseline accept).",
        "In 1 night of history nothing changed.",
    )
    assert {("plain", "throughput_per_s")} == set(found.tonight) == set(found.noise)


def test_a_night_like_the_baseline_is_fine() -> None:
    """Counted in words."""
    found = judged(night(2), [night(1)], night(1))

    assert ("fine", 0) == (found.word, found.exit_code)
    assert "Nothing is known to be worse than the baseline: 3 figures the same." == found.sentences[0]
    assert "In 2 nights of history nothing changed." == found.sentences[1]


def test_a_slower_variant_is_a_regression() -> None:
    """Exit 1; the sentence names variant, scenario, figure and size."""
    found = judged(night(2, fast=900.0), [night(1)], night(1))

    assert ("regression", 1) == (found.word, found.exit_code)
    assert ["fast"] == [one.candidate for one in found.regressions]
    assert found.sentences[0].startswith("Worse than the baseline: fast on plain (throughput -")
    assert ("fast is worse, and its image is the baseline's: look at what is around it first",) == found.remarks


def test_what_is_different_since_the_baseline_is_named() -> None:
    """A kernel, and the image of the variant that became slower: then it is no riddle."""
    fresh = host(kernel="6.19", images={"fast": "eeee", "rock": "bbbb", "stone": "cccc"})
    found = judged(replace(night(2, fast=900.0), host=fresh), [], night(1))

    assert ("different since the baseline: kernel 6.18.1 -> 6.19",) == found.remarks


def test_what_the_machine_did_is_said_and_no_regression() -> None:
    """All stable variants lost a fifth."""
    slow = steady(2, {name: level * 0.8 for name, level in LEVELS.items()})
    found = judged(slow, [night(1)], night(1))

    assert ("fine", 0) == (found.word, found.exit_code)
    assert (
        "since the baseline the machine itself changed, all stable variants agree: throughput on plain -"
        in (found.sentences[1])
    )


def test_too_few_blocks_are_undecided() -> None:
    """Exit 4: nothing was found, because nothing could be."""
    found = judged(steady(2, LEVELS, blocks=5), [], night(1))

    assert ("undecided", 4) == (found.word, found.exit_code)
    assert "Nothing can be said of fast on plain, rock on plain and stone on plain." == found.sentences[0]


def test_a_baseline_of_other_variants_is_no_comparison() -> None:
    """Nothing in common: undecided, because a night that was not compared must not look fine."""
    found = judged(night(2), [], steady(1, {"old": 1.0}, control="old"))

    assert ("undecided", 4) == (found.word, found.exit_code)
    assert "Tonight and the baseline have no pairing in common, so nothing was compared." == found.sentences[0]


def test_a_refused_variant_is_a_failure_and_a_void_pairing_undecided() -> None:
    """As of any run: 1 before 4."""
    refused = judged(night(1), refused=["stone"], undecided=["stone on plain"])
    undecided = judged(night(1), undecided=["stone on plain"])

    assert (1, 4) == (refused.exit_code, undecided.exit_code)
    assert "Stone failed verification; nothing can be said of stone on plain" == refused.sentences[0][:64]


def test_a_baseline_that_cannot_be_used_leaves_the_night_undecided() -> None:
    """Gone, or of another machine: a night that was not compared must not look fine."""
    gone = judged(night(2), trouble="RUN is not among the results any more")
    elsewhere = judged(night(2), baseline=replace(night(1), host=host(cpu_model="another")))

    assert (4, 4) == (gone.exit_code, elsewhere.exit_code)
    assert "the accepted baseline cannot be used: RUN is not among" in gone.sentences[0]
    assert "ran on another machine" in elsewhere.sentences[0]


def test_the_history_tells_of_the_last_week_only() -> None:
    """An old change is in the table; the sentence is about news."""
    slow = {**LEVELS, "fast": 850.0}
    old = [steady(n, LEVELS if n < 10 else slow) for n in range(30)]
    recent = [steady(n, LEVELS if n < 25 else slow) for n in range(29)]
    of_old, of_recent = judged(old[-1], old[:-1]), judged(recent[-1], recent[:-1])

    assert "In 30 nights of history nothing changed within the last 7." == of_old.sentences[1]
    assert (["fast"], ["fast"]) == ([c.variant for c in of_old.changes], [c.variant for c in of_recent.changes])
    assert of_recent.sentences[1].startswith(
        "In 29 nights of history these changed lately: fast on plain (throughput -1"
    )


def test_nights_of_another_machine_are_counted_out_loud() -> None:
    """They are no history of this one."""
    found = judged(night(3), [replace(night(1), host=host(cpus=64)), night(2)])

    assert 2 == found.nights
    assert ("1 earlier nights are of another machine, and no part of this history",) == found.remarks


def test_a_night_without_an_a_a_pair_says_so() -> None:
    """Its noise is not known."""
    bare = night(1)
    spoilt = [replace(t, void="no") if t.spec.variant.endswith("~control") else t for t in bare.trials]
    found = judged(replace(bare, trials=tuple(spoilt), host=HOST))

    assert ("no A/A pair was measured tonight: what this machine shows of itself is not known",) == found.remarks
