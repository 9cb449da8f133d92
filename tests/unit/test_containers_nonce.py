"""Nonces: fresh for each run, kept for the arena."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from orchestrator.containers.nonce import arena_nonce, new_nonce, tells_nonce
from orchestrator.errors import EnvironmentMissing

ROOT = Path(__file__).resolve().parents[2]
FORM = re.compile(r"[0-9a-f]{32}")


def test_no_two_runs_share_a_nonce() -> None:
    """A thousand are all different and of the form servers take."""
    made = {new_nonce() for _ in range(1000)}

    assert 1000 == len(made)
    assert all(FORM.fullmatch(nonce) for nonce in made)


def test_the_arenas_nonce_stays(tmp_path: Path) -> None:
    """A second `lab up` reads what the first wrote, and leaves nothing beside it."""
    first = arena_nonce(tmp_path / ".lab")

    assert FORM.fullmatch(first)
    assert first == arena_nonce(tmp_path / ".lab")
    assert ["nonce"] == [path.name for path in (tmp_path / ".lab").iterdir()]


@pytest.mark.parametrize("content", [b"", b"not hex at all, sorry", b"\xff\xfe" * 16, b"ab" * 40])
def test_a_damaged_nonce_is_made_anew(tmp_path: Path, content: bytes) -> None:
    """Whatever stands in the file, what comes back is a nonce, and stays."""
    (tmp_path / "nonce").write_bytes(content)

    made = arena_nonce(tmp_path)

    assert FORM.fullmatch(made)
    assert made == arena_nonce(tmp_path)


def test_a_state_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    """The line says where the nonce could not be kept."""
    (tmp_path / ".lab").write_text("")

    with pytest.raises(EnvironmentMissing, match=r"nonce: cannot keep the arena's nonce: Not a directory"):
        arena_nonce(tmp_path / ".lab")


def test_the_seeds_cannot_tell_a_nonce() -> None:
    """They know one answer only, or no HTTP at all."""
    variants = load_lab(ROOT / "lab.yaml").variants
    silent = {name for name, variant in variants.items() if not tells_nonce(variant)}

    assert {"seed-go", "seed-c"} == silent
    assert len(variants) > 2
