"""Turn what lies under servers/ and the `variants:` section of lab.yaml into the variants there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.config.faults import Fault, Where, advise, line_of
from orchestrator.config.manifest import make_variant, read_variant
from orchestrator.config.manifestchecks import find_image_misfits
from orchestrator.config.schema import ImageKeys, ManifestFile, VariantEntry
from orchestrator.model import Variant
from orchestrator.units import shown

EVERY = "all"  # as an entry: every variant under servers/
_MINE = frozenset({*ImageKeys.model_fields, "summary", "language", "technique"})  # what only an image's entry may say


def read_variants(
    path: Path, entries: Sequence[VariantEntry] | None, lines: Mapping[Where, int]
) -> tuple[dict[str, Variant], list[Fault]]:
    """Return the variants of a lab file by name, in its order, and what is wrong with the others.

    path: the lab file. entries: its `variants:`; None: it has no such section. Raises BadInput for a manifest that
    cannot be read as text.
    """
    found = {
        file.parent.name: file
        for file in sorted(path.parent.glob("servers/*/variant.toml"))
        if not file.parent.name.startswith(("_", "."))
    }
    chosen: dict[str, Path | Variant] = dict(found)
    faults = list[Fault]()
    if entries is not None:
        chosen = {}
        for index, entry in enumerate(entries):
            where: Where = ("variants", index)
            for name, source in _choose(path, entry, found):
                if isinstance(source, str):
                    faults.append(Fault(path, line_of(lines, where), where, source))
                elif name in chosen:
                    complaint = f"{shown(name)} is named twice; write it once"
                    faults.append(Fault(path, line_of(lines, where), where, complaint))
                else:
                    chosen[name] = source
    variants: dict[str, Variant] = {}
    for name, source in chosen.items():
        variant = source if isinstance(source, Variant) else read_variant(source)
        if isinstance(variant, Variant):
            variants[name] = variant
        else:
            faults.extend(variant)
    return variants, faults


def _choose(path: Path, entry: VariantEntry, found: Mapping[str, Path]) -> Iterator[tuple[str, Path | Variant | str]]:
    """Yield what an entry stands for: a name with its manifest or its variant, or with a complaint."""
    name = entry.name or ""
    if entry.image is not None:
        yield name, _image(entry, path.resolve().parent)
    elif (mine := _MINE & entry.model_fields_set) and (entry.name or entry.path):
        yield name, f"{min(mine)} belongs to an existing image; write 'image: my/app:1.2' too, or a variant.toml"
    elif entry.path is not None and entry.name is None:
        yield _outside(path.parent, entry.path)
    elif entry.path is not None or entry.name is None:
        yield (
            "",
            "expected a name, a path or an image; write '- c-epoll', '- path: ../mine' or '- image: my/app:1.2'",
        )
    elif name == EVERY:
        yield from found.items()
    else:
        yield name, found.get(name, f"{shown(name)} is not a variant; {advise(name, found)}")


def _outside(root: Path, text: str) -> tuple[str, Path | str]:
    file = root / text.replace("\0", "") / "variant.toml"
    if not file.is_file():
        return "", f"no variant.toml in {shown(text)}; write a path to a variant's folder, from this file"
    return file.resolve().parent.name, file


def _image(entry: VariantEntry, root: Path) -> Variant | str:
    if entry.path is not None:
        return "expected a path or an image, saw both; remove one"
    if entry.name is None:
        return "an image needs a name of its own in the lab; write 'name: my-app' beside it"
    if entry.name == EVERY:
        return "'all' stands for every variant; write another name"
    complaint = next((f"{where[0]}: {text}" for where, text in find_image_misfits(entry)), None)
    if complaint is not None:
        return complaint
    told = {key: getattr(entry, key) for key in ImageKeys.model_fields}
    manifest = ManifestFile(
        name=entry.name,
        summary=entry.summary or f"the image {entry.image}",
        language=entry.language or "unknown",
        technique=entry.technique or "existing image",
        speaks="http",
        **told,
    )
    return make_variant(manifest, root)
