"""Who is compared with whom, and what two servers' rounds become."""

from __future__ import annotations

import tomllib
from pathlib import Path

from bench.pairs import PAIRS
from bench.rivals import Turn, compare, spoilt_by, together

ROOT = Path(__file__).resolve().parents[2]
NO_RIVAL = {"nginx", "seed-c", "seed-go"}  # the reference itself, and two specimens that are not to be fast


def test_every_variant_has_a_rival_of_its_own_language() -> None:
    """A new variant needs a line here, or its speed is only asserted."""
    variants = {file.parent.name for file in (ROOT / "servers").glob("[a-z]*/variant.toml")}
    languages = {
        (pair.variant, bare): tomllib.loads((ROOT / folder / "variant.toml").read_text())["language"]
        for pair in PAIRS
        for bare, folder in ((False, f"servers/{pair.variant}"), (True, f"bench/bare/{pair.bare}"))
    }

    assert variants - NO_RIVAL == {pair.variant for pair in PAIRS}
    assert len(PAIRS) == len({pair.variant for pair in PAIRS})
    assert [] == [pair for pair in PAIRS if languages[pair.variant, False] != languages[pair.variant, True]]


def test_the_figure_is_the_worse_of_speed_and_cost() -> None:
    """Where wrk limits both, they answer as many and differ in what it costs; where it does not, in both."""
    limited = [(Turn(100_000.0, 8.0), Turn(100_000.0, 6.0))]
    slower = [(Turn(70_000.0, 10.0), Turn(100_000.0, 10.0))]

    assert 0.75 == compare(limited)[0]
    assert 0.7 == compare(slower)[0]
    assert "0.70 of its answers/s (70,000 of 100,000), 1.00 of its answers per CPU second" in compare(slower)[1]


def test_medians_are_compared_and_a_missing_round_leaves_no_figure() -> None:
    """One round on a busy machine does not decide; one that was not measured makes it another promise."""
    usual = (Turn(90.0, 1.0), Turn(100.0, 1.0))
    missing = Turn(None, None, missing="wrk got no answer")

    assert 0.9 == compare([usual, usual, (Turn(10.0, 9.0), Turn(100.0, 1.0))])[0]
    assert (None, "not measured") == compare([usual, (missing, usual[1])])


def test_what_spoils_a_pair_is_named_with_its_round() -> None:
    """Variant and rival alike: a rival that answers wrongly is no measure."""
    usual = (Turn(90.0, 1.0), Turn(100.0, 1.0))

    assert "" == spoilt_by([usual])
    assert "round 2, rival: 3 wrong or missing answers" == spoilt_by([usual, (usual[0], Turn(1.0, 1.0, wrong=3))])
    assert "round 1, variant: wrk got no answer" == spoilt_by(
        [(Turn(None, None, missing="wrk got no answer"), usual[1])]
    )


def test_turns_of_a_pod_are_one() -> None:
    """The mean of the rates, what an answer took over all answers, every wrong one; a turn that failed spoils them."""
    turns = [Turn(100.0, 4.0, wrong=1), Turn(300.0, 8.0, wrong=2)]

    assert Turn(200.0, 7.0, wrong=3) == together(turns)
    assert Turn(None, None, 3, "wrk got no answer") == together([*turns, Turn(None, None, missing="wrk got no answer")])
