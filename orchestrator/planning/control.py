"""Give a variant of a suite a second name, so that each block also compares one image with itself: the A/A control.

Pure. The second name exists in the returned lab only; lab.yaml cannot declare one, because no name there has a "~".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from orchestrator.errors import BadInput
from orchestrator.model import CONTROL, Lab
from orchestrator.units import shown


def with_control(lab: Lab, suite_name: str, wanted: str) -> Lab:
    """Return the lab with a suite in which one variant also runs under its second name.

    wanted: the variant; one that the suite does not run, or "", stands for the suite's first that is no specimen,
    because a specimen's errors are its signature. Raises BadInput for an unknown suite.
    """
    suite = lab.suites.get(suite_name)
    if suite is None:
        raise BadInput(f"{lab.path}: {shown(suite_name)} is not a suite; write one of: {', '.join(sorted(lab.suites))}")
    sound = [name for name in suite.variants if not lab.variants[name].specimen] or list(suite.variants)
    second = (wanted if wanted in suite.variants else sound[0]) + CONTROL
    if second in suite.variants:
        return lab
    suite = replace(suite, variants=(*suite.variants, second))
    return with_second_names(replace(lab, suites={**lab.suites, suite_name: suite}), [second])


def as_every_night(lab: Lab, suite_name: str) -> Lab:
    """Return the lab in which the nightly's own suite is the one that `lab nightly` runs; another suite stays as it is.

    Raises BadInput for an unknown suite.
    """
    nightly = lab.nightly
    if nightly is None or nightly.suite != suite_name:
        return lab
    return with_control(lab, suite_name, nightly.control)


def with_second_names(lab: Lab, names: Iterable[str]) -> Lab:
    """Return the lab in which those of the names that are second ones are variants too: a kept plan may hold some."""
    missing = {
        name: replace(lab.variants[name.removesuffix(CONTROL)], name=name, same_as=name.removesuffix(CONTROL))
        for name in names
        if name.endswith(CONTROL) and name not in lab.variants and name.removesuffix(CONTROL) in lab.variants
    }
    return replace(lab, variants={**lab.variants, **missing}) if missing else lab
