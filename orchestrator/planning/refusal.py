"""Turn a plan into the refusal of what cannot work, before anything of it starts."""

from __future__ import annotations

from orchestrator.errors import BadInput
from orchestrator.model import Bound, Plan, TrialSpec


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


def _fix(bound: Bound) -> str:
    return f"Fix ({bound.whose}): {bound.fix}"
