"""What the calibration's windows become: comparisons, the verdicts on them, and the three lines. No pod runs here.

A comparison takes one window of either side from each of as many rounds as it has blocks, so never two of one pod, and
no window enters two comparisons; it is judged block by block as `lab compare --variants` does, with the thresholds of
the repository's lab.yaml.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.outcome import Outcome
from bench.paces import BASELINE, SLOWED, TRUTH
from orchestrator.model import TrialResult
from orchestrator.verdicts.ceiling import is_censored
from orchestrator.verdicts.compare import Judged, Side, judge_pairs

FALSE_ALARMS = "calibration: A/A comparisons with a false alarm"
FOUND = "calibration: a tenth slower, called slower"
COVERED = "calibration: a tenth slower, the interval covers the truth"

BLOCKS = 24  # of a comparison, as in the nightly's suite
# The kernel's account of CPU time for each request, at both paces over all their windows, must agree with the truth.
# 2 %: over four standard errors. Pairs give ratios that spread by 10 % on a busy virtual machine, and there are 480.
_AGREE_RATIO = 0.02
_JUDGED_AS = "plain"  # the scenario of lab.yaml whose thresholds count: the same kind of load

Place = tuple[int, int]  # round, and which of a side's windows in it
Pool = dict[str, dict[Place, TrialResult]]  # pod's name -> place -> what was measured


@dataclass(frozen=True, slots=True)
class Kind:
    """What is compared with what. first, second: what the pods of a round are called. variant: the second's.

    Its rounds hold some more windows than the comparisons use up, since a few will be void.
    """

    name: str
    scenario: str
    first: str
    second: str
    variant: str
    comparisons: int
    rounds: int  # at most, unless told otherwise: it ends when all comparisons can be drawn
    pods: int  # of either side in a round
    windows: int  # of a pod

    @property
    def pairs(self) -> int:
        """How many windows of either side a round holds: the places at which they are compared."""
        return self.pods * self.windows


# A false alarm does not depend on the windows' length nor on their distance: many short ones of few pods.
SAME = Kind("same", "calibration", BASELINE, "paced again", BASELINE, 40, rounds=40, pods=1, windows=26)
# What is found does: trials as the nightly's, each in a fresh pod, and shuffled by sixes, so that two of a pair are on
# average no nearer than two of the nightly's five (2.3 trials apart, there 2).
SLOWER = Kind("slower", "calibration-nightly", BASELINE, SLOWED, SLOWED, 20, rounds=168, pods=3, windows=1)


@dataclass(frozen=True, slots=True)
class Counted:
    """What came of the comparisons of one kind, of `size` blocks each."""

    pool: Pool
    size: int
    judged: list[tuple[Judged, ...]]

    def share_of(self, claim: Callable[[tuple[Judged, ...]], bool]) -> float | None:
        """Return in which share of them a claim holds; None without a comparison."""
        return sum(map(claim, self.judged)) / len(self.judged) if self.judged else None

    def values_of(self, claim: Callable[[tuple[Judged, ...]], bool]) -> list[float]:
        """Return for each of them 1 where a claim holds, else 0."""
        return [float(claim(one)) for one in self.judged]


def compared(
    kind: Kind, pool: Pool, rounds: int, order: random.Random, declared: Callable[[str, str], float]
) -> Counted:
    """Draw the comparisons of a kind from its windows, and judge them."""
    size = min(BLOCKS, rounds)
    drawn = draw(_both(kind, pool), size, kind.comparisons, order)
    return Counted(pool, size, [_judge(kind, pool, places, declared) for places in drawn])


def suffice(kind: Kind, pool: Pool, rounds: int) -> bool:
    """Whether all comparisons of a kind can be drawn from the windows there are: more would not be used."""
    return len(draw(_both(kind, pool), min(BLOCKS, rounds), kind.comparisons, random.Random(0))) == kind.comparisons


def draw(places: Sequence[Place], size: int, most: int, order: random.Random) -> list[list[Place]]:
    """Return up to `most` comparisons of `size` places: of as many different rounds, and no place in two of them.

    Each takes one window of those rounds that have most windows left; ties, and the window, are left to chance.
    """
    left: dict[int, list[Place]] = {}
    for place in places:
        left.setdefault(place[0], []).append(place)
    for found in left.values():
        found.sort()
        order.shuffle(found)
    drawn: list[list[Place]] = []
    while len(drawn) < most:
        open_rounds = [n for n, found in sorted(left.items()) if found]
        if len(open_rounds) < size:
            break
        order.shuffle(open_rounds)
        open_rounds.sort(key=lambda n: -len(left[n]))  # stable: ties stay shuffled
        drawn.append([left[n].pop() for n in open_rounds[:size]])
    return drawn


def is_false_alarm(judged: tuple[Judged, ...]) -> bool:
    """Whether a comparison of a thing with itself called any figure better or worse."""
    return any(one.word in ("better", "worse") for one in judged)


def is_called_slower(judged: tuple[Judged, ...]) -> bool:
    """Whether the throughput was called worse: what was done to the variant."""
    return any(one.figure.name == "throughput_per_s" and one.word == "worse" for one in judged)


def covers_truth(judged: tuple[Judged, ...]) -> bool:
    """Whether the interval of the throughput's ratio holds the ratio that the builds have."""
    effects = [one.effect for one in judged if one.figure.name == "throughput_per_s" and one.effect is not None]
    return any(effect.low <= TRUTH <= effect.high for effect in effects)


def _both(kind: Kind, pool: Pool) -> list[Place]:
    """Return the places at which both pods of a round are valid."""
    first, second = pool[kind.first], pool[kind.second]
    return [p for p, result in second.items() if result.void is None and p in first and first[p].void is None]


def _judge(
    kind: Kind, pool: Pool, places: Sequence[Place], declared: Callable[[str, str], float]
) -> tuple[Judged, ...]:
    first, second = (
        Side(name, {block: pool[name][place] for block, place in enumerate(places)})
        for name in (kind.first, kind.second)
    )
    return judge_pairs(
        [(kind.scenario, first, second)], lambda _, figure: declared(_JUDGED_AS, figure), lambda *_: 0.0
    )  # fmt: skip


def conclude_alarms(outcome: Outcome, found: Counted) -> None:
    """Add the line of the comparisons of a server with itself, and what explains it."""
    spoilt = _spoilt(found.pool) or _too_few(SAME, found)
    outcome.add(FALSE_ALARMS, found.values_of(is_false_alarm), found.share_of(is_false_alarm), spoilt)
    _note_verdicts(outcome, SAME, found)
    alone = [one for judged in found.judged for one in judged if one.effect is not None]
    if alone:
        outside = sum(one.effect is not None and one.effect.excludes_one for one in alone)
        outcome.remarks.append(
            f"A/A, every figure by itself: {outside} of {len(alone)} intervals leave out 1, before thresholds and the "
            "correction for the family"
        )


def conclude_slower(outcome: Outcome, found: Counted) -> None:
    """Add the two lines of the comparisons with the slower pace, and what explains them."""
    seen = _cpu_ratio(found.pool)
    spoilt = _spoilt(found.pool) or _too_few(SLOWER, found) or _disagreement(seen)
    for line, claim in ((FOUND, is_called_slower), (COVERED, covers_truth)):
        outcome.add(line, found.values_of(claim), found.share_of(claim), spoilt)
    _note_verdicts(outcome, SLOWER, found)
    ratios = [one.effect for judged in found.judged for one in judged if one.figure.name == "throughput_per_s"]
    known = [effect for effect in ratios if effect is not None]
    if known:
        half = median((effect.high - effect.low) / 2.0 for effect in known)
        outcome.remarks.append(
            f"a tenth slower: ratio {median(e.ratio for e in known):.4f} ± {half:.4f} (medians of {len(known)}), "
            f"by construction {TRUTH:.4f}"
        )
    if seen is not None:
        outcome.remarks.append(
            f"the kernel's CPU time for each request, slower / baseline over all windows: {seen:.4f}"
        )


def _too_few(kind: Kind, found: Counted) -> str:
    """Return how many comparisons there are instead of those promised, or an empty string."""
    if len(found.judged) >= kind.comparisons and found.size >= BLOCKS:
        return ""
    return f"{len(found.judged)} comparisons of {found.size} blocks instead of {kind.comparisons} of {BLOCKS}"


def _note_verdicts(outcome: Outcome, kind: Kind, found: Counted) -> None:
    outcome.rounds += [{"kind": kind.name, "verdicts": [_verdict(one) for one in judged]} for judged in found.judged]


def _disagreement(cpu_ratio: float | None) -> str:
    """Return what the kernel's account says against the truth, or an empty string."""
    if cpu_ratio is None:
        return "the CPU time of a request could not be read, so that the truth is not confirmed"
    if abs(cpu_ratio * TRUTH - 1.0) <= _AGREE_RATIO:
        return ""
    return f"a request at the slower pace takes {cpu_ratio:.4f} times the CPU time, not {1.0 / TRUTH:.4f}"


def _cpu_ratio(pool: Pool) -> float | None:
    """Return the CPU time of a request at the slower pace / the baseline's, over all places that hold both."""
    spent: dict[str, float] = {}
    for name in (SLOWER.first, SLOWER.second):
        found = [pool[name][place] for place in _both(SLOWER, pool)]
        answers = [(t.metrics.cpu_s_per_10k_requests, sum(t.histogram_us.values())) for t in found]
        known = [(each, n) for each, n in answers if each is not None and n]
        if not known or len(known) < len(answers):
            return None
        spent[name] = sum(each * n for each, n in known) / sum(n for _, n in known)
    return spent[SLOWER.second] / spent[SLOWER.first]


def _spoilt(pool: Pool) -> str:
    """Return why the windows must not count: in one of them the server was not the limit, or answers were wrong."""
    for name, found in pool.items():
        for (n, window), result in found.items():
            where = f"round {n + 1}, {name}, window {window + 1}"
            if result.void is None and is_censored(result):
                return f"{where}: the generator was the limit, not the server"
            if wrong := sum(result.metrics.errors.values()):
                return f"{where}: {wrong} wrong or missing answers"
    return ""


def _verdict(one: Judged) -> dict[str, object]:
    effect = one.effect
    ends = (effect.ratio, effect.low, effect.high) if effect else None
    return {"figure": one.figure.name, "verdict": one.word, "ratio_low_high": ends, "p_corrected": one.p_corrected}
