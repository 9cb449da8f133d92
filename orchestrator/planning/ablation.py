"""Turn a profile and one setting to take back into the profile of that trial.

An ablation runs each pairing with everything tuned, and once more for each setting of the suite's `reverts`, that one
at its default. Process counts stay those of the whole profile: one thing changes at a time.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.model import Lab, Profile, Suite, TrialSpec


def profile_of(lab: Lab, spec: TrialSpec) -> Profile:
    """Return what a trial's pod is granted: its profile, without the setting that the trial takes back."""
    return revert(lab.profiles[spec.profile], spec.reverted)


def revert(profile: Profile, setting: str) -> Profile:
    """Return a profile with one setting as given. setting: "name=value", or "" for the profile as it is."""
    if not setting:
        return profile
    name, _, value = setting.partition("=")
    if name == "nofile":
        return replace(profile, nofile=int(value))
    return replace(profile, sysctls={**profile.sysctls, name: value})


def conditions(suite: Suite) -> list[str]:
    """Return what each pairing of a suite runs with: all settings in place (""), then without each of `reverts`."""
    return ["", *suite.reverts]
