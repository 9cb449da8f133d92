"""What the looks at the exporter and the pairs with it and without become."""

from __future__ import annotations

from bench.exporter import HELD, JUDGED, RATIO, VARIANT, Looked, add_lines
from bench.lines import LINES, holds
from bench.outcome import Outcome
from bench.wrk import Slot

BY_NAME = {line.name: line for line in LINES}
NAMES = [f"exporter: CPU at {count:,} held connections" for count in HELD]


def looks(*cores: float) -> dict[int, list[Looked]]:
    return {count: [Looked(count, 45.0, cores=one) for one in cores] for count in HELD}


def pairs(*ratios: float) -> dict[str, list[tuple[Slot, Slot]]]:
    """Pairs of the variant whose line it is."""
    return {JUDGED: with_and_without(*ratios)}


def with_and_without(*ratios: float) -> list[tuple[Slot, Slot]]:
    return [(Slot("wrk", 1000.0 * ratio, None, 0), Slot("wrk", 1000.0, None, 0)) for ratio in ratios]


def test_every_line_of_the_experiment_is_measured() -> None:
    """The names are those of bench/lines.py, or nothing would ever hold."""
    outcome = Outcome()
    add_lines(outcome, looks(0.01), pairs(1.0))

    assert {line.name for line in LINES if line.experiment == "exporter"} == set(outcome.measured)
    assert all(holds(BY_NAME[name], measured) for name, measured in outcome.measured.items())


def test_the_dearest_hold_counts_and_of_the_pairs_the_median() -> None:
    """One cheap trial does not make up for a dear one; one bad pair is the machine's."""
    outcome = Outcome()
    add_lines(outcome, looks(0.001, 0.3, 0.002), pairs(0.5, 0.995, 1.001))

    assert [0.3, 0.3] == [outcome.measured[name].value for name in NAMES]
    assert not any(holds(BY_NAME[name], outcome.measured[name]) for name in NAMES)
    assert 0.995 == outcome.measured[RATIO].value
    assert holds(BY_NAME[RATIO], outcome.measured[RATIO])


def test_a_hold_without_a_number_spoils_its_line_with_the_reason() -> None:
    """It is neither left out nor zero."""
    outcome, found = Outcome(), looks(0.001)
    found[10_000].append(Looked(10_000, 45.0, missing="the trial is void: a worker ended"))
    add_lines(outcome, found, pairs(1.0))

    assert (None, "the trial is void: a worker ended") == (
        outcome.measured[NAMES[0]].value, outcome.measured[NAMES[0]].spoilt
    )  # fmt: skip
    assert holds(BY_NAME[NAMES[1]], outcome.measured[NAMES[1]])


def test_a_pair_that_could_not_be_counted_or_had_wrong_answers_spoils_the_ratio() -> None:
    """A pod that fell over half-way leaves no median of the rest."""
    outcome = Outcome()
    broken = Slot("wrk", None, None, 0, "no answer")
    add_lines(outcome, looks(0.001), {JUDGED: [*with_and_without(1.0, 1.0), (broken, broken)]})
    assert "no answer" in outcome.measured[RATIO].spoilt
    assert outcome.measured[RATIO].value is None

    wrong = [(Slot("wrk", 1000.0, None, 2), Slot("wrk", 1000.0, None, 0))]
    add_lines(outcome, looks(0.001), {JUDGED: wrong})
    assert "2 wrong or missing answers" in outcome.measured[RATIO].spoilt


def test_where_the_generator_is_the_limit_the_ratio_is_a_remark() -> None:
    """It says what the exporter takes from wrk, whose core it shares, and nothing of the server."""
    outcome = Outcome()
    add_lines(outcome, looks(0.001), pairs(1.0) | {VARIANT: with_and_without(0.96, 0.98, 0.97, 0.99, 0.98, 0.98)})

    assert 1.0 == outcome.measured[RATIO].value
    told = [remark for remark in outcome.remarks if "with it / without" in remark]
    assert 1 == len(told)
    assert told[0].startswith("c-epoll with it / without: mean 0.976")
    assert told[0].endswith("6 pairs, 0.96 to 0.99")
