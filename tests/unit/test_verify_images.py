"""Existing images are no subject of the contract suite: they would fail it, and be left out of runs for it."""

from __future__ import annotations

import pytest

from orchestrator.errors import BadInput
from orchestrator.verifying.suite import chosen
from tests.unit.small_labs import make_lab, make_variant

LAB = make_lab(make_variant("a"), make_variant("mine", image="my/app:1", runtime=""))


def test_all_are_those_that_promised_the_contract() -> None:
    """An image is looked at where its trials begin."""
    assert ["a"] == [variant.name for variant in chosen(LAB, [], True)]


def test_an_image_by_name_is_one_line_with_what_works() -> None:
    """It says what is checked instead, and when."""
    with pytest.raises(BadInput, match=r"mine is an existing image, .* Try: lab run plain@mine"):
        chosen(LAB, ["a", "mine"], False)
