"""Tonight against the baseline: what is the variant's, what is the machine's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from orchestrator.model import Run, TrialResult
from orchestrator.verdicts.drift import Compared, compare_nights
from orchestrator.verdicts.validity import GENERATOR_LIMITED
from tests.unit.nights import a_night, host, steady

LEVELS = {"fast": 1000.0, "rock": 500.0, "stone": 300.0}
KEY = ("plain", "throughput_per_s")


def compared(old: Run, new: Run, stable: tuple[str, ...] = ("rock", "stone"), noise: float = 0.0) -> Compared:
    return compare_nights(old, new, lambda *_: 0.03, lambda *_: noise, stable)


def words(found: Compared) -> dict[str, str]:
    return {one.candidate: one.word for one in found.judged}


def night(number: int, **changes: float) -> Run:
    return steady(number, {**LEVELS, **changes})


def test_a_variant_that_became_slower_is_worse() -> None:
    """A tenth, with the witnesses as they were; the second name is no candidate."""
    found = compared(night(1), night(2, fast=900.0))
    (fast,) = [one for one in found.judged if one.candidate == "fast"]

    assert {"fast": "worse", "rock": "no difference", "stone": "no difference"} == words(found)
    assert fast.effect is not None
    assert fast.effect.low < 0.9 < fast.effect.high
    assert {} == found.machine


def test_what_the_whole_machine_lost_is_no_regression() -> None:
    """All are slower by a fifth: nobody is worse, and the machine's share is told."""
    slow = {name: level * 0.8 for name, level in LEVELS.items()}
    found = compared(night(1), steady(2, slow))

    assert {"fast": "no difference", "rock": "no difference", "stone": "no difference"} == words(found)
    assert {"worse"} == {one.word for one in found.plain.values()}
    assert pytest.approx(0.8, rel=0.02) == found.machine[KEY]


def test_a_faster_machine_hides_no_slower_variant() -> None:
    """The witnesses gained a fifth and the variant nothing: it lost."""
    found = compared(night(1), night(2, rock=600.0, stone=360.0))

    assert "worse" == words(found)["fast"]
    assert "no difference" == found.plain["plain", "throughput_per_s", "fast"].word


def test_witnesses_that_disagree_correct_nothing() -> None:
    """One rock became slower alone: it is judged as it is, so are the others, and it is said."""
    found = compared(night(1), night(2, rock=400.0))

    assert {"fast": "no difference", "rock": "worse", "stone": "no difference"} == words(found)
    assert ("plain, throughput: the stable variants disagree (rock worse); judged as it is",) == found.remarks


def test_a_stable_variant_of_another_image_is_no_witness() -> None:
    """Somebody changed it after all; alone it is then judged like any other."""
    other = {"fast": "aaaa", "rock": "ffff", "stone": "cccc"}
    found = compared(night(1), replace(night(2, rock=400.0), host=host(images=other)))

    assert ("rock is no witness of the machine: its image is not the baseline's",) == found.remarks
    assert {"fast": "no difference", "rock": "worse"} == words(found)


def test_an_only_witness_is_not_judged() -> None:
    """Nobody can tell it from the machine: what it shows is the machine's."""
    found = compared(night(1), night(2, rock=400.0), stable=("rock",))

    assert {"fast", "stone"} == set(words(found))
    assert pytest.approx(0.8, rel=0.02) == found.machine[KEY]


def test_without_witnesses_every_figure_is_judged_as_it_is() -> None:
    """Slower by a tenth, whoever's doing it is."""
    slow = {name: level * 0.9 for name, level in LEVELS.items()}

    assert {"worse"} == set(words(compared(night(1), steady(2, slow), stable=())).values())


def test_a_difference_within_the_machines_noise_is_none() -> None:
    """A twentieth is sure, and no more than what one image shows against itself."""
    old, new = night(1), night(2, fast=950.0)

    assert ("worse", "no difference") == (
        words(compared(old, new))["fast"],
        words(compared(old, new, noise=0.07))["fast"],
    )


def test_a_block_without_its_witness_does_not_count() -> None:
    """Both rocks in every block but one: nine pairs of ten."""
    new = night(2)
    (place,) = [n for n, t in enumerate(new.trials) if (t.spec.variant, t.spec.block) == ("stone", 4)]
    trials = list(new.trials)
    trials[place] = replace(trials[place], void="a worker died")
    found = compared(night(1), replace(new, trials=tuple(trials)))
    pairs = {one.candidate: one.effect.pairs for one in found.judged if one.effect is not None}

    assert {"fast": 9, "rock": 9, "stone": 9} == pairs


def test_pairings_that_one_night_lacks_are_left_out() -> None:
    """A new variant has no baseline, a removed one no candidate."""
    old = a_night(1, {"fast": [1.0] * 6, "gone": [1.0] * 6})
    new = a_night(2, {"fast": [1.0] * 6, "fresh": [1.0] * 6})
    table: Mapping[str, str] = words(compared(old, new))

    assert {"fast": "no difference"} == table


def changed(run: Run, variant: str, blocks: range, **changes: object) -> Run:
    """The run with some trials of a variant changed: fields of TrialResult by name."""
    trials = [
        replace(t, **changes) if t.spec.variant == variant and t.spec.block in blocks else t  # type: ignore[arg-type]
        for t in run.trials
    ]
    return replace(run, trials=tuple(trials))


def test_a_witness_of_which_too_little_is_known_hides_no_regression() -> None:
    """Stone has three valid trials: it is undecided itself, and nobody else loses blocks for it."""
    new = changed(night(2, fast=900.0), "stone", range(7), void="a worker died")
    found = compared(night(1), new)
    alone = compared(night(1), new, stable=("stone",))

    assert {"fast": "worse", "stone": "undecided"} == words(found)  # nobody is left to judge rock by
    assert {"fast": "worse", "rock": "no difference"} == words(alone)
    assert (
        "stone is no witness on plain of throughput: a side has 3 valid trials; 6 are needed to tell a difference from "
        "luck",
    ) == found.remarks


def test_a_bound_is_no_witness() -> None:
    """Stone was held back by the load: what it lost is not the machine's."""
    old, new = (
        changed(steady(n, {"fast": 300.0, "rock": 500.0, "stone": at}), "stone", range(10), notes=(GENERATOR_LIMITED,))
        for n, at in ((1, 1000.0), (2, 800.0))
    )
    found = compared(old, new)
    (fast,) = [one for one in found.judged if one.candidate == "fast"]

    assert "no difference" == fast.word
    assert fast.effect is not None
    assert 1.0 == pytest.approx(fast.effect.ratio, abs=0.02)


def test_witnesses_that_never_meet_in_a_block_correct_nothing() -> None:
    """Each has six valid trials tonight, none in a block of the other's: the figure is judged as it is."""
    new = changed(night(2, fast=900.0), "stone", range(5), void="a worker died")
    new = changed(new, "rock", range(5, 10), void="a worker died")
    twelve = replace(new, trials=(*new.trials, *_later(night(3), {"rock": (0,), "stone": (9,)})))

    assert "worse" == words(compared(night(1), twelve))["fast"]


def _later(run: Run, blocks: Mapping[str, tuple[int, ...]]) -> list[TrialResult]:
    """Some trials of a run, as of blocks that no other variant has."""
    found = [t for t in run.trials if t.spec.block in blocks.get(t.spec.variant, ())]
    return [replace(t, spec=replace(t.spec, block=100 + n)) for n, t in enumerate(found)]


def test_a_variant_at_the_loads_ceiling_tonight_is_a_bound() -> None:
    """It came up to whoever filled the generator: that it answered less is not known to be its own doing."""
    old, new = steady(1, {"fast": 1100.0, "wild": 1000.0}), steady(2, {"fast": 995.0, "wild": 1000.0})
    free = compared(old, new, stable=())
    found = compared(old, changed(new, "wild", range(10), notes=(GENERATOR_LIMITED,)), stable=())

    assert ("worse", "undecided") == (words(free)["fast"], words(found)["fast"])


def test_another_load_is_no_comparison() -> None:
    """Twice the connections, twice as fast: nobody became better. A field that one lab only knows does not count."""
    old, new = night(1), steady(2, {name: 2.0 * level for name, level in LEVELS.items()})
    fifty, hundred = ({"scenario plain": {"connections": n, "users": "auto"}} for n in (50, 100))
    found = compared(replace(old, declared=fifty), replace(new, declared=hundred))
    same = compared(replace(old, declared=fifty), replace(night(2), declared={"scenario plain": {"connections": 50}}))

    assert {"undecided"} == set(words(found).values())
    assert {"it is another load: connections 50 -> 100"} == {one.reason for one in found.judged}
    assert {"no difference"} == set(words(same).values())
