"""The A/A control: one image under two names, in every block."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from orchestrator.containers.recipes import variant_recipes
from orchestrator.errors import BadInput
from orchestrator.model import Lab
from orchestrator.planning.control import with_control, with_second_names
from orchestrator.planning.plan import make_plan

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lab() -> Lab:
    return load_lab(ROOT / "lab.yaml")


def test_each_block_holds_the_control_beside_its_variant(lab: Lab) -> None:
    """Both names are planned alike, once in each block and scenario."""
    plan = make_plan(with_control(lab, "quick", "c-epoll"), "quick", nofile_granted=None)
    times = {
        name: [(spec.block, spec.scenario) for spec in plan.trials if spec.variant == name]
        for name in ("c-epoll", "c-epoll~control")
    }

    assert 6 == len(times["c-epoll"])
    assert set(times["c-epoll"]) == set(times["c-epoll~control"])


def test_the_second_name_has_no_image_of_its_own(lab: Lab) -> None:
    """One image under two names: nothing is built for the second."""
    both = with_control(lab, "quick", "c-epoll")
    recipes = variant_recipes([both.variants["c-epoll"], both.variants["c-epoll~control"]])

    assert "c-epoll" == both.variants["c-epoll~control"].same_as
    assert {"c-epoll", "toolchain-c"} == set(recipes)


def test_a_suite_without_the_wanted_variant_controls_its_first_sound_one(lab: Lab) -> None:
    """A specimen is no control: its errors are its signature."""
    quick = replace(lab.suites["quick"], variants=("seed-c", "go-nethttp", "c-epoll"))
    odd = replace(lab, suites={"quick": quick})

    assert "go-nethttp~control" == with_control(odd, "quick", "nginx").suites["quick"].variants[-1]
    assert "go-nethttp~control" == with_control(odd, "quick", "").suites["quick"].variants[-1]


def test_a_kept_plan_finds_its_second_names_again(lab: Lab) -> None:
    """Whoever resumes a night reads the names from its plan; unknown ones are left to whoever looks them up."""
    found = with_second_names(lab, ["c-epoll", "c-epoll~control", "gone~control"])

    assert set(lab.variants) | {"c-epoll~control"} == set(found.variants)
    assert (
        replace(lab.variants["c-epoll"], name="c-epoll~control", same_as="c-epoll") == found.variants["c-epoll~control"]
    )
    assert lab is with_second_names(lab, ["c-epoll"])


def test_an_unknown_suite_is_named(lab: Lab) -> None:
    """One line that lists the suites there are."""
    with pytest.raises(BadInput, match=r"'nightyl' is not a suite; write one of: .*quick"):
        with_control(lab, "nightyl", "")
