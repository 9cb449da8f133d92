"""What taking back one setting did: the ceiling with and without it, and what shows it."""

from __future__ import annotations

from orchestrator.model import Metrics
from orchestrator.verdicts.ablation import Effect, find_effects
from orchestrator.verdicts.summary import Summary


def row(reverted: str, held: int | None, *, counters: dict[str, float] | None = None, **errors: int) -> Summary:
    """Return a storm's row of one valid trial. errors: by kind."""
    metrics = Metrics(connections_held=held, errors=errors)
    return Summary(
        "c-epoll", "storm", "storm", 1, 1, 1, metrics, {}, (), (), reverted=reverted, counters=counters or {}
    )


def effect_of(reverted: Summary, whole: Summary | None = None) -> Effect:
    """Return the effect of a row beside one with everything in place: 20,000 answered, 40 resets, 10 timeouts."""
    whole = whole or row("", 20_000, counters={"OutRsts": 40.0}, timeout=10)
    return find_effects([reverted, whole])[-1]


def test_a_lower_ceiling_is_an_effect() -> None:
    """Half of what was answered with everything in place."""
    effect = effect_of(row("ports", 10_000))

    assert (0.5, False, False) == (effect.share, effect.is_same, effect.is_none)


def test_the_same_ceiling_without_a_sign_is_no_effect() -> None:
    """Counters and errors that grow as much anyway are no sign."""
    effect = effect_of(row("backlog", 19_000, counters={"OutRsts": 70.0}, timeout=15))

    assert ({}, True) == (effect.counters, effect.is_none)


def test_errors_show_an_effect_that_the_ceiling_hides() -> None:
    """Nine in ten answered is within the noise; 1,966 EMFILE are not."""
    effect = effect_of(row("nofile", 18_034, EMFILE=1_966))

    assert ({"EMFILE": 1_966.0}, True, False) == (effect.counters, effect.is_same, effect.is_none)


def test_a_counter_that_grew_shows_what_retries_made_good() -> None:
    """All answered in the end, though 11,531 were dropped at first."""
    effect = effect_of(row("somaxconn", 20_000, counters={"ListenDrops": 11_531.0, "OutRsts": 40.0}))

    assert ({"ListenDrops": 11_531.0}, False) == (effect.counters, effect.is_none)


def test_nothing_taken_back_is_no_ablation() -> None:
    """Other runs have no such table; a whole without a valid trial leaves the share unknown."""
    assert [] == find_effects([row("", 5)])
    assert find_effects([row("", None), row("x", 5)])[-1].share is None
