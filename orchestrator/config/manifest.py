"""Turn one variant.toml into a Variant, or into the faults that prevent it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import ValidationError

from orchestrator.config.complaints import faults_from
from orchestrator.config.faults import Fault, Where, bad_input
from orchestrator.config.manifestchecks import find_misfits
from orchestrator.config.schema import ManifestFile
from orchestrator.config.textfile import read_text
from orchestrator.errors import BadInput
from orchestrator.model import Ring, Variant
from orchestrator.units import shown

MOST_BYTES = 64 << 10  # a manifest is a dozen lines


def read_variant(file: Path) -> Variant | list[Fault]:
    """Return the variant a manifest declares, or at least one fault.

    file: .../<name>/variant.toml; the folder is the build context and gives the name that must stand in it.
    Raises BadInput when the file cannot be read as TOML text at all.
    """
    text = read_text(file, what="a variant's manifest", most_bytes=MOST_BYTES)
    data = _parse(file, text)
    lines = _lines_of_keys(text, data)
    try:
        manifest = ManifestFile.model_validate(data)
    except ValidationError as error:
        return faults_from(error, ManifestFile, file, lines)
    folder = file.resolve().parent
    faults = [
        Fault(file, lines.get(where[:1]), where, complaint) for where, complaint in find_misfits(manifest, folder)
    ]
    if manifest.name != folder.name:
        complaint = f'expected the folder\'s name, saw {shown(manifest.name)}; write name = "{folder.name}"'
        faults.append(Fault(file, lines.get(("name",)), ("name",), complaint))
    elif manifest.name == "all":
        complaint = "'all' stands for every variant in lab.yaml; write another name, here and for the folder"
        faults.append(Fault(file, lines.get(("name",)), ("name",), complaint))
    return faults or make_variant(manifest, folder)


def make_variant(manifest: ManifestFile, folder: Path) -> Variant:
    """Return what a manifest without faults declares. folder: its own, the build context."""
    major, minor = manifest.kernel_least.split(".")
    routes = manifest.routes.model_dump(exclude_none=True) if manifest.routes is not None else {}
    return Variant(
        name=manifest.name,
        summary=manifest.summary,
        language=manifest.language,
        technique=manifest.technique,
        runtime=manifest.runtime or "",
        folder=folder,
        speaks=manifest.speaks,
        port=manifest.port,
        fixed_delay=manifest.fixed_delay,
        processes=manifest.processes,
        kernel_least=(int(major), int(minor)),
        deviations=tuple(manifest.deviations),
        specimen=manifest.specimen,
        threads=manifest.threads,
        packages=tuple(manifest.packages),
        seccomp=None if manifest.seccomp is None else folder / manifest.seccomp,
        wall=manifest.wall or "",
        connections_most=manifest.connections_most,
        ring=None if manifest.ring is None else Ring(manifest.ring.connections, manifest.ring.locked_bytes),
        lacks=tuple(manifest.lacks),
        image=manifest.image or "",
        routes=routes,
        answers=manifest.answers or "",
        command=tuple(manifest.command),
        environment=dict(manifest.environment),
    )


def _parse(file: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(file, str(error)) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; a thousand brackets
        raise _not_toml(file, f"a value out of bounds ({type(error).__name__})") from error


def _not_toml(file: Path, problem: str) -> BadInput:
    place = re.search(r" \(at line ([0-9]+), column [0-9]+\)$", problem)
    line = int(place[1]) if place else None
    what = problem[: place.start()] if place else problem
    return bad_input([Fault(file, line, (), f'expected TOML, saw: {what}; write it as in: name = "c-epoll"')])


def _lines_of_keys(text: str, data: dict[str, object]) -> dict[Where, int]:
    # tomllib tells no lines of keys. A key found at the start of exactly one line is surely that one.
    lines: dict[Where, int] = {}
    for key in data:
        pattern = re.compile(rf"""^[ \t]*\[?["']?{re.escape(key)}["']?[ \t]*[=\].]""", re.MULTILINE)
        found = list(pattern.finditer(text))
        if len(found) == 1:
            lines[(key,)] = text.count("\n", 0, found[0].start()) + 1
    return lines
