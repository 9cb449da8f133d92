"""What a run is resumed on: what was declared and the ground it began on, and what of them counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.load import load_lab
from orchestrator.model import Gate, Lab
from orchestrator.planning.plan import make_plan
from orchestrator.planning.sameness import changed_ground, changed_words, declared, missing
from orchestrator.results.codec import dump

ROOT = Path(__file__).resolve().parents[2]
HOST = {
    "kernel": "6.1.0", "cpus": 2, "memory_bytes": 4_000_000_000, "load_average_1m": 0.5, "recorded_at": "then",
    "nofile_granted": 65536, "images": {"base": "00", "c-epoll": "01", "go-net": "02", "swarm": "03"},
}  # fmt: skip


@pytest.fixture(scope="module")
def lab() -> Lab:
    return load_lab(ROOT / "lab.yaml")


def with_scenario(lab: Lab, **changes: Any) -> Lab:
    return replace(lab, scenarios={**lab.scenarios, "plain": replace(lab.scenarios["plain"], **changes)})


def with_variant(lab: Lab, **changes: Any) -> Lab:
    return replace(lab, variants={**lab.variants, "c-epoll": replace(lab.variants["c-epoll"], **changes)})


def with_profile(lab: Lab, **changes: Any) -> Lab:
    return replace(lab, profiles={**lab.profiles, "default": replace(lab.profiles["default"], **changes)})


def test_the_same_lab_is_the_same_after_it_was_kept_as_json(lab: Lab) -> None:
    """Every suite of lab.yaml: what is declared survives the store exactly."""
    for suite in lab.suites:
        plan = make_plan(lab, suite, nofile_granted=None)
        words = declared(lab, plan)

        assert () == changed_words(json.loads(dump(words)), declared(lab, plan)), suite
        assert () == missing(lab, plan)
        assert {spec.variant for spec in plan.trials} == {n.split()[1] for n in words if n.startswith("variant ")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lab: with_scenario(lab, measure_s=77.0), ["scenario plain: measure_s was 6.0, is 77.0"]),
        (lambda lab: with_variant(lab, processes="own"), ["variant c-epoll: processes was reuseport, is own"]),
        (lambda lab: with_variant(lab, seccomp=Path("/x/y.json")), ["variant c-epoll: seccomp was null, is y.json"]),
        (lambda lab: with_profile(lab, nofile=1), ["profile default: nofile was 65536, is 1"]),
        (lambda lab: replace(lab, gate=Gate(stolen_ratio=0.2)), ["gate: stolen_ratio was 0.05, is 0.2"]),
        (lambda lab: with_scenario(lab, summary="other words"), []),
        (lambda lab: with_variant(lab, folder=Path("/elsewhere/c-epoll")), []),
    ],
)
def test_what_is_declared_otherwise_is_said_in_words(
    lab: Lab, change: Callable[[Lab], Lab], expected: list[str]
) -> None:
    """What offers load or starts a server counts; summaries and places of folders do not."""
    plan = make_plan(lab, "quick", nofile_granted=None)
    then = declared(lab, plan)
    then["scenario plain"] = {**then["scenario plain"], "measure_s": 6.0}  # type: ignore[dict-item]
    then["profile default"] = {**then["profile default"], "nofile": 65536}  # type: ignore[dict-item]
    found = changed_words(then, declared(change(with_profile(with_scenario(lab, measure_s=6.0), nofile=65536)), plan))

    assert expected == list(found)


def test_what_is_gone_is_named(lab: Lab) -> None:
    """A scenario and a variant that the lab file lost."""
    plan = make_plan(lab, "quick", nofile_granted=None)
    less = replace(
        lab,
        scenarios={name: one for name, one in lab.scenarios.items() if name != "plain"},
        variants={name: one for name, one in lab.variants.items() if name != "c-epoll"},
    )

    assert ("scenario plain", "variant c-epoll") == missing(less, plan)


def test_what_was_not_kept_cannot_be_the_same(lab: Lab) -> None:
    """A run of an earlier lab says nothing of what was declared."""
    plan = make_plan(lab, "quick", nofile_granted=None)

    assert ("what lab.yaml said was not kept when the run began, and cannot be compared",) == changed_words(
        {}, declared(lab, plan)
    )
    assert ("the images were not kept when the run began, and cannot be compared",) == changed_ground({}, HOST)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"load_average_1m": 9.0, "recorded_at": "now", "memory_bytes": 4_000_100_000}, []),
        ({"kernel": "6.2.0", "cpus": 4}, ["kernel was 6.1.0, is 6.2.0", "cpus was 2, is 4"]),
        ({"memory_bytes": 2_000_000_000}, ["memory_bytes was 4000000000, is 2000000000"]),
        ({"images": {"base": "00", "c-epoll": "09", "swarm": "03"}}, ["image c-epoll was 01, is 09"]),
        ({"images": {"base": "00", "c-epoll": "01", "new": "05"}}, ["image new was not there, is 05"]),
    ],
)  # fmt: skip
def test_what_of_the_machine_counts(changes: dict[str, object], expected: list[str]) -> None:
    """Kernel, limits and the images in use; images of variants that this run does not load are no matter."""
    assert expected == list(changed_ground(HOST, {**HOST, **changes}))
