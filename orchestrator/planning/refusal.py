"""Turn a plan into the refusal of what cannot work or must not be compared, before anything of it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.errors import BadInput
from orchestrator.model import Bound, LeftOut, Plan, TrialSpec

_REASONS = 3  # that one line can hold


def find_impossible(plan: Plan) -> list[tuple[TrialSpec, Bound]]:
    """Return each trial that asks for more than a hard constraint allows, with the one that binds first.

    A trial that takes a setting back on purpose is never among them: meeting the limit is what it is for.
    """
    found = []
    for spec in plan.trials:
        broken = [bound for bound in spec.bounds if bound.hard and bound.exceeded]
        if broken and not spec.reverted:
            found.append((spec, broken[0]))
    return found


def refuse_impossible(plan: Plan) -> None:
    """Raise BadInput for a plan with a trial that cannot work: the trial, the constraint, the fix and whose it is."""
    impossible = find_impossible(plan)
    if not impossible:
        return
    spec, bound = impossible[0]
    pairings = dict.fromkeys((spec.scenario, spec.variant) for spec, _ in impossible)
    more = f" (and {len(pairings) - 1} more pairings)" if len(pairings) > 1 else ""
    raise BadInput(
        f"{spec.variant} on {spec.scenario}: {bound.wanted:,.0f} {bound.unit} wanted, but {bound.name} allow at most "
        f"{bound.most or 0:,.0f} ({bound.formula}){more}. {_fix(bound)}, or try it all the same with --attempt"
    )


def refuse_empty(plan: Plan) -> None:
    """Raise BadInput for a plan of which nothing can run, with the reasons why its pairings were left out."""
    if plan.trials:
        return
    reasons: dict[str, str] = {}  # each with its first pairing
    for left in plan.left_out:
        reasons.setdefault(left.reason, f"{left.variant} on {left.scenario} {left.reason}")
    told = "; ".join(list(reasons.values())[:_REASONS])
    raise BadInput(
        f"suite {plan.suite}: none of its {len(plan.left_out)} pairings can run: {told}. Try: lab plan {plan.suite} "
        "for all of them, or --attempt, which runs what lacks descriptors all the same"
    )


def leave_out(plan: Plan, reasons: Mapping[str, str]) -> Plan:
    """Return the plan without these variants; the pairings that go are left out with the reason. variant -> reason."""
    gone = dict.fromkeys((spec.variant, spec.scenario) for spec in plan.trials if spec.variant in reasons)
    if not gone:
        return plan
    left_out = tuple(LeftOut(variant, scenario, reasons[variant]) for variant, scenario in gone)
    rest = [spec for spec in plan.trials if spec.variant not in reasons]
    trials = tuple(replace(spec, index=index) for index, spec in enumerate(rest))
    return replace(plan, trials=trials, left_out=(*plan.left_out, *left_out))


def _fix(bound: Bound) -> str:
    return f"Fix ({bound.whose}): {bound.fix}"
