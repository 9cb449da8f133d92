"""History: what is a change, when it is found, and what is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.model import Run
from orchestrator.verdicts.compare import FIGURES
from orchestrator.verdicts.history import (
    History,
    Point,
    find_all_changes,
    find_changes,
    on_one_machine,
    read_histories,
    what_differs,
)
from tests.unit.nights import a_night, a_trial, host, steady

THROUGHPUT = FIGURES[0]
SPREAD = 0.02
LEAST = 0.03


def a_history(nights: list[float]) -> History:
    points = tuple(Point(f"run-{place}", f"2026-01-{place:02d}", value) for place, value in enumerate(nights))
    return History("plain", "fast", THROUGHPUT, points)


def noisy(levels: list[float], seed: int) -> list[float]:
    return [float(v) for v in np.asarray(levels) * np.exp(np.random.default_rng(seed).normal(0.0, SPREAD, len(levels)))]


def planted(seed: int, at: int, step: float) -> list[float]:
    return noisy([1000.0] * at + [1000.0 * step] * (60 - at), seed)


@pytest.mark.parametrize("at", [12, 23, 30, 41, 52, 58])
@pytest.mark.parametrize("step", [0.88, 1.14])
def test_a_planted_change_is_found_within_two_nights(at: int, step: float) -> None:
    """On its second night, and then every night after: at its place, with its size, in the right direction."""
    nights = planted(seed=at, at=at, step=step)

    assert [] == [find_changes(a_history(nights[:seen]), LEAST) for seen in range(6, at + 1) if
                  find_changes(a_history(nights[:seen]), LEAST)]  # fmt: skip
    for seen, error in ((at + 2, 3 * SPREAD), (60, 3 * SPREAD / 2**0.5)):
        (found,) = find_changes(a_history(nights[:seen]), LEAST)
        assert abs(found.index - at) <= 1
        assert abs(found.ratio / step - 1.0) < error
        assert (step < 1.0) == found.is_worse
        assert seen - found.index == found.nights_after


def test_nothing_is_found_in_a_stationary_history() -> None:
    """Twenty histories of sixty nights in which nothing happened."""
    assert [] == [seed for seed in range(20) if find_changes(a_history(noisy([1000.0] * 60, seed)), LEAST)]


def test_one_odd_night_is_no_change() -> None:
    """Neither in the middle nor as the newest, however odd; the night after it decides."""
    nights = noisy([1000.0] * 40, 7)
    middle, newest = list(nights), list(nights)
    middle[20] *= 0.7
    newest[39] *= 0.7

    assert ((), ()) == (find_changes(a_history(middle), LEAST), find_changes(a_history(newest), LEAST))
    (found,) = find_changes(a_history([*newest, 700.0]), LEAST)
    assert (39, 2) == (found.index, found.nights_after)


def test_a_change_too_small_for_a_word_is_none() -> None:
    """Sure, and half of what is declared to matter."""
    nights = [1000.0 + place % 2 for place in range(20)] + [1015.0 + place % 2 for place in range(20)]

    assert () == find_changes(a_history(nights), LEAST)
    assert 1 == len(find_changes(a_history(nights), 0.01))


def test_a_counted_figure_that_never_varies_may_change_too() -> None:
    """No spread at all on either side, and no warning of a division."""
    (found,) = find_changes(a_history([2048.0] * 20 + [4096.0] * 3), LEAST)

    assert (20, 2.0) == (found.index, found.ratio)
    assert () == find_changes(a_history([2048.0] * 20), LEAST)


def test_five_nights_are_no_history() -> None:
    """Whatever they say."""
    assert () == find_changes(a_history([1000.0, 1000.0, 1000.0, 500.0, 500.0]), LEAST)


def test_a_nights_figure_is_the_median_of_its_valid_trials() -> None:
    """Void trials, trials without a setting and second names are none of it; a night without a figure is no point."""
    first = a_night(1, {"fast": [100.0, 300.0, 200.0], "fast~control": [1.0, 1.0, 1.0]})
    spoilt = replace(first.trials[0], void="a worker died")
    reverted = replace(first.trials[2], spec=replace(first.trials[2].spec, reverted="nofile=1024"))
    second = replace(a_night(2, {"fast": [5.0]}), trials=(a_trial(0, "fast", p50_s=0.001),))
    found = read_histories([replace(first, trials=(spoilt, *first.trials[1:])), second, first])
    without = read_histories([replace(first, trials=(reverted,))])

    assert {("fast", "throughput_per_s"), ("fast", "p50_s")} == {(h.variant, h.figure.name) for h in found}
    assert [250.0, 200.0] == [p.value for h in found if h.figure is THROUGHPUT for p in h.points]
    assert () == without


def history_of(levels: list[dict[str, float]]) -> list[Run]:
    return [steady(number, each) for number, each in enumerate(levels)]


def test_what_all_stable_variants_show_is_the_machines() -> None:
    """Both rocks and the candidate lose a tenth on the same night: nobody's fault. Alone, it is the candidate's."""
    before, all_slow = {"fast": 1000.0, "rock": 500.0, "stone": 300.0}, {"fast": 880.0, "rock": 440.0, "stone": 264.0}
    alone = {**before, "fast": 880.0}
    one_rock = {**alone, "rock": 440.0}

    def told(after: dict[str, float]) -> dict[str, bool]:
        runs = history_of([before] * 12 + [after] * 4)
        return {c.variant: c.is_machine for c in find_all_changes(runs, lambda *_: LEAST, ["rock", "stone"])}

    assert {"fast": True, "rock": True, "stone": True} == told(all_slow)
    assert {"fast": False} == told(alone)
    assert {"fast": False, "rock": False} == told(one_rock)


def test_a_change_names_what_else_is_different_since_that_night() -> None:
    """Kernel, engine, and the image of the variant; not what changed on other nights."""
    before, after = {"fast": 1000.0, "rock": 500.0}, {"fast": 850.0, "rock": 500.0}
    runs = history_of([before] * 10 + [after] * 5)
    fresh = host(kernel="6.19", images={"fast": "eeee", "rock": "bbbb", "swarm": "dddd"})
    runs = [replace(run, host=fresh if place >= 10 else run.host) for place, run in enumerate(runs)]
    (found,) = find_all_changes(runs, lambda *_: LEAST, ["rock"])

    assert (runs[10].run_id, "fast") == (found.run_id, found.variant)
    assert ("kernel 6.18.1 -> 6.19", "image of fast aaaa -> eeee") == found.since
    assert ((), ()) == (what_differs(runs, 0, "fast"), what_differs(runs, 11, "fast"))


def test_another_machines_nights_are_no_part_of_a_history() -> None:
    """A kernel may change and its share of the memory with it; a CPU may not."""
    here = steady(1, {"fast": 1.0})
    newer = replace(here, host=host(kernel="7.0", memory_bytes=(8 << 30) - 12_345_678))
    elsewhere = replace(here, host=host(cpu_model="another CPU"))

    assert (here, newer) == on_one_machine([here, elsewhere, newer], here)


def test_a_history_is_of_one_load() -> None:
    """Nights before the scenario was declared otherwise are no part of it; what_differs says since when."""
    runs = history_of([{"fast": 1000.0}] * 8 + [{"fast": 2000.0}] * 8)
    runs = [
        replace(run, declared={"scenario plain": {"connections": 50 if place < 8 else 100}})
        for place, run in enumerate(runs)
    ]
    (found,) = read_histories(runs)

    assert [run.run_id for run in runs[8:]] == [point.run_id for point in found.points]
    assert () == find_all_changes(runs, lambda *_: LEAST, [])
    assert ("scenario plain declared otherwise (connections 50 -> 100)",) == what_differs(runs, 8, "fast")
