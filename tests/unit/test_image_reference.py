"""An image is found again by what it is made from, and by nothing else."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.containers.images import Recipe, _write_context, reference
from orchestrator.containers.recipes import variant_recipes
from orchestrator.errors import BuildFailed
from orchestrator.model import Variant

Change = Callable[[Path], object]


def put(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("x")


@pytest.fixture
def recipes(tmp_path: Path) -> dict[str, Recipe]:
    """A server with its toolchain; the source lies in tmp_path/src."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.c").write_text("int main(void) { return 0; }\n")
    for name in ("server", "toolchain"):
        (tmp_path / f"{name}.Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    return {
        "toolchain": Recipe("toolchain", tmp_path / "toolchain.Dockerfile", {}),
        "server": Recipe("server", tmp_path / "server.Dockerfile", {"src": tmp_path / "src"}, toolchain="toolchain"),
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "src" / "main.c").write_text("int main(void) { return 1; }\n"),
        lambda root: (root / "src" / "main.c").rename(root / "src" / "other.c"),
        lambda root: (root / "src" / "main.c").chmod(0o755),
        lambda root: (root / "src" / "more.c").write_text(""),
        lambda root: (root / "server.Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN true\n"),
        lambda root: (root / "toolchain.Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN true\n"),
    ],
    ids=["content", "name", "mode", "new file", "Dockerfile", "toolchain's Dockerfile"],
)
def test_whatever_goes_in_changes_the_tag(recipes: dict[str, Recipe], tmp_path: Path, change: Change) -> None:
    """A changed source can never find an older image."""
    before = reference(recipes["server"], recipes, "base-1")
    change(tmp_path)

    assert before != reference(recipes["server"], recipes, "base-1")
    assert before.startswith("netpoll-lab/server:")


@pytest.mark.parametrize(
    "change",
    [
        lambda root: os.utime(root / "src" / "main.c", (1, 1)),
        lambda root: put(root / "src" / "__pycache__" / "x.pyc"),
        lambda root: put(root / "src" / "engine" / "build" / "libengine.so"),
        lambda root: put(root / "src" / "engine" / "fuzz" / "corpus" / "a"),
    ],
    ids=["time", "Python's cache", "what make built", "the fuzzer's corpus"],
)
def test_what_does_not_go_in_does_not(recipes: dict[str, Recipe], tmp_path: Path, change: Change) -> None:
    """Unchanged sources do not rebuild."""
    before = reference(recipes["server"], recipes, "base-1")
    change(tmp_path)

    assert before == reference(recipes["server"], recipes, "base-1")
    assert before != reference(recipes["server"], recipes, "base-2")


def test_context_holds_files_modes_and_what_is_bulky(recipes: dict[str, Recipe], tmp_path: Path) -> None:
    """The archive has the Dockerfile, each file with its mode, and the bulky folder that the tag leaves out."""
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a.whl").write_bytes(b"wheel")
    (tmp_path / "src" / "main.c").chmod(0o755)
    recipe = replace(recipes["server"], bulky=lambda: {"wheelhouse": tmp_path / "wheels"})
    with tempfile.TemporaryFile() as file:
        _write_context(file, recipe)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            found = {member.name: member.mode for member in archive.getmembers()}

    assert {"Dockerfile": 0o644, "src/main.c": 0o755, "wheelhouse/a.whl": 0o644} == found
    assert reference(recipe, recipes, "b") == reference(recipes["server"], recipes, "b")


def test_prose_and_manifest_are_no_part_of_a_variants_image(tmp_path: Path) -> None:
    """Editing a README does not rebuild; a runtime nobody knows is named beside the known ones."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("README.md", "variant.toml", "server.c"):
        (folder / name).write_text("")
    variant = Variant("mine", "", "c", "", "c", folder, "http", 8080, False, "one", (2, 6), ())

    assert {"server.c", "health", "shared"} == set(variant_recipes([variant])["mine"].context)
    with pytest.raises(BuildFailed, match=r"runtime 'cobol' has no .*; known: c, go, python"):
        variant_recipes([replace(variant, runtime="cobol")])
