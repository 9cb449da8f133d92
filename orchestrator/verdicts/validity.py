"""Turn what is known of one trial into the reason it is void, or None.

Rules are written before any run and look at nothing but an `Evidence`. Errors alone never void a trial: a variant
that fails under load is a finding. Neither does a saturated generator: its figure is a lower bound, and
`measurement_notes` says so. Source of the rules: validity gate of the house statistics (items 9 and 10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from orchestrator.model import Gate, Kind
from orchestrator.verdicts.measured import Arrivals
from orchestrator.verdicts.reconcile import Parties, disagreement, unaccounted

CLOSED_LOOP = "closed loop"
UNSUPPORTED = "unsupported: "  # begins the reason of a trial whose server's technique this machine refuses
NEVER_SENT = "latency is that of the others"
GENERATOR_LIMITED = "at least: the generator was the limit"
OPENING_LIMITED = "time to establish: at most, the generator was the limit while it opened"
OPENING_UNKNOWN = "time to establish: opened too fast to tell whether the generator was the limit"

# Five blocks cannot reach p < 0.05 in a two-sided signed-rank test: its least value is 0.0625.
LEAST_FOR_VERDICT = 6
# Locust warns from 90 % of a core on: beyond it a worker's own queue shows in what it times.
GENERATOR_LIMIT_RATIO = 0.90
# Above 1 % of the window, throttling moves p99 by itself.
THROTTLED_LIMIT_RATIO = 0.01
STOLEN_NOTE_RATIO = 0.01  # as with throttling: from here on the slow end may show it
# Of the CPUs of one side, with what the count may be off by taken away (verdicts/others.py): 3 % is the least that a
# verdict calls a difference. From the gate's own limit on it voids.
OTHERS_NOTE_RATIO = 0.05
# Wide enough for users that are mid-exchange at either edge of a short window.
LITTLE_TOLERANCE_RATIO = 0.15


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the validity rules may look at. None means it could not be known, and is then not judged."""

    kind: Kind
    workers_expected: int
    workers_closed: int  # workers whose part of the window came in whole
    requested: int  # connections asked for; closed: users
    held: int | None  # opened and answered rightly
    failed: int | None  # the others
    answered: int  # right answers in the window
    errors_total: int  # wrong or missing answers in the window, all kinds
    window_s: float
    throttled_s: float | None  # the server's cgroup, within the window
    p50_s: float | None
    p99_s: float | None
    p999_s: float | None
    mean_latency_s: float | None  # of right answers
    deviates: bool  # a specimen: its errors are its known signature
    generator_cpu_ratio: float | None  # the busiest engine thread's share of one core; without one the worker's
    load_cpus_ratio: float | None = None  # what all workers took of the CPUs they may run on
    shared_cpus: str = ""  # list of those on which both the server and the load may run
    parties: Parties | None = None  # hold: who says how many are open at once
    arrivals: Arrivals | None = None  # open, storm
    complaints: tuple[str, ...] = ()  # what went wrong most, in words
    stolen_ratio: float | None = None  # of the machine's CPU time in the window, that its hypervisor gave to others
    gate: Gate = field(default_factory=Gate)
    others: Mapping[str, float] = field(default_factory=dict)  # which CPUs -> what other programs took of them


def void_reason(evidence: Evidence) -> str | None:
    """Return why the trial's numbers must not be used, by the first rule that objects; None when none does."""
    for rule in _RULES:
        reason = rule(evidence)
        if reason is not None:
            return reason
    return None


def rules() -> tuple[str, ...]:
    """Return why each rule is there, in the order they are asked; a report names them beside what they voided."""
    return tuple((rule.__doc__ or "").strip().partition("\n")[0] for rule in _RULES)


def least_valid(planned: int) -> int:
    """Return how many valid trials of a pairing a run needs to say anything about it.

    A run planned for verdicts needs as many as a verdict does; a smaller one half of what it planned, because beyond
    that the exception is the rule. A run with fewer is undecided.
    """
    return LEAST_FOR_VERDICT if planned >= LEAST_FOR_VERDICT else max(1, (planned + 1) // 2)


def is_generator_limited(evidence: Evidence) -> bool:
    """Whether the generator left the server waiting; False when its CPU is not known.

    One thread can be full, and so can all of the CPUs the workers share while none of their threads is.
    """
    ratios = (evidence.generator_cpu_ratio, evidence.load_cpus_ratio)
    return any(ratio is not None and ratio >= GENERATOR_LIMIT_RATIO for ratio in ratios)


def opening_notes(*cpu_ratios: float | None) -> tuple[str, ...]:
    """Return what a reader must know of a hold's time to establish: most of a hold is waiting, so its CPU says nothing.

    cpu_ratios: as in Evidence, the generator's and the load CPUs', but while it opened its connections.
    """
    known = [ratio for ratio in cpu_ratios if ratio is not None]
    if not known:
        return (OPENING_UNKNOWN,)
    return (OPENING_LIMITED,) if max(known) >= GENERATOR_LIMIT_RATIO else ()


def measurement_notes(evidence: Evidence) -> tuple[str, ...]:
    """Return what a reader must know to read valid numbers rightly, for `TrialResult.notes`."""
    notes = []
    if evidence.kind == "closed":
        notes.append(CLOSED_LOOP)
    # A ramp is meant to go on until something binds, and says itself what did.
    if is_generator_limited(evidence) and evidence.kind != "ramp":
        notes.append(GENERATOR_LIMITED)
    if evidence.arrivals is not None and evidence.arrivals.dropped:
        notes.append(f"{evidence.arrivals.dropped:,} arrivals were never sent: {NEVER_SENT}")
    if evidence.stolen_ratio is not None and evidence.stolen_ratio >= STOLEN_NOTE_RATIO:
        notes.append(f"the hypervisor took {evidence.stolen_ratio:.1%} of the CPU time")
    notes += [
        f"other programs took at least {ratio:.1%} of {cpus}"
        for cpus, ratio in evidence.others.items()
        if ratio >= OTHERS_NOTE_RATIO
    ]
    if evidence.shared_cpus:
        notes.append(f"server and load share CPU {evidence.shared_cpus}: whether the load was the limit is not known")
    if evidence.generator_cpu_ratio is None:
        notes.append("the generator's CPU is not known: it may have been the limit")
    return tuple(notes)


def _missing_workers(e: Evidence) -> str | None:
    """A worker that left took its answers with it."""
    if e.workers_closed == e.workers_expected:
        return None
    return f"{e.workers_closed} of {e.workers_expected} workers reported the whole window"


def _no_window(e: Evidence) -> str | None:
    """A rate needs a length of time."""
    if e.window_s > 0.0:
        return None
    return f"the window was {e.window_s:.3f} s long"


def _no_answer(e: Evidence) -> str | None:
    """With no right answer at all, a broken lab looks the same as a broken variant; a specimen is known to."""
    if e.answered > 0 or e.deviates:
        return None
    why = f": {', '.join(e.complaints)}" if e.complaints else ""
    return f"not one right answer in the window ({e.errors_total} wrong or missing{why})"


def _unreconciled(e: Evidence) -> str | None:
    """Every connection asked for was held or failed; none vanishes and none appears."""
    if e.held is None or e.failed is None or e.requested == e.held + e.failed:
        return None
    return f"{e.requested} connections requested, but {e.held} held and {e.failed} failed"


def _outcomes_differ(e: Evidence) -> str | None:
    """In a hold each connection has one outcome: held ones a right answer, failed ones an error of some kind."""
    if e.kind != "hold":
        return None
    if e.held is not None and e.held != e.answered:
        return f"{e.held} connections held, but {e.answered} right answers"
    if e.failed is not None and e.failed != e.errors_total:
        return f"{e.failed} connections failed, but {e.errors_total} errors were counted"
    return None


def _parties_differ(e: Evidence) -> str | None:
    """What one party counts as open the others count too; a specimen loses track of its connections, as it is known."""
    return None if e.deviates else disagreement(e.parties)


def _arrivals_lost(e: Evidence) -> str | None:
    """Every planned arrival has a fate."""
    if e.arrivals is None:
        return None
    a = e.arrivals
    return unaccounted(a.planned, a.sent, a.dropped, e.answered, e.errors_total)


def _nothing_planned(e: Evidence) -> str | None:
    """A clock that planned nothing measured nothing."""
    if e.arrivals is None or e.arrivals.planned > 0:
        return None
    return "not one arrival was planned in the window"


def _throttled(e: Evidence) -> str | None:
    """A throttled server shows its quota, not its technique."""
    if e.throttled_s is None or e.throttled_s <= THROTTLED_LIMIT_RATIO * e.window_s:
        return None
    return f"the server was throttled for {e.throttled_s:.2f} s of a {e.window_s:.2f} s window"


def _stolen(e: Evidence) -> str | None:
    """CPU time that the hypervisor gave to others is missing from server and load alike, and in no figure of either."""
    if e.stolen_ratio is None or e.stolen_ratio <= e.gate.stolen_ratio:
        return None
    allowed = f"gate.stolen in lab.yaml allows {e.gate.stolen_ratio * 100:g}%"
    return f"the hypervisor took {e.stolen_ratio:.1%} of the machine's CPU time; {allowed}"


def _beside_others(e: Evidence) -> str | None:
    """What other programs ran on a side's CPUs is missing from its figures; a hold mostly waits, and needs few of them.

    A compiler may take a third of one trial's CPU and none of the next one's, so that pairing them helps nobody.
    """
    worst = max(e.others.items(), key=lambda item: item[1], default=None)
    if worst is None or e.kind == "hold" or worst[1] <= e.gate.others_ratio:
        return None
    cpus, ratio = worst
    allowed = f"gate.others in lab.yaml allows {e.gate.others_ratio * 100:g}%"
    return f"other programs took at least {ratio:.1%} of {cpus}; {allowed}"


def _disordered(e: Evidence) -> str | None:
    """Quantiles of one distribution cannot fall as q grows."""
    known = [
        (name, value) for name, value in (("p50", e.p50_s), ("p99", e.p99_s), ("p99.9", e.p999_s)) if value is not None
    ]
    for (low, low_s), (high, high_s) in pairwise(known):
        if high_s < low_s:
            return f"{high} ({high_s:.6f} s) is below {low} ({low_s:.6f} s)"
    return None


def _little_broken(e: Evidence) -> str | None:
    """Closed loop: rate x mean latency = users in an exchange, so near the number of users.

    More than the users there are is impossible, whatever the cause. Fewer means users that idled: of those, each
    worker may account for one (it runs one at a time), and a saturated generator for any number, which its own note
    says. With errors the rate of right answers is not the rate of exchanges, and nothing can be said.
    """
    if e.kind != "closed" or e.errors_total > 0 or e.mean_latency_s is None:
        return None
    in_exchange = e.answered / e.window_s * e.mean_latency_s
    most = e.requested * (1.0 + LITTLE_TOLERANCE_RATIO)
    least = e.requested * (1.0 - LITTLE_TOLERANCE_RATIO) - e.workers_expected
    if in_exchange <= most and (in_exchange >= least or is_generator_limited(e)):
        return None
    return f"Little's law: rate x mean latency gives {in_exchange:.1f} busy users, but {e.requested} were asked for"


_RULES: tuple[Callable[[Evidence], str | None], ...] = (
    _missing_workers,
    _no_window,
    _no_answer,
    _unreconciled,
    _outcomes_differ,
    _parties_differ,
    _nothing_planned,
    _arrivals_lost,
    _throttled,
    _stolen,
    _beside_others,
    _disordered,
    _little_broken,
)
