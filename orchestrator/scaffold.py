"""Make a new variant from one that there is: copy its source and manifest, and change what must be its own.

The copy builds, keeps the contract and runs untouched; what it is for is then edited into it. lab.yaml is changed only
where the lab would not find the folder by itself.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.faults import advise
from orchestrator.config.load import load_lab
from orchestrator.config.manifest import read_variant
from orchestrator.errors import BadInput, LabError
from orchestrator.model import Lab, Variant
from orchestrator.units import shown

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
# What a build or an editor leaves behind is nobody's source.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "build", "target", "node_modules", ".*", "*.o", "*.pyc", "*.class")
_MOST_TEXT = 1 << 20  # longer files are copied as they are


@dataclass(frozen=True, slots=True)
class Scaffolded:
    """A variant that was made."""

    name: str
    folder: Path
    changed: tuple[str, ...]  # files of it that say its name now, relative to the folder
    entry: str  # what was written into lab.yaml; "" for nothing


def scaffold(lab: Lab, name: str, like: str, path: Path | None = None) -> Scaffolded:
    """Make the variant `name` from `like` and return what was made.

    path: the folder to put it into, or the new folder itself where it ends in the name; None: servers/ beside lab.yaml.
    Raises BadInput for a name that is none or is taken, and for a variant that has no source to copy.
    """
    source = _source(lab, like)
    folder = _new_folder(lab, name, path)
    fresh = folder.with_name(f".{name}.new-{os.getpid()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source.folder, fresh, ignore=_LEFT_OUT)
        changed = _rename(fresh, like, name)
        _describe(fresh / "variant.toml", like, name)
        fresh.rename(folder)  # whole or not at all
    except OSError as error:
        raise BadInput(f"{folder}: {error.strerror or error}; write --path with a folder that can be written") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    made = read_variant(folder / "variant.toml")
    if not isinstance(made, Variant):
        shutil.rmtree(folder)
        raise BadInput(f"{like} cannot be copied: {made[0]}")
    return Scaffolded(name, folder, changed, _declare(lab, name, folder))


def _source(lab: Lab, like: str) -> Variant:
    variant = lab.variants.get(like)
    if variant is None:
        raise BadInput(f"--like: {shown(like)} is not a variant; {advise(like, lab.variants)}")
    if variant.image:
        built = [name for name, other in lab.variants.items() if not other.image]
        raise BadInput(f"--like: {like} is an existing image and has no source; write one of: {', '.join(built)}")
    return variant


def _new_folder(lab: Lab, name: str, path: Path | None) -> Path:
    if not _NAME.fullmatch(name):
        example = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-0123456789")[:40] or "my-server"
        raise BadInput(
            f"{shown(name)} is not a name; write at most 40 lower-case letters, digits and hyphens, as in '{example}'"
        )
    if name == "all":
        raise BadInput("'all' stands for every variant in lab.yaml; write another name")
    if name in lab.variants:
        raise BadInput(f"{shown(name)} is a variant already, in {lab.variants[name].folder}; write another name")
    parent = lab.root / "servers" if path is None else path
    folder = (parent if path is not None and path.name == name else parent / name).resolve()
    if folder.exists():
        raise BadInput(f"{folder} is there already; write another name, or another --path")
    return folder


def _rename(folder: Path, like: str, name: str) -> tuple[str, ...]:
    """Let every file say the new name where it said the old one; return which did.

    The manifest is none of them: there the same word may be a language, or the runtime that builds it.
    """
    changed = []
    files = (path for path in folder.rglob("*") if path.is_file() and path != folder / "variant.toml")
    for file in sorted(path for path in files if path.stat().st_size <= _MOST_TEXT):
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture, a compiled thing
        renamed = say_name(text, like, name)
        if renamed != text:
            file.write_text(renamed, encoding="utf-8")
            changed.append(str(file.relative_to(folder)))
    return tuple(changed)


def say_name(text: str, like: str, name: str) -> str:
    """Return a file's text with one variant's name put in place of another's.

    A name with a hyphen is no word of any language, so wherever it stands alone the variant is meant ("c-epoll", not
    "c-epoll-et"). One without (nginx, erlang) may be a program or a module: it is replaced where it is a whole string,
    begins one or the file's first lines as "name: ", is a README's title, or ends a Go module's path.
    """
    old = re.escape(like)
    if "-" in like:
        return re.sub(rf"(?<![A-Za-z0-9-]){old}(?![A-Za-z0-9-])", name, text)
    text = re.sub(rf"""(?<=["'`]){old}(?=["'`]|: )""", name, text)
    text = re.sub(rf"^# {old}$", f"# {name}", text, flags=re.MULTILINE)
    text = re.sub(rf"^(module \S*/){old}$", rf"\g<1>{name}", text, flags=re.MULTILINE)
    head, newline, rest = _first_lines(text, 3)
    return re.sub(rf"(?<![A-Za-z0-9-]){old}(?=: )", name, head) + newline + rest


def _first_lines(text: str, count: int) -> tuple[str, str, str]:
    lines = text.split("\n", count)
    if len(lines) <= count:
        return text, "", ""
    return "\n".join(lines[:count]), "\n", lines[count]


def _describe(manifest: Path, like: str, name: str) -> None:
    """Give the copy a name and a summary of its own; everything else stays, because it is still true."""
    text = manifest.read_text(encoding="utf-8")
    summary = f'summary = "A copy of {like}, to be changed: say here what is different"'
    text = re.sub(r"^name[ \t]*=.*$", f'name = "{name}"', text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^summary[ \t]*=.*$", lambda _: summary, text, count=1, flags=re.MULTILINE)
    manifest.write_text(text, encoding="utf-8")


def _declare(lab: Lab, name: str, folder: Path) -> str:
    """Write the folder into lab.yaml where the lab does not find it by itself; return the line, "" for none."""
    if name in load_lab(lab.path).variants:
        return ""
    shortest = min((os.path.relpath(folder, lab.root), str(folder)), key=len)
    is_beside = folder.parent == lab.root / "servers"
    entry = name if is_beside else f"path: {shortest}"
    trial = lab.path.with_name(f".{lab.path.name}.new-{os.getpid()}")
    try:
        trial.write_text(add_entry(lab.path.read_text(encoding="utf-8"), entry), encoding="utf-8")
        if name not in load_lab(trial).variants:
            raise BadInput("it was written where the lab does not read it")
        trial.replace(lab.path)
    except (LabError, OSError, ValueError) as error:
        # The variant is there and stays: what is missing is one line that a person can write.
        reason = str(error).replace(str(trial), str(lab.path))
        raise BadInput(
            f"{folder} was made, but {lab.path} could not be changed ({reason}); "
            f"write under 'variants:' there: - {entry}"
        ) from None
    finally:
        trial.unlink(missing_ok=True)
    return f"- {entry}"


def add_entry(text: str, entry: str) -> str:
    """Return a lab file's text with one more entry in its `variants:` section, which is made where there is none.

    Comments and layout stay. Raises ValueError for a section that is laid out in a way this cannot extend.
    """
    lines = text.split("\n")
    start = next((n for n, line in enumerate(lines) if re.match(r"variants:", line)), None)
    if start is None:
        at = next((n for n, line in enumerate(lines) if re.match(r"scenarios:", line)), None)
        if at is None:
            raise ValueError("it has no line 'scenarios:' to write it above")
        while at > 0 and lines[at - 1].startswith("#"):
            at -= 1  # the comment above belongs to the scenarios
        return "\n".join([*lines[:at], "variants:", "  - all", f"  - {entry}", "", *lines[at:]])
    rest = lines[start].removeprefix("variants:").partition(" #")[0].strip()
    if rest.startswith("[") and rest.endswith("]"):
        inner = entry if ": " not in entry else f"{{{entry}}}"
        end = lines[start].rindex("]")
        between = ", " if rest[1:-1].strip() else ""
        lines[start] = f"{lines[start][:end]}{between}{inner}{lines[start][end:]}"
        return "\n".join(lines)
    if rest:
        raise ValueError("its variants: section is written in a way that a line cannot be added to")
    last, indent = start, "  "
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if line and not line.startswith((" ", "-", "#", "\t")):
            break
        if found := re.match(r"( *)- ", line):
            indent = found[1] if last == start else indent
        if line.strip() and not line.lstrip().startswith("#"):
            last = number
    lines.insert(last + 1, f"{indent}- {entry}")
    return "\n".join(lines)
