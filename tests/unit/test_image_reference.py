"""An image is found again by what it is made from, and by nothing else."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound

from orchestrator.containers.images import Recipe, _write_context, find_existing, reference
from orchestrator.containers.recipes import describe, variant_recipes
from orchestrator.errors import BadInput, BuildFailed, EnvironmentMissing
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
    with pytest.raises(BuildFailed, match=r"runtime 'cobol' has no .*; known: c, .*go, .*python"):
        variant_recipes([replace(variant, runtime="cobol")])


def test_a_seccomp_profile_is_no_part_of_the_image(tmp_path: Path) -> None:
    """It is set on the container: changing it does not rebuild."""
    variant = write_variant(tmp_path, "seccomp.json")

    assert "seccomp.json" in variant_recipes([variant])["mine"].context
    tightened = replace(variant, seccomp=tmp_path / "mine" / "seccomp.json")
    assert "seccomp.json" not in variant_recipes([tightened])["mine"].context


def test_packages_are_a_build_argument_and_part_of_the_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package is another image."""
    variant = write_variant(tmp_path)
    (tmp_path / "runtime-x.Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nARG PACKAGES\n")
    monkeypatch.setattr("orchestrator.containers.recipes.IMAGES", tmp_path)
    (tmp_path / "health").write_text("")

    def tag(*packages: str) -> str:
        made = variant_recipes([replace(variant, runtime="x", packages=packages)])
        return reference(made["mine"], made, "base-1")

    both = variant_recipes([replace(variant, runtime="x", packages=("a", "b"))])["mine"]
    assert {"PACKAGES": "a b"} == both.arguments
    assert 4 == len({tag(), tag("a"), tag("b"), tag("a", "b")})


def test_packages_of_a_runtime_that_takes_none_are_refused(tmp_path: Path) -> None:
    """They would be left out in silence."""
    with pytest.raises(BadInput, match=r"mine/variant.toml packages: runtime 'c' takes none; remove the key, or"):
        variant_recipes([replace(write_variant(tmp_path), packages=("liburing2",))])


def test_an_existing_image_has_no_recipe(tmp_path: Path) -> None:
    """It is run as it is."""
    assert {} == variant_recipes([replace(write_variant(tmp_path), runtime="", image="my/app:1")])


class Images:
    """An engine that has one image."""

    @property
    def images(self) -> Images:
        return self

    def get(self, name: str) -> Images:
        if name != "my/app:1":
            raise ImageNotFound("404")
        return self

    id = "sha256:" + "ab" * 32


def test_an_existing_image_is_held_by_its_id(tmp_path: Path) -> None:
    """A tag that moves meanwhile changes nothing; variants that are built here have none."""
    variant = replace(write_variant(tmp_path), runtime="", image="my/app:1")

    client: Any = Images()
    assert {"mine": Images.id} == find_existing(client, [variant, replace(variant, name="b", image="")])
    assert {"mine": "ab" * 6} == describe({"mine": Images.id})


def test_an_absent_image_is_named_with_what_would_bring_it(tmp_path: Path) -> None:
    """The lab pulls nothing by itself."""
    client: Any = Images()
    with pytest.raises(EnvironmentMissing, match=r"mine: this engine has no image my/app:2. Try: docker pull my/app:2"):
        find_existing(client, [replace(write_variant(tmp_path), runtime="", image="my/app:2")])


def write_variant(tmp_path: Path, *files: str) -> Variant:
    (tmp_path / "mine").mkdir()
    for name in files:
        (tmp_path / "mine" / name).write_text("{}")
    return Variant("mine", "", "c", "", "c", tmp_path / "mine", "http", 8080, False, "one", (2, 6), ())
