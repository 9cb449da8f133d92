"""Make plans with what is known of this machine: its limits, what was calibrated, and what was measured so far.

Reads files only; no engine is asked and nothing is changed.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from orchestrator.hosts.calibration import read_calibration
from orchestrator.hosts.facts import kernel_version
from orchestrator.hosts.limits import read_limits
from orchestrator.model import CONTROL, Lab, Plan
from orchestrator.planning.control import as_every_night
from orchestrator.planning.costs import is_same_host
from orchestrator.planning.extrapolation import Extrapolation, extrapolate
from orchestrator.planning.plan import ask_of, make_plan
from orchestrator.results.store import open_store
from orchestrator.up import state_folder

# The newest runs are those of this version and machine; reading each one's histograms takes some milliseconds.
_RUNS_READ = 50


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A plan, and what stands behind it."""

    lab: Lab  # in which the nightly's own suite has its A/A control
    plan: Plan
    assumed: tuple[str, ...]  # in words: what was not read or not calibrated
    extrapolations: tuple[Extrapolation, ...]  # of its hold scenarios; empty unless asked for


def plan_here(
    lab: Lab,
    suite: str,
    *,
    nofile_granted: int | None = None,
    kernel: tuple[int, int] | None = None,
    attempt: bool = False,
) -> Plan:
    """Return a suite's plan with its limits on this machine.

    nofile_granted: what the engine grants now; None: what it granted when it was last asked. attempt: as in make_plan.
    """
    state = state_folder(lab.root)
    return make_plan(
        lab,
        suite,
        nofile_granted=nofile_granted,
        kernel=kernel,
        host=read_limits(state),
        calibration=read_calibration(state),
        attempt=attempt,
    )


def foresee(lab: Lab, suite: str, hosts: int | None = None) -> Foreseen:
    """Return the plan that a run here would have, as far as files tell; of the nightly's suite, a night's.

    hosts: extrapolate to so many; None: do not. Raises BadInput for an unknown suite.
    """
    lab = as_every_night(lab, suite)
    state = state_folder(lab.root)
    limits, calibration = read_limits(state), read_calibration(state)
    plan = plan_here(lab, suite, kernel=kernel_version(platform.release()))
    assumed = list(limits.assumed)
    if calibration is None:
        assumed.append("costs of a connection: the reference's (marked ~), until lab tune --calibrate measures")
    elif not is_same_host(calibration.fingerprint, limits.fingerprint):
        assumed.append("costs of a connection: the reference's (marked ~); the calibration is another machine's")
    found: dict[tuple[str, str], Extrapolation] = {}
    if hosts is not None:
        measured = largest_held(lab)
        for spec in plan.trials:
            if spec.kind != "hold" or spec.reverted or spec.variant.endswith(CONTROL):
                continue
            if (spec.scenario, spec.variant) not in found:
                ask = ask_of(lab, spec, limits.nofile_granted, limits, calibration)
                found[spec.scenario, spec.variant] = extrapolate(ask, hosts, measured.get(spec.variant))
    return Foreseen(lab, plan, tuple(assumed), tuple(found.values()))


def largest_held(lab: Lab) -> Mapping[str, int]:
    """Return, for each variant, the most connections that a valid trial of the newest runs held."""
    path = lab.root / "results" / "lab.db"
    if not path.exists():
        return {}
    most: dict[str, int] = {}
    with open_store(path) as store:
        for entry in islice(store.list_runs(), _RUNS_READ):
            for trial in store.read_run(entry.run_id).trials:
                held = trial.metrics.connections_held
                if trial.spec.kind == "hold" and trial.void is None and held is not None:
                    most[trial.spec.variant] = max(most.get(trial.spec.variant, 0), held)
    return most
