"""What is to be done, and what limits it, before anything begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.model.declared import Kind, Users


@dataclass(frozen=True, slots=True)
class Bound:
    """One constraint on what a trial asks for, as predicted before it begins."""

    name: str  # "server descriptors", "source ports", "kernel memory", ...
    most: float | None  # what it allows, in `unit`; None: no limit in sight, or not known (the formula says which)
    formula: str  # with the numbers in it
    fix: str  # what would raise it
    whose: Literal["container", "host", "variant", "lab"]  # where that is done
    calibrated: bool = True  # False: a constant from the reference, not measured on this host
    wanted: float = 0.0  # what the trial asks for, in `unit`
    unit: str = "connections"  # open at once; or "arrivals/s"
    hard: bool = True  # True: beyond it a connection fails. False: it costs time, or loses some

    @property
    def exceeded(self) -> bool:
        return self.most is not None and self.wanted > self.most


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """One planned trial: variant x scenario x repetition."""

    index: int  # position in the run, from 0
    block: int  # repetition, from 0; each block holds every pairing once
    variant: str
    scenario: str
    kind: Kind  # the scenario's, so that a stored run can be read without its lab file
    profile: str
    server_processes: int
    workers: int
    why_processes: str  # the limit that asked for this many, in words
    users: Users = "locust"  # who loads, decided
    reverted: str = ""  # ablation: the setting that this trial takes back, as in "net.core.somaxconn=128"
    bounds: tuple[Bound, ...] = ()  # what limits the trial, the binding one first
    predicted: Mapping[str, float] = field(default_factory=dict)  # figures by their names in Metrics
    own_processes: int = 0  # that the variant must make itself; 0: as many as its CPUs, or it makes none
    language: str = ""  # the variant's, so that a stored run can be grouped without its lab file
    technique: str = ""
    probe_s: float = 0.0  # the probe window; 0.0: none


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A pairing the plan does not run, and why."""

    variant: str
    scenario: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered, seeded trials; making one has no side effects."""

    suite: str
    seed: int
    trials: tuple[TrialSpec, ...]
    left_out: tuple[LeftOut, ...]
