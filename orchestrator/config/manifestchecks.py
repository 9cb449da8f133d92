"""Turn a well-shaped manifest into the list of what contradicts itself: what one of its keys means for another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.config.faults import Where
from orchestrator.config.schema import ImageKeys, ManifestFile
from orchestrator.units import shown

Complaint = tuple[Where, str]

MOST_SECCOMP_BYTES = 1 << 20  # the engine's own has 13 KB

# Key -> why an existing image cannot have it. `is not the default` is what counts as having it.
_NOT_OF_AN_IMAGE = {
    "packages": "its content is made already",
    "fixed_delay": 'write the path under routes, as in routes = {delay = "/sleep?ms={ms}"}',
    "processes": "it knows neither LAB_REUSEPORT nor LAB_PROCESSES",
    "lacks": "what is not under routes is not used",
}
_ONLY_OF_AN_IMAGE = ("routes", "answers", "command", "environment")


def find_misfits(manifest: ManifestFile, folder: Path) -> Iterator[Complaint]:
    """Yield where and what, for one manifest. folder: where it lies; a seccomp profile in it is looked at."""
    if manifest.runtime is None and manifest.image is None:
        yield ("runtime",), "missing; write 'runtime = \"c\"', or 'image = \"my/app:1.2\"' for an existing image"
    if manifest.runtime is not None and manifest.image is not None:
        yield ("image",), "expected runtime or image, saw both; remove one: an existing image is not built"
    if manifest.image is None:
        for key in _ONLY_OF_AN_IMAGE:
            if getattr(manifest, key):
                text = "expected only beside image; write 'image = \"my/app:1.2\"' instead of runtime, or remove it"
                yield (key,), text
    else:
        yield from _of_an_image(manifest)
    if (manifest.wall is None) != (manifest.connections_most is None):
        there, absent = ("wall", "connections_most") if manifest.wall is not None else ("connections_most", "wall")
        example = "1000" if absent == "connections_most" else '"FD_SETSIZE: descriptors stay below 1,024"'
        yield (absent,), f"missing beside {there}; write '{absent} = {example}', or remove {there}"
    for key in ("packages", "lacks"):
        yield from _twice(key, getattr(manifest, key))
    if manifest.seccomp is not None:
        yield from _seccomp(folder / manifest.seccomp)


def find_image_misfits(keys: ImageKeys) -> Iterator[Complaint]:
    """Yield where and what, for what is said of an existing image, wherever it is said."""
    if keys.routes is None or (keys.routes.plain is None and keys.routes.delay is None):
        yield ("routes",), "missing; an image needs its paths: write 'plain' with its own, as in plain = \"/hello\""


def _of_an_image(manifest: ManifestFile) -> Iterator[Complaint]:
    yield from find_image_misfits(manifest)
    for key, why in _NOT_OF_AN_IMAGE.items():
        if getattr(manifest, key) != ManifestFile.model_fields[key].default:
            yield (key,), f"means nothing beside image: {why}; remove it"
    if manifest.speaks != "http":
        yield ("speaks",), "expected 'http' beside image: only its HTTP routes can be mapped; write speaks = \"http\""


def _twice(key: str, words: Sequence[str]) -> Iterator[Complaint]:
    for index, word in enumerate(words):
        if word in words[:index]:
            yield (key, index), f"{shown(word)} is named twice; write it once"


def _seccomp(file: Path) -> Iterator[Complaint]:
    where: Where = ("seccomp",)
    try:
        content = file.read_bytes() if file.is_file() else None
        if content is None:
            yield where, f"found no file {shown(file.name)} beside the manifest; write its name, or remove the key"
        elif len(content) > MOST_SECCOMP_BYTES:
            yield (
                where,
                f"expected at most {MOST_SECCOMP_BYTES:,} bytes in {file.name}, saw more; write it shorter",
            )
        elif not isinstance(profile := json.loads(content), dict) or "defaultAction" not in profile:
            yield (
                where,
                f"expected a seccomp profile in {file.name}, saw no defaultAction; write one",
            )
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        yield where, f"expected a seccomp profile in {file.name}, which is JSON; saw: {reason}; write it as JSON"
