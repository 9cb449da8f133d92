"""Turn a plan into the document that `lab plan --json` prints.

The plan's fields by their names in model/planned.py, and beside them what a reader would otherwise have to work out:
each trial's limit and what binds, what is impossible, what was assumed, how far more machines would go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from orchestrator.model import CONTROL, Plan, TrialSpec
from orchestrator.planning.bounds import binding
from orchestrator.planning.extrapolation import GOALS, Extrapolation
from orchestrator.planning.refusal import find_impossible


def plan_document(
    plan: Plan, assumed: Sequence[str] = (), extrapolations: Sequence[Extrapolation] = ()
) -> dict[str, object]:
    """Return the plan as JSON-shaped values.

    "impossible" names the trials that `lab run` would refuse, "controls" the variants that run a second time as an A/A
    control, as every night.
    """
    document: dict[str, object] = asdict(plan)
    document["trials"] = [_trial(spec) for spec in plan.trials]
    document["impossible"] = [
        {"trial": spec.index, "constraint": bound.name, "fix": bound.fix, "whose": bound.whose}
        for spec, bound in find_impossible(plan)
    ]
    document["controls"] = list(dict.fromkeys(spec.variant for spec in plan.trials if spec.variant.endswith(CONTROL)))
    document["assumed"] = list(assumed)
    if extrapolations:
        document["extrapolations"] = [_extrapolation(row) for row in extrapolations]
    return document


def _trial(spec: TrialSpec) -> dict[str, object]:
    bound = binding(spec.bounds)
    return {
        **asdict(spec),
        "bounds": [{**asdict(b), "exceeded": b.exceeded} for b in spec.bounds],
        "limit": bound.most if bound is not None else None,
        "binds": bound.name if bound is not None else None,
    }


def _extrapolation(row: Extrapolation) -> dict[str, object]:
    return {
        "variant": row.variant,
        "scenario": row.scenario,
        "hosts": row.hosts,
        "per_host": row.per_host,
        "per_host_label": row.label(row.per_host),
        "total": row.total,
        "total_label": row.label(row.total),
        "binds": row.binds.name if row.binds is not None else None,
        "measured": row.measured,
        "goals": [{"connections": goal, "hosts": row.hosts_for(goal), "label": row.label(goal)} for goal in GOALS],
    }
