"""Say in two sentences what a run shows, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestrator.report import figures
from orchestrator.report.memorytable import interval, ordered
from orchestrator.verdicts.ablation import find_effects
from orchestrator.verdicts.effect import LEAST_PAIRS
from orchestrator.verdicts.memory import MemoryFit
from orchestrator.verdicts.summary import Summary
from orchestrator.verdicts.tiers import Tiers

Measured = tuple[float, Summary]
_SCENARIOS = 3  # told in a sentence; a page of tables follows


def run_sentences(
    by_scenario: Mapping[str, Sequence[Summary]], tiers: Sequence[Tiers] = (), fits: Sequence[MemoryFit] = ()
) -> tuple[str, ...]:
    """Return two sentences: what was found, and how sure that is; one where no trial is valid."""
    # Holds of several sizes are one question: what one more connection costs.
    told = [rows for rows in by_scenario.values() if not (fits and rows[0].kind == "hold")]
    said = [*([_memory(fits)] if fits else []), *(sentence for rows in told if (sentence := _scenario(rows)))]
    if not said:
        return ("No trial of this run is valid, so it says nothing about any variant.",)
    shown = [said[0], *(sentence[0].lower() + sentence[1:] for sentence in said[1:_SCENARIOS])]
    more = len(said) - len(shown)
    rest = f"; {more} more scenario{'s' if more != 1 else ''} below" if more else ""
    every = [row for rows in by_scenario.values() for row in rows]
    return f"{'; '.join(shown)}{rest}.", _certainty(every, tiers, fits if fits and not any(told) else ())


def _certainty(rows: Sequence[Summary], tiers: Sequence[Tiers], fits: Sequence[MemoryFit]) -> str:
    """How far the figures can be trusted, and of whom there are none. fits: where nothing else was asked."""
    void = [row for row in rows if row.finished and not row.valid and not row.unsupported]
    least = min(row.valid for row in rows if row.valid)
    repeated = f"With {least} repetition{'s' if least != 1 else ''} of each"
    if fits:
        trials, sizes = min(len(one.points) for one in fits), max(len(one.sizes) for one in fits)
        bent = [one.variant for one in fits if not one.is_straight]
        sentence = f"Each is the slope over {trials} trials of {sizes} sizes, its 95 % interval in brackets"
        if bent:
            sentence += f"; that of {_list(bent)} is no cost of one, because memory does not grow evenly there"
    elif least < LEAST_PAIRS:
        sentence = (
            f"{repeated} this shows orders of magnitude; telling close variants apart takes {LEAST_PAIRS} or more "
            f"(lab run SUITE --trials {LEAST_PAIRS})"
        )
    else:
        first = {one.scenario: one for one in reversed(tiers)}  # of each scenario the figure that comes first
        told = [_apart(first[name]) for name in dict.fromkeys(one.scenario for one in tiers)][:_SCENARIOS]
        sentence = f"{repeated}, {'; '.join(told)}" if told else f"{repeated} nothing was there to be told apart"
    if void:
        sentence += f"; nothing is known of {_list([f'{row.label} on {row.scenario}' for row in void])} (void)"
    return f"{sentence}."


def _apart(found: Tiers) -> str:
    """The tiers of one figure in words."""
    groups = found.groups
    what = f"{found.figure.title} on {found.scenario}"
    if len(groups) == 1:
        return f"{what} tells nobody apart"
    if all(len(group) == 1 for group in found.groups):
        return f"{what} tells all {len(groups)} apart"
    alike = [_list(list(group)) for group in found.groups if len(group) > 1]
    return f"{what} has {len(groups)} tiers: {' or '.join(alike)} cannot be told apart"


def _memory(fits: Sequence[MemoryFit]) -> str:
    """What one more connection costs, from the cheapest to the dearest, each with its interval."""
    ends = ordered(fits)[:: max(1, len(fits) - 1)]
    told = [f"{figures.size(one.whole.bytes_each)} in {one.variant} ({interval(one.whole)})" for one in ends]
    return f"One more connection costs {' up to '.join(told)} of memory"


def _scenario(rows: Sequence[Summary]) -> str:
    if any(row.reverted for row in rows):
        return _taken_back(rows)
    if rows[0].kind in ("hold", "storm"):
        return _all_of(rows)
    if rows[0].kind == "ramp":
        return _most(rows, lambda row: row.metrics.breaking_point, "went furthest", "")
    return _most(rows, lambda row: row.metrics.throughput_per_s, "answered most", "/s")


def _most(rows: Sequence[Summary], read: Callable[[Summary], float | None], verb: str, unit: str) -> str:
    ranked = _ranked(rows, read)
    if not ranked:
        return ""
    value, first = ranked[0]
    bound = "at least " if first.is_at_least else ""
    sentence = f"On {first.scenario} {first.label} {verb}: {bound}{figures.rate(value)}{unit}"
    if len(ranked) > 1 and ranked[-1][0] > 0.0:
        last_value, last = ranked[-1]
        if last.is_at_least:
            return f"{sentence}, and {last.label} least: at least {figures.rate(last_value)}{unit}"
        times = figures.three_digits(value / last_value)
        sentence += f", {times} times {last.label}'s {figures.rate(last_value)}{unit}"
    return sentence


def _taken_back(rows: Sequence[Summary]) -> str:
    """An ablation: which settings lowered the ceiling, and which did nothing at all."""
    effects = [effect for effect in find_effects(rows) if effect.reverted]
    if all(effect.share is None for effect in effects):
        return ""  # no setting is known to do anything, or nothing
    lower = [
        f"{_name(effect.reverted)} ({figures.percent(effect.share)} of the ceiling)"
        for effect in effects
        if effect.share is not None and not effect.is_same and effect.share < 1.0
    ]
    none = [_name(effect.reverted) for effect in effects if effect.is_none]
    told = [f"the ceiling falls without {_list(lower)}"] if lower else ["no setting taken back lowers the ceiling"]
    if none:
        told.append(f"taking back {_list(none)} has no effect")
    return f"On {rows[0].scenario} {'; '.join(told)}"


def _name(reverted: str) -> str:
    return reverted.partition("=")[0].rpartition(".")[2]


def _all_of(rows: Sequence[Summary]) -> str:
    verb, what = ("held", "connections") if rows[0].kind == "hold" else ("answered", "connects")
    measured = [row for row in rows if row.metrics.connections_held is not None]
    if not measured:
        return ""
    complete = [row for row in measured if row.metrics.connections_held == row.metrics.connections_requested]
    asked = figures.whole(max(row.metrics.connections_requested or 0 for row in measured))
    if len(complete) == len(measured):
        sentence = f"On {rows[0].scenario} {'all' if len(measured) > 1 else measured[0].label} {verb} {asked} {what}"
    elif complete:
        sentence = f"On {rows[0].scenario} {_list([row.label for row in complete])} {verb} all of {asked} {what}"
    else:
        best = max(measured, key=lambda row: row.metrics.connections_held or 0)
        held = figures.whole(best.metrics.connections_held)
        return f"On {rows[0].scenario} nobody {verb} all of {asked} {what}; {best.label} {verb} most, {held}"
    ranked = _ranked(complete, lambda row: row.metrics.memory_bytes_per_connection)[::-1]
    if len(ranked) > 1:
        (least, first), (most, last) = ranked[0], ranked[-1]
        sentence += f", for {figures.size(least)} each in {first.label} up to {figures.size(most)} in {last.label}"
    return sentence


def _ranked(rows: Sequence[Summary], read: Callable[[Summary], float | None]) -> list[Measured]:
    """Return what was measured, the largest first; specimens' wrong answers are no merit and are not ranked."""
    found = [(value, row) for row in rows if (value := read(row)) is not None and row.valid]
    return sorted(found, key=lambda one: -one[0])


def _list(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
