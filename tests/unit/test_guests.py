"""Variants that join a standing arena stay until it goes, behind those that lab.yaml names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.guests import check_guests, forget_guests, keep_guests, read_guests, with_guests
from orchestrator.model import Arena, Lab
from tests.unit.small_labs import make_lab, make_variant

HOSTED = {"image": "my/app:1", "routes": {"plain": "/"}, "environment": {"HOST": "{host}"}}


def lab_of(*arena: str, **changes: object) -> Lab:
    """Return a lab of a, b, c and the image d; these stand in its arena."""
    made = make_lab(
        make_variant("a"), make_variant("b"), make_variant("c"), make_variant("d", **{"image": "d:1", **changes})
    )
    return replace(made, arena=Arena("default", arena))


def test_guests_come_behind_the_arenas_own(tmp_path: Path) -> None:
    """So that nobody's address changes; one that stands there already is no guest."""
    keep_guests(tmp_path, ["c", "a"])

    assert ("a", "b", "c") == with_guests(lab_of("a", "b"), tmp_path).arena.variants
    assert ("a", "c", "b") == with_guests(lab_of("a"), tmp_path, ["b"]).arena.variants


def test_a_guest_that_is_no_variant_any_more_is_left_out(tmp_path: Path) -> None:
    """Its folder is gone: nothing could be started for it."""
    keep_guests(tmp_path, ["gone", "b"])

    assert ("a", "b") == with_guests(lab_of("a"), tmp_path).arena.variants


def test_without_guests_the_lab_is_the_very_same(tmp_path: Path) -> None:
    """Whoever compares it sees no change."""
    lab = lab_of("a")

    assert lab is with_guests(lab, tmp_path)


def test_guests_are_forgotten_with_the_arena(tmp_path: Path) -> None:
    """And forgetting nobody is fine."""
    keep_guests(tmp_path / "state", ["c"])
    kept = read_guests(tmp_path / "state")
    forget_guests(tmp_path / "state")
    forget_guests(tmp_path / "state")

    assert (("c",), ()) == (kept, read_guests(tmp_path / "state"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["c-epol"], "--variant: 'c-epol' is not a variant; write one of: a, b, c, d"),
        (["d"], "--variant: 'd' is not told {host}, so it listens on every address, and a has port 8080 too; write"),
    ],
)
def test_what_cannot_join_is_refused(names: list[str], expected: str) -> None:
    """Before anything is started: the image would take the others' port away."""
    with pytest.raises(BadInput) as caught:
        check_guests(lab_of("a"), names)

    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("changes", [{"port": 9000}, HOSTED, {"command": ("--bind", "{host}:{port}")}])
def test_an_image_that_can_be_placed_joins(changes: dict[str, object]) -> None:
    """A port that nobody else has, or an address that it is told."""
    check_guests(lab_of("a", **{**changes, "image": "d:1"}), ["d", "c"])
