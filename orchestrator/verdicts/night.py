"""Judge a night: tonight's run, the accepted baseline and the nights before -> one verdict with its exit code. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.model import Run
from orchestrator.verdicts import compare
from orchestrator.verdicts.compare import FIGURES, Judged
from orchestrator.verdicts.drift import Compared, compare_nights
from orchestrator.verdicts.history import (
    Change,
    History,
    find_all_changes,
    image_of,
    on_one_machine,
    read_histories,
    what_differs,
)
from orchestrator.verdicts.noise import Key, noise_floor, self_differences

Word = Literal["fine", "regression", "undecided"]
EXIT_CODES: Mapping[Word, int] = {"fine": 0, "regression": 1, "undecided": 4}

# Changes of the last nights are news; older ones are in the history's table.
NEWS_NIGHTS = 7
_NOTHING = "tonight and the baseline have no pairing in common"
_NAMED = 4  # things in one sentence; the table has them all


@dataclass(frozen=True, slots=True)
class Night:
    """What a night says."""

    run_id: str
    word: Word
    sentences: tuple[str, ...]  # two: tonight, and the history
    baseline: str  # the accepted run; "" without one
    compared: Compared | None
    noise: Mapping[Key, float]  # the A/A floor of this history
    tonight: Mapping[Key, float]  # tonight's own A/A differences
    nights: int  # runs of this suite on this machine, tonight's included
    histories: tuple[History, ...]
    changes: tuple[Change, ...]  # the newest first
    remarks: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.word]

    @property
    def regressions(self) -> tuple[Judged, ...]:
        return tuple(one for one in self.compared.judged if one.is_regression) if self.compared else ()


def judge_night(
    tonight: Run,
    earlier: Sequence[Run],
    baseline: Run | None,
    worth: Callable[[str, str], float],
    stable: Sequence[str],
    *,
    refused: Sequence[str] = (),
    undecided: Sequence[str] = (),
    remarks: Sequence[str] = (),
    trouble: str = "",
) -> Night:
    """Return the verdict of a night.

    earlier: finished runs of the same suite, the oldest first. baseline: the accepted one; None: there is none, and
    nothing can be worse than it. worth(scenario, figure's name): the relative difference that is worth a word.
    stable: variants that nobody changes. refused: variants that failed verification. undecided: pairings of tonight's
    without enough valid trials. remarks: what the reader must know besides. trouble: why the accepted baseline cannot
    be used, where there is one that cannot.
    """
    others = [run for run in earlier if run.run_id != tonight.run_id]
    nights = (*on_one_machine(others, tonight), tonight)
    noise = noise_floor(nights)
    compared = None
    if baseline is not None and not on_one_machine([baseline], tonight):
        trouble = f"{baseline.run_id} ran on another machine"
        baseline = None
    if baseline is not None:
        compared = compare_nights(baseline, tonight, worth, lambda *key: noise.get(key, 0.0), stable)
        # A run's own say how many trials were valid, after the pairing's name.
        known = {told.partition(" (")[0] for told in undecided}
        undecided = [*undecided, *(name for name in _undecided(compared.judged) if name not in known)]
    changes = find_all_changes(nights, worth, stable)
    is_empty = compared is not None and not compared.judged
    regressions = [one for one in compared.judged if one.is_regression] if compared else []
    word: Word = "regression" if regressions or refused else "undecided" if undecided or trouble or is_empty else "fine"
    said = [*remarks, *(compared.remarks if compared else ())]
    if baseline is not None:
        said += _since(baseline, tonight, regressions)
    if elsewhere := len(others) + 1 - len(nights):
        said.append(f"{elsewhere} earlier nights are of another machine, and no part of this history")
    if not self_differences(tonight):
        said.append("no A/A pair was measured tonight: what this machine shows of itself is not known")
    return Night(
        run_id=tonight.run_id,
        word=word,
        sentences=(
            _of_tonight(regressions, refused, undecided, compared, trouble),
            _of_history(nights, changes, compared),
        ),
        baseline=baseline.run_id if baseline else "",
        compared=compared,
        noise=noise,
        tonight=self_differences(tonight),
        nights=len(nights),
        histories=read_histories(nights),
        changes=changes,
        remarks=tuple(said),
    )


def _since(baseline: Run, tonight: Run, regressions: Sequence[Judged]) -> list[str]:
    """Return what else is different since the baseline, and who is worse without being different."""
    differs = what_differs([baseline, tonight], 1, "")
    said = [f"different since the baseline: {', '.join(differs)}"] if differs else []
    same = [
        name
        for name in dict.fromkeys(one.candidate for one in regressions)
        if image_of(tonight, name) and image_of(tonight, name) == image_of(baseline, name)
    ]
    return said + [
        f"{name} is worse, and its image is the baseline's: look at what is around it first" for name in same
    ]


def _undecided(judged: Sequence[Judged]) -> list[str]:
    """Return the pairings of which no figure at all could be judged."""
    words: dict[str, set[str]] = {}
    for one in judged:
        words.setdefault(f"{one.candidate} on {one.scenario}", set()).add(one.word)
    return [name for name, found in words.items() if found == {"undecided"}]


def _of_tonight(
    regressions: Sequence[Judged],
    refused: Sequence[str],
    undecided: Sequence[str],
    compared: Compared | None,
    trouble: str,
) -> str:
    said = []
    if refused:
        said.append(f"{_list(refused)} failed verification")
    if regressions:
        told = [f"{one.candidate} on {one.scenario} ({_change(one)})" for one in regressions]
        said.append(f"worse than the baseline: {_list(told)}")
    if undecided:
        said.append(f"nothing can be said of {_list(list(undecided))}")
    if trouble:
        said.append(f"nothing was compared, for the accepted baseline cannot be used: {trouble}")
    elif compared is None:
        said.append("no baseline is accepted yet, so nothing was compared (lab baseline accept)")
    elif not regressions:
        words = Counter(one.word for one in compared.judged)
        told = [f"{words[word]} {name}" for word, name in _COUNTED if words[word]]
        if not words:
            only = "only a stable variant is in both, and nobody can judge it" if compared.plain else _NOTHING
            said.append(f"{only}, so nothing was compared")
        elif set(words) != {"undecided"}:
            said.append(f"nothing is known to be worse than the baseline: {', '.join(told)}")
    sentence = "; ".join(said)
    return sentence[0].upper() + sentence[1:] + "."


_COUNTED: tuple[tuple[compare.Word, str], ...] = (
    ("no difference", "figures the same"),
    ("better", "better"),
    ("undecided", "undecided"),
)


def _of_history(nights: Sequence[Run], changes: Sequence[Change], compared: Compared | None) -> str:
    recent = {run.run_id for run in nights[-NEWS_NIGHTS:]}
    news = [change for change in changes if change.run_id in recent]
    count = f"{len(nights)} night{'s' if len(nights) != 1 else ''}"
    own = [change for change in news if not change.is_machine]
    shared = {(change.scenario, change.figure.name) for change in news if change.is_machine}
    if own:
        told = [f"{c.variant} on {c.scenario} ({c.figure.title} {c.ratio - 1.0:+.1%})" for c in own]
        sentence = f"In {count} of history these changed lately: {_list(told)}"
    elif changes and not shared:
        sentence = f"In {count} of history nothing changed within the last {NEWS_NIGHTS}"
    elif shared:
        sentence = f"In {count} of history only the machine changed lately"
    else:
        sentence = f"In {count} of history nothing changed"
    titles = {figure.name: figure.title for figure in FIGURES}
    moved = [
        f"{titles[name]} on {scenario} {ratio - 1.0:+.1%}"
        for (scenario, name), ratio in (compared.machine.items() if compared else ())
    ]
    if moved:
        sentence += f"; since the baseline the machine itself changed, all stable variants agree: {_list(moved)}"
    return sentence + "."


def _change(one: Judged) -> str:
    return f"{one.figure.title} {one.effect.ratio - 1.0:+.1%}" if one.effect else one.figure.title


def _list(names: Sequence[str]) -> str:
    shown = list(names[:_NAMED])
    if len(names) > _NAMED:
        shown.append(f"{len(names) - _NAMED} more")
    return shown[0] if len(shown) < 2 else f"{', '.join(shown[:-1])} and {shown[-1]}"
