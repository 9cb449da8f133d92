"""Draw a plan: its trials in order, what limits each, what it assumes, and how far more machines would go."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.model import CONTROL, Lab, Plan, Scenario, TrialSpec
from orchestrator.planning.bounds import binding
from orchestrator.planning.extrapolation import GOALS, UNTESTED, Extrapolation
from orchestrator.report import figures
from orchestrator.report.remaining import loaded_s
from orchestrator.report.text import plain_table


def plan_table(plan: Plan, lab: Lab, assumed: Sequence[str] = ()) -> RenderableType:
    """Each planned trial in order, what limits each pairing, and what is left out and why.

    assumed: what could not be read, and is believed. The time named is the least: load alone, without setting up and
    taking down.
    """
    parts: list[RenderableType] = [_trials(plan, lab)]
    limits = _limits(plan)
    if limits is not None:
        parts += [Text(), limits]
    lines = [*_controls(plan, lab), *_slower(plan), *(f"assumed: {text}" for text in assumed)]
    parts += [Text(line, style="dim") for line in lines]
    if plan.left_out:
        left_out = plain_table(f"Left out: {len(plan.left_out)}", "variant", "scenario", "reason", wrap={"reason"})
        for out in plan.left_out:
            left_out.add_row(*map(Text, (out.variant, out.scenario, out.reason)))
        parts += [Text(), left_out]
    return Group(*parts)


def _trials(plan: Plan, lab: Lab) -> RenderableType:
    seconds = [_seconds(spec, lab) for spec in plan.trials]
    total = figures.long_duration(sum(seconds))
    title = f"Plan of suite {plan.suite}: {len(plan.trials)} trials, seed {plan.seed}, {total} under load"
    ablation = any(spec.reverted for spec in plan.trials)
    headers = ["#", "block", "variant", "scenario", "load", "under load", "users", "servers", "workers", "why"]
    table = plain_table(title, *headers, *(["without"] if ablation else []), wrap={"why", "without"})
    for spec, trial_s in zip(plan.trials, seconds, strict=True):
        cells = (
            str(spec.index + 1),
            str(spec.block + 1),
            spec.variant,
            spec.scenario,
            load_in_words(lab.scenarios[spec.scenario]),
            figures.long_duration(trial_s),
            spec.users,
            _servers(spec, lab),
            str(spec.workers),
            spec.why_processes,
            *([_without(spec)] if ablation else []),
        )
        table.add_row(*map(Text, cells))
    return table


def _seconds(spec: TrialSpec, lab: Lab) -> float:
    return loaded_s(lab.scenarios[spec.scenario]) + spec.probe_s


def _controls(plan: Plan, lab: Lab) -> list[str]:
    """A line for each variant that runs a second time: what for, and what that costs."""
    lines = []
    for name in dict.fromkeys(spec.variant for spec in plan.trials if spec.variant.endswith(CONTROL)):
        own = [spec for spec in plan.trials if spec.variant == name]
        took = figures.long_duration(sum(_seconds(spec, lab) for spec in own))
        lines.append(
            f"{name} is {name.removesuffix(CONTROL)} once more, the A/A control of lab nightly: {len(own)} of these "
            f"trials, {took} of the time under load; lab run {plan.suite} goes without it"
        )
    return lines


def _servers(spec: TrialSpec, lab: Lab) -> str:
    """How many processes serve; those that a variant makes itself are said to be its own."""
    variant = lab.variants.get(spec.variant)
    if variant is None or variant.processes != "own":
        return str(spec.server_processes)
    return f"{spec.own_processes} own" if spec.own_processes else "own"


def load_in_words(scenario: Scenario) -> str:
    """The load in a few words: how many, how often, on what."""
    number = f"{scenario.connections:,}"
    match scenario.kind:
        case "closed":
            return f"{number} users on {scenario.path}"
        case "open":
            return f"{figures.rate(scenario.rate_per_s)}/s on {scenario.path}"
        case "storm":
            return f"{number} each {figures.three_digits(scenario.every_s)} s"
        case "ramp" if scenario.ramp is not None:
            unit = "/s" if scenario.ramp.of == "rate" else " users"
            return f"{scenario.ramp.first:,.0f} to {scenario.ramp.last:,.0f}{unit}"
        case _:
            until = "until released" if scenario.answer == "release" else f"{figures.three_digits(scenario.delay_s)} s"
            return f"{number} held {until}"


def _limits(plan: Plan) -> RenderableType | None:
    """One line for each pairing: the most it could ask for, what binds, how to raise it, and where that is done."""
    rows = [(spec, bound) for spec in _pairings(plan) if (bound := binding(spec.bounds)) is not None]
    if not rows:
        return None
    headers = ("variant", "scenario", "limit", "binds", "because", "to raise it", "whose")
    wrap = {"because", "to raise it", "scenario"}
    table = plain_table("What limits it", *headers, wrap=wrap, right={"limit"})
    for spec, bound in rows:
        cells = (
            spec.variant,
            spec.scenario + (f", {_without(spec)}" if spec.reverted else ""),
            f"{'' if bound.calibrated else '~'}{bound.most:,.0f}",
            bound.name + (": impossible" if bound.exceeded and bound.hard else ""),
            bound.formula,
            bound.fix,
            bound.whose,
        )
        style = "" if not bound.exceeded else "red" if bound.hard and not spec.reverted else "yellow"
        table.add_row(*[Text(cell, style=style) for cell in cells])
    return table


def _slower(plan: Plan) -> list[str]:
    """A line for each soft constraint that a pairing exceeds: it runs, more slowly or with losses."""
    return list(
        dict.fromkeys(
            f"{spec.variant} on {spec.scenario}: beyond {bound.name} ({bound.wanted:,.0f} of {bound.most:,.0f} "
            f"{bound.unit}: {bound.formula}); {bound.fix}"
            for spec in plan.trials
            for bound in spec.bounds
            if not bound.hard and bound.exceeded
        )
    )


def extrapolation_table(rows: Sequence[Extrapolation]) -> RenderableType:
    """How many connections hosts of this kind hold, and how many hosts a million and ten million ask for."""
    hosts = rows[0].hosts if rows else 1
    goals = [f"hosts for {goal // 1_000_000} M" for goal in GOALS]
    title = f"{hosts} {'host' if hosts == 1 else 'hosts'} of this kind, each with its own servers and load"
    headers = ("variant", "scenario", "per host", "together", *goals, "binds", "measured", "")
    table = plain_table(title, *headers, wrap={""}, right={"per host", "together", "measured", *goals})
    for row in rows:
        needed = [row.hosts_for(goal) for goal in GOALS]
        cells = (
            row.variant,
            row.scenario,
            f"{row.per_host:,}",
            f"{row.total:,}",
            *(figures.whole(n) for n in needed),
            row.binds.name if row.binds is not None else "nothing that could be read",
            figures.whole(row.measured),
            _labelled(row),
        )
        table.add_row(*map(Text, cells))
    return table


def _labelled(row: Extrapolation) -> str:
    """Which of the numbers nobody has tested: per host, together, the goals."""
    numbers = [("per host", row.per_host), ("together", row.total), *((f"{g // 1_000_000} M", g) for g in GOALS)]
    doubted = [name for name, connections in numbers if row.label(connections)]
    return f"{UNTESTED}: {', '.join(doubted)}" if doubted else ""


def _pairings(plan: Plan) -> list[TrialSpec]:
    """The first trial of each pairing and condition: repetitions have the same limits."""
    return list({(s.scenario, s.variant, s.reverted): s for s in reversed(plan.trials)}.values())[::-1]


def _without(spec: TrialSpec) -> str:
    return spec.reverted or "(all in place)"
