"""The calibration's pure parts: which windows make a comparison, what is an error, when a line must not count."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from bench.calibration import _shuffled, _sized
from bench.comparisons import (
    BLOCKS,
    COVERED,
    FALSE_ALARMS,
    FOUND,
    SAME,
    SLOWER,
    Kind,
    Pool,
    _both,
    compared,
    conclude_alarms,
    conclude_slower,
    draw,
    suffice,
)
from bench.outcome import Outcome
from bench.paces import TRUTH, with_slower
from bench.stand import ROOT
from orchestrator.config.load import load_lab
from orchestrator.model import Metrics, TrialResult, TrialSpec
from orchestrator.verdicts.validity import GENERATOR_LIMITED

KINDS = (SAME, SLOWER)


def window(name: str, place: tuple[int, int], per_s: float, cpu_s: float = 0.2) -> TrialResult:
    spec = TrialSpec(place[0], place[1], name, "calibration", "closed", "bench", 1, 1, "", "engine")
    metrics = Metrics(throughput_per_s=per_s, cpu_s_per_10k_requests=cpu_s)
    return TrialResult(spec, None, metrics, {}, {500: round(per_s)}, (), (), "", 1.0, 0.0)


def a_pool(kind: Kind, seed: int, slower: float = TRUTH, rounds: int | None = None) -> Pool:
    """Pods that differ by 1 %, windows by 1.5 %, on a machine that drifts by a tenth from round to round."""
    noise = np.random.default_rng(seed)
    pool: Pool = {kind.first: {}, kind.second: {}}
    for n in range(kind.rounds if rounds is None else rounds):
        machine = 50_000.0 * np.exp(noise.normal(0.0, 0.1))
        for name in pool:
            factor = slower if name == SLOWER.second else 1.0
            for w in range(kind.pairs):
                if w % kind.windows == 0:
                    level = machine * factor * np.exp(noise.normal(0.0, 0.01))
                rate = float(level * np.exp(noise.normal(0.0, 0.015)))
                pool[name][n, w] = window(name, (n, w), rate, 0.2 / factor)
    return pool


def pools(seed: int, **made: float) -> dict[Kind, Pool]:
    return {kind: a_pool(kind, seed, **made) for kind in KINDS}  # type: ignore[arg-type]  # rounds are whole


def concluded(found: dict[Kind, Pool], rounds: int = 40) -> Outcome:
    outcome, order = Outcome(), random.Random(1)
    for kind, conclude in ((SAME, conclude_alarms), (SLOWER, conclude_slower)):
        conclude(outcome, compared(kind, found[kind], rounds, order, lambda *_: 0.03))
    return outcome


def test_a_comparison_has_no_two_windows_of_a_pod_and_no_window_is_used_twice() -> None:
    """Forty of twenty-four blocks use up what forty rounds of twenty-four windows have."""
    places = [(n, w) for n in range(40) for w in range(BLOCKS)]
    drawn = draw(places, BLOCKS, 99, random.Random(7))

    assert 40 == len(drawn)
    assert {BLOCKS} == {len({n for n, _ in one}) for one in drawn}
    assert [1] == list(set(Counter(place for one in drawn for place in one).values()))


def test_a_comparison_is_as_large_as_the_nightlys_and_a_twentieth_is_to_spare() -> None:
    """Of the repository's lab.yaml, whose nightly is what the lines speak of; its window as well, and how far apart."""
    lab, bench = load_lab(ROOT / "lab.yaml"), load_lab(ROOT / "bench" / "lab.yaml")
    assert lab.nightly is not None
    nightly = lab.suites[lab.nightly.suite]

    assert nightly.trials == BLOCKS
    assert lab.scenarios["plain"].measure_s == bench.scenarios[SLOWER.scenario].measure_s
    assert "plain" in nightly.scenarios
    assert min(kind.rounds * kind.pairs / (kind.comparisons * BLOCKS) for kind in KINDS) >= 1.05
    assert 2 * SLOWER.pods >= len([*nightly.variants, lab.nightly.control])
    assert 1 == SLOWER.windows  # a fresh pod for each, as in a night


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_holds_each_of_its_pods_once_in_an_order_that_chance_gives(kind: Kind) -> None:
    """Over many rounds either side is first equally often, and two of a pair are as far apart as any two."""
    order = random.Random(3)
    rounds = [_shuffled(kind, order) for _ in range(2000)]
    apart = [abs(one.index((kind.first, n)) - one.index((kind.second, n))) for one in rounds for n in range(kind.pods)]

    assert {2 * kind.pods} == {len(one) for one in rounds}
    assert {2 * kind.pods} == {len(set(one)) for one in rounds}
    assert 900 < sum(one[0][0] == kind.first for one in rounds) < 1100
    assert (2 * kind.pods + 1) / 3 == pytest.approx(sum(apart) / len(apart), rel=0.05)


@pytest.mark.parametrize(
    ("kind", "asked", "expected"),
    [
        (SAME, 40, (40, 1, 26)),
        (SLOWER, 168, (168, 3, 1)),
        (SLOWER, 24, (24, 3, 1)),
        (SAME, 1, (6, 1, 2)),
        (SLOWER, 1, (6, 1, 1)),
    ],
)
def test_rounds_that_are_asked_for_size_a_kind(kind: Kind, asked: int, expected: tuple[int, ...]) -> None:
    """A rehearsal's are few and small."""
    sized = _sized(kind, asked)

    assert expected == (sized.rounds, sized.pods, sized.windows)


@pytest.mark.parametrize(("rounds", "enough"), [(159, False), (160, True)])
def test_rounds_end_when_all_comparisons_can_be_drawn(rounds: int, enough: bool) -> None:
    """Twenty of twenty-four blocks, three pairs a round; a void window takes one more round."""
    pool = a_pool(SLOWER, 1, rounds=rounds)

    assert enough == suffice(SLOWER, pool, SLOWER.rounds)
    one = pool[SLOWER.first][5, 1]
    pool[SLOWER.first][5, 1] = replace(one, void="a worker went")
    assert not suffice(SLOWER, pool, SLOWER.rounds)


def test_both_paces_are_one_image_and_differ_by_a_tenth() -> None:
    """The program reads the pace from its environment; everything else is the same."""
    lab = with_slower(load_lab(ROOT / "bench" / "lab.yaml"))
    first, second = (lab.variants[name] for name in (SLOWER.first, SLOWER.variant))

    assert first == replace(second, name=first.name, same_as="", environment={})
    assert (first.name, {"PACE_PERCENT": "120"}) == (second.same_as, second.environment)
    assert 1.0 / 1.1 == pytest.approx(TRUTH)
    assert (first.name, second.name) == lab.suites["calibration"].variants
    assert second.name in lab.arena.variants
    assert "PACE_PERCENT" in (first.folder / "server.c").read_text()


def test_which_rounds_meet_is_left_to_chance() -> None:
    """Two comparisons of one draw seldom share more than half of their pods, and a seed gives the same again."""
    places = [(n, w) for n in range(SAME.rounds) for w in range(SAME.windows)]
    drawn = [{n for n, _ in one} for one in draw(places, BLOCKS, 40, random.Random(7))]
    shared = [len(a & b) for i, a in enumerate(drawn) for b in drawn[:i]]

    assert max(shared) <= 20
    assert 13.7 < sum(shared) / len(shared) < 15.1  # 24 x 24 / 40
    assert draw(places, BLOCKS, 40, random.Random(7)) == draw(places, BLOCKS, 40, random.Random(7))
    assert draw(places, BLOCKS, 40, random.Random(7)) != draw(places, BLOCKS, 40, random.Random(8))


def test_too_few_rounds_make_no_comparison() -> None:
    """Nine rounds hold none of ten blocks, however many windows they have."""
    assert [] == draw([(n, w) for n in range(9) for w in range(50)], 10, 40, random.Random(1))


def test_known_noise_gives_the_shares_that_it_must() -> None:
    """The instrument itself, on seeded windows: few alarms, a tenth found, the truth covered."""
    outcome = concluded(pools(3))
    found = {line: measured.value or 0.0 for line, measured in outcome.measured.items()}

    assert (40, 20, 20) == tuple(len(outcome.values[line]) for line in (FALSE_ALARMS, FOUND, COVERED))
    assert found[FALSE_ALARMS] <= 0.05
    assert (1.0, True) == (found[FOUND], found[COVERED] >= 0.85)
    assert {""} == {measured.spoilt for measured in outcome.measured.values()}
    assert any("1.1000" in remark for remark in outcome.remarks)


def test_a_variant_that_is_no_slower_is_not_found() -> None:
    """The share of what is found can be zero, and then nothing is covered either; the kernel's account says so too."""
    outcome = concluded(pools(4, slower=1.0))

    assert (0.0, 0.0) == (outcome.measured[FOUND].value, outcome.measured[COVERED].value)
    assert "takes 1.0000 times the CPU time, not 1.1000" in outcome.measured[FOUND].spoilt


@pytest.mark.parametrize(("ratio", "confirms"), [(1.07, False), (1.085, True), (1.115, True), (1.13, False)])
def test_the_kernels_account_confirms_the_truth_or_the_lines_do_not_count(ratio: float, confirms: bool) -> None:
    """2 % either way; the A/A line rests on no truth."""
    measured = concluded(pools(9, slower=1.0 / ratio)).measured

    assert "" == measured[FALSE_ALARMS].spoilt
    assert {confirms} == {measured[line].spoilt == "" for line in (FOUND, COVERED)}


def test_fewer_comparisons_than_promised_never_hold() -> None:
    """A rehearsal's shares are shown and do not count."""
    outcome = concluded(pools(5, rounds=12), rounds=12)

    assert outcome.measured[FALSE_ALARMS].spoilt.startswith("26 comparisons of 12 blocks instead of 40 of 24")
    assert outcome.measured[FOUND].spoilt.startswith("3 comparisons of 12 blocks instead of 20 of 24")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"notes": (GENERATOR_LIMITED,)}, "the generator was the limit, not the server"),
        ({"metrics": Metrics(throughput_per_s=5e4, errors={"timeout": 2})}, "2 wrong or missing answers"),
    ],
)
@pytest.mark.parametrize("kind", [SAME, SLOWER])
def test_windows_that_did_not_measure_the_server_spoil_every_line_of_their_kind(
    kind: Kind, change: dict[str, object], said: str
) -> None:
    """Named by round, pod and window."""
    found = pools(6)
    windows = found[kind][kind.second]
    windows[3, 2] = replace(windows[3, 2], **change)  # type: ignore[arg-type]  # fields by name
    measured = concluded(found).measured

    for line, of in ((FALSE_ALARMS, SAME), (FOUND, SLOWER), (COVERED, SLOWER)):
        assert (f"round 4, {kind.second}, window 3: {said}" if of is kind else "") == measured[line].spoilt


def test_a_void_window_enters_no_comparison() -> None:
    """Nor does its partner of the other pod; a few do no harm, as there are more windows than are needed."""
    found = pools(7)
    windows = found[SAME][SAME.second]
    windows[3, 4] = replace(windows[3, 4], void="a worker went")

    assert (3, 4) not in _both(SAME, found[SAME])
    assert SAME.rounds * SAME.windows - 1 == len(_both(SAME, found[SAME]))
    assert "" == concluded(found).measured[FALSE_ALARMS].spoilt


def test_what_lacks_comparisons_spoils_its_own_lines_only() -> None:
    """A third of the slower build's windows are void: the A/A line has all that it promised."""
    found = pools(8)
    found[SLOWER][SLOWER.second] = {
        place: replace(one, void="a worker went") if place[1] == 0 else one
        for place, one in found[SLOWER][SLOWER.second].items()
    }
    outcome = concluded(found)

    assert "" == outcome.measured[FALSE_ALARMS].spoilt
    assert outcome.measured[FOUND].spoilt.startswith("14 comparisons of 24 blocks instead of 20 of 24")
