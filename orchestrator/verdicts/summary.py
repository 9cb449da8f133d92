"""Turn the trials of one variant x scenario into one row, and a run into all of its rows.

Only valid trials count. A figure comes from those trials that measured it; where none did, it is None and
`Summary.missing` says why. Comparing rows with each other is not done here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import fmean

from orchestrator.model import Kind, Metrics, Probed, Run, Step, TrialResult, TrialSpec
from orchestrator.verdicts.ceiling import AT_CEILING, with_ceilings
from orchestrator.verdicts.histogram import EmptyHistogram, count, merge, quantile_s
from orchestrator.verdicts.validity import GENERATOR_LIMITED, UNSUPPORTED

NOT_RECORDED = "not recorded"  # a defect of the lab: a metric came without value and without reason

METRIC_NAMES: tuple[str, ...] = tuple(one.name for one in fields(Metrics))


@dataclass(frozen=True, slots=True)
class Summary:
    """One variant under one scenario, over all of its trials in a run."""

    variant: str
    scenario: str
    kind: Kind
    planned: int
    finished: int
    valid: int
    metrics: Metrics  # combined as `summarise` documents
    missing: Mapping[str, str]  # metric name -> why it is None
    void_reasons: tuple[str, ...]  # "trial 2: ...", but for the unsupported
    notes: tuple[str, ...]  # of the valid trials, each once
    reverted: str = ""  # ablation: the setting that these trials took back; "" for those with all in place
    steps: tuple[Step, ...] = ()  # ramp: of the valid trial that broke first
    bound_by: str = ""  # ramp: what bound there
    counters: Mapping[str, float] = field(default_factory=dict)  # the kernel's that grew, over the valid trials
    predicted: Mapping[str, float] = field(default_factory=dict)  # before the run, by the names of the metrics
    binds_first: str = ""  # the constraint that was to, with its number
    users: str = ""  # who loaded: engine or locust; "" where no trial finished
    language: str = ""  # the variant's, what tables of many rows are grouped by; "" in runs of before it was kept
    technique: str = ""
    probes: tuple[Probed, ...] = ()  # of the valid trials that were probed
    unsupported: str = ""  # why this machine cannot run it, as the server said; "" where it can

    @property
    def label(self) -> str:
        """The row's name: the variant, and the setting it had to do without."""
        setting = self.reverted.partition("=")[0].rpartition(".")[2]  # "somaxconn" of net.core.somaxconn=128
        return f"{self.variant} without {setting}" if setting else self.variant

    @property
    def void(self) -> int:
        return self.finished - self.valid

    @property
    def is_at_least(self) -> bool:
        """The throughput is a lower bound: in some trial the generator was the limit."""
        return GENERATOR_LIMITED in self.notes or AT_CEILING in self.notes


def summarise_run(run: Run) -> tuple[Summary, ...]:
    """Return a row for every planned pairing (and reverted setting), in the order in which the plan first names it."""
    run = with_ceilings(run)
    planned = Counter((spec.scenario, spec.variant, spec.reverted) for spec in run.plan.trials)
    for result in run.trials:  # a trial outside the plan is shown rather than lost
        planned.setdefault((result.spec.scenario, result.spec.variant, result.spec.reverted), 0)
    by_scenario: dict[str, list[TrialResult]] = {scenario: [] for scenario, _, _ in planned}
    for result in run.trials:
        by_scenario[result.spec.scenario].append(result)
    kind_of = {spec.scenario: spec.kind for spec in (*run.plan.trials, *(t.spec for t in run.trials))}
    about = {
        spec.variant: (spec.language, spec.technique) for spec in (*(t.spec for t in run.trials), *run.plan.trials)
    }
    order = list(by_scenario)
    return tuple(
        summarise(
            variant,
            scenario,
            kind_of[scenario],
            planned[scenario, variant, reverted],
            [
                result
                for result in by_scenario[scenario]
                if (result.spec.variant, result.spec.reverted) == (variant, reverted)
            ],
            reverted,
            *about[variant],
        )
        for scenario, variant, reverted in sorted(planned, key=lambda row: order.index(row[0]))
    )


def summarise(
    variant: str,
    scenario: str,
    kind: Kind,
    planned: int,
    trials: Sequence[TrialResult],
    reverted: str = "",
    language: str = "",
    technique: str = "",
) -> Summary:
    """Return the row of one pairing.

    Percentiles: of the merged histograms. Throughput: geometric mean, 0 if any trial's was. Requests, errors and
    failed connections: summed. Threads: the highest peak. Memory: the mean. Requested and held: those of the trial
    that held least, because a variant holds up no better than at its worst. Memory per connection: weighted by
    connections held; CPU and switches: weighted by right answers, so that each equals total cost / total work. A
    trial whose weight is unknown or 0 makes that mean an unweighted one. Arrivals planned, sent, late and dropped:
    summed. Time to establish, lag, the generator's memory: the largest. Breaking point: the lowest.
    """
    valid = [trial for trial in trials if trial.void is None]
    void = [trial for trial in trials if trial.void is not None]
    unsupported = next((t.void for t in void if t.void is not None and t.void.startswith(UNSUPPORTED)), "")
    void_reasons = tuple(f"trial {t.spec.block + 1}: {t.void}" for t in void if not str(t.void).startswith(UNSUPPORTED))
    metrics = _combine(valid)
    missing = {
        name: _why_missing(name, valid, (*void_reasons, *filter(None, [unsupported])))
        for name in METRIC_NAMES
        if getattr(metrics, name) is None
    }
    notes = dict.fromkeys(note for trial in valid for note in trial_notes(trial))
    notes.update(dict.fromkeys(_partial_notes(metrics, valid)))
    broke_first = min(
        (trial for trial in valid if trial.steps), key=lambda trial: trial.metrics.breaking_point or 0.0, default=None
    )
    counters: Counter[str] = Counter()
    for trial in valid:
        counters.update({name: round(grown) for name, grown in trial.counters.items()})
    return Summary(
        variant=variant,
        scenario=scenario,
        kind=kind,
        planned=planned,
        finished=len(trials),
        valid=len(valid),
        metrics=metrics,
        missing=missing,
        void_reasons=void_reasons,
        notes=tuple(notes),
        reverted=reverted,
        steps=broke_first.steps if broke_first else (),
        bound_by=broke_first.bound_by if broke_first else "",
        counters={name: float(grown) for name, grown in counters.items()},
        predicted=trials[0].spec.predicted if trials else {},
        binds_first=_binds_first(trials[0].spec) if trials else "",
        users=trials[0].spec.users if trials else "",
        language=language,
        technique=technique,
        probes=tuple(trial.probe for trial in valid if trial.probe is not None),
        unsupported=unsupported.removeprefix(UNSUPPORTED),
    )


def _binds_first(spec: TrialSpec) -> str:
    bound = next((bound for bound in spec.bounds if bound.most is not None), None)
    return "" if bound is None else f"{bound.name}: {bound.most:,.0f} {bound.unit}"


def trial_notes(trial: TrialResult) -> tuple[str, ...]:
    """Return the trial's notes and one for each limit that did not take, each once."""
    refused = (
        f"{back.what} in the {back.where}: wanted {back.wanted}, got {back.seen}"
        for back in trial.read_backs
        if not back.took
    )
    return tuple(dict.fromkeys((*trial.notes, *refused)))


def _combine(valid: Sequence[TrialResult]) -> Metrics:
    worst = min(
        (trial.metrics for trial in valid if trial.metrics.connections_held is not None),
        key=lambda metrics: metrics.connections_held or 0,
        default=None,
    )
    requested = [n for trial in valid if (n := trial.metrics.connections_requested) is not None]
    errors: Counter[str] = Counter()
    for trial in valid:
        errors.update(trial.metrics.errors)
    return Metrics(
        throughput_per_s=_geometric_mean([x for t in valid if (x := t.metrics.throughput_per_s) is not None]),
        p50_s=_quantile(valid, "p50_s", 0.5),
        p99_s=_quantile(valid, "p99_s", 0.99),
        p999_s=_quantile(valid, "p999_s", 0.999),
        requests=_total([t.metrics.requests for t in valid]),
        errors=dict(errors),
        connections_requested=worst.connections_requested if worst else max(requested, default=None),
        connections_held=worst.connections_held if worst else None,
        connections_failed=_total([t.metrics.connections_failed for t in valid]),
        threads_peak=max((n for t in valid if (n := t.metrics.threads_peak) is not None), default=None),
        memory_bytes=_mean([t.metrics.memory_bytes for t in valid]),
        memory_user_bytes=_mean([t.metrics.memory_user_bytes for t in valid]),
        memory_kernel_bytes=_mean([t.metrics.memory_kernel_bytes for t in valid]),
        memory_socket_bytes=_mean([t.metrics.memory_socket_bytes for t in valid]),
        memory_bytes_per_connection=_weighted_mean(
            valid, lambda m: m.memory_bytes_per_connection, lambda t: t.metrics.connections_held
        ),
        cpu_s_per_10k_requests=_weighted_mean(valid, lambda m: m.cpu_s_per_10k_requests, _answered),
        context_switches_per_request=_weighted_mean(valid, lambda m: m.context_switches_per_request, _answered),
        established_s=_largest([t.metrics.established_s for t in valid]),
        planned=_total([t.metrics.planned for t in valid]),
        sent=_total([t.metrics.sent for t in valid]),
        late=_total([t.metrics.late for t in valid]),
        dropped=_total([t.metrics.dropped for t in valid]),
        lag_p99_s=_largest([t.metrics.lag_p99_s for t in valid]),
        breaking_point=min((x for t in valid if (x := t.metrics.breaking_point) is not None), default=None),
        generator_memory_bytes=_largest([t.metrics.generator_memory_bytes for t in valid]),
    )


def _quantile(valid: Sequence[TrialResult], name: str, q: float) -> float | None:
    try:
        return quantile_s(merge(t.histogram_us for t in valid if getattr(t.metrics, name) is not None), q)
    except EmptyHistogram:
        return None


def _geometric_mean(values: Sequence[float]) -> float | None:
    if not values:
        return None
    if min(values) <= 0.0:
        return 0.0
    return math.exp(fmean(math.log(value) for value in values))


def _total(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _largest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _weighted_mean(
    valid: Sequence[TrialResult],
    value_of: Callable[[Metrics], float | None],
    weight_of: Callable[[TrialResult], int | None],
) -> float | None:
    pairs = [(value, weight_of(t)) for t in valid if (value := value_of(t.metrics)) is not None]
    if not pairs:
        return None
    weights = [weight for _, weight in pairs if weight]
    if len(weights) < len(pairs):
        return fmean(value for value, _ in pairs)
    return fmean([value for value, _ in pairs], weights)


def _answered(trial: TrialResult) -> int:
    return count(trial.histogram_us)


def _why_missing(name: str, valid: Sequence[TrialResult], void_reasons: Sequence[str]) -> str:
    if not valid:
        return f"no valid trial ({'; '.join(void_reasons)})" if void_reasons else "no trial finished"
    return "; ".join(dict.fromkeys(trial.missing.get(name, NOT_RECORDED) for trial in valid))


def _partial_notes(metrics: Metrics, valid: Sequence[TrialResult]) -> list[str]:
    notes = []
    for name in METRIC_NAMES:
        measured = [trial for trial in valid if getattr(trial.metrics, name) is not None]
        if getattr(metrics, name) is not None and len(measured) < len(valid):
            why = _why_missing(name, [trial for trial in valid if trial not in measured], ())
            notes.append(f"{name}: from {len(measured)} of {len(valid)} trials; the others: {why}")
    return notes
