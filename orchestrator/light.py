"""First light: two seconds of load on every variant, so that the first command shows what the lab is for.

It is a run like any other (the suite `first-light`), kept in the store. Where the newest one was made with the very
images in use, it is shown again instead of measured again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.lock import only_one
from orchestrator.model import Lab, Plan, Run
from orchestrator.report.figures import errors_in_words
from orchestrator.report.progress import Progress
from orchestrator.report.text import LightRow
from orchestrator.results.mend import has_results, open_results
from orchestrator.run import carry_out, new_id, plan_suite, results_folder
from orchestrator.standing import Standing
from orchestrator.up import state_folder
from orchestrator.verdicts.summary import summarise_run

SUITE = "first-light"
CLOSED = "first-light"  # the suite's scenario for all who can serve it


@dataclass(frozen=True, slots=True)
class Light:
    """The table's rows, and where they come from in words."""

    rows: list[LightRow]
    remark: str


def first_light(lab: Lab, standing: Standing, progress: Progress) -> Light:
    """Return first light, measured now unless it was measured with these images before."""
    if SUITE not in lab.suites:
        return Light([], f"{lab.path} declares no suite '{SUITE}', so there is no first light. Next: lab plan")
    arena = {name for name in lab.suites[SUITE].variants if name in lab.arena.variants}
    earlier = _earlier(standing, arena, progress)
    if earlier is not None:
        return Light(_rows(earlier), f"measured {earlier.started_at} with these images; measure again: lab run {SUITE}")
    with only_one(state_folder(lab.root), "up"):
        plan = _of_arena(lab, _one_each(plan_suite(lab, SUITE, standing.ground)))
        done = carry_out(lab, standing.ground, standing.control, plan, new_id(SUITE), progress)
    return Light(_rows(done.run), "each in a fresh pod, two seconds of load; next: lab run quick")


def _one_each(plan: Plan) -> Plan:
    """Keep one trial for each variant: the closed loop where it can serve one, which says most in two seconds."""
    closed = {t.variant for t in plan.trials if t.scenario == CLOSED}
    return replace(plan, trials=tuple(t for t in plan.trials if t.scenario == CLOSED or t.variant not in closed))


def _of_arena(lab: Lab, plan: Plan) -> Plan:
    """Keep the variants that stand: the master was told of no others."""
    return replace(plan, trials=tuple(t for t in plan.trials if t.variant in lab.arena.variants))


def _earlier(standing: Standing, wanted: set[str], progress: Progress) -> Run | None:
    """Return the newest finished first light of these variants made with the same images, without a void trial."""
    results = results_folder(standing.lab.root)
    if not has_results(results):
        return None
    with open_results(results, progress.say) as store:
        for entry in store.list_runs():
            if entry.suite == SUITE and entry.finished_at is not None:
                run = store.read_run(entry.run_id)
                is_whole = wanted <= {t.spec.variant for t in run.trials} and not any(t.void for t in run.trials)
                return run if is_whole and _same_images(run, standing, wanted) else None
    return None


def _same_images(run: Run, standing: Standing, variants: set[str]) -> bool:
    """Whether a run was made with the images in use now; those of variants that it did not load are no matter."""
    then, now = run.host.get("images"), standing.ground.facts["images"]
    if not isinstance(then, Mapping) or not isinstance(now, Mapping):
        return False
    others = set(standing.lab.variants) - variants
    return all(then.get(name) == image for name, image in now.items() if name not in others)


def _rows(run: Run) -> list[LightRow]:
    """One row for each variant, in the order of their names."""
    kept = {(t.variant, t.scenario) for t in _one_each(run.plan).trials}
    rows = []
    for summary in sorted(summarise_run(run), key=lambda s: s.variant):
        if (summary.variant, summary.scenario) not in kept:
            continue
        metrics = summary.metrics
        reason = summary.missing.get("throughput_per_s", "")
        if metrics.errors:
            reason = errors_in_words(metrics.errors)
        rows.append(
            LightRow(
                variant=summary.variant,
                throughput_per_s=metrics.throughput_per_s,
                p99_s=metrics.p99_s,
                threads_peak=metrics.threads_peak,
                memory_bytes=metrics.memory_bytes,
                errors=sum(metrics.errors.values()),
                reason=reason,
            )
        )
    return rows
