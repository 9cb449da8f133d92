"""Turn a run's folder into one file, and such a file back into a folder that nobody else can see yet.

The file is a tar, compressed with gzip: manifest.json first, with the size and SHA-256 of every other member, then the
run's files by name. The same folder gives the same bytes. Unpacking believes nothing: only plain files that the
manifest names, at plain places, with the digests it says, and all of them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from orchestrator.errors import BadInput, StoreDamaged
from orchestrator.results.folder import IMPORTED, RUN_FILE, is_partial, plain_name
from orchestrator.results.whole import sync_folder

FORMAT = 1
MANIFEST = "manifest.json"
_MOST_MANIFEST_BYTES = 64 * 1024 * 1024  # some 400,000 files; a manifest is read whole
_BLOCK = 1024 * 1024
_NO_ARCHIVE = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True)
class File:
    """One file of a run's folder."""

    path: str  # from the folder, with "/" between the parts
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself."""

    run_id: str
    files: tuple[File, ...]


def list_files(folder: Path) -> tuple[File, ...]:
    """Return every file of a run's folder by path, but for the lab's own marks. Raises StoreDamaged for a link."""
    found: list[File] = []
    try:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise StoreDamaged(f"{path}: expected a plain file, found a link or a device. Move it away, then again")
            if path.is_file() and path.name != IMPORTED and not is_partial(path):
                found.append(File(path.relative_to(folder).as_posix(), *digest(path)))
    except OSError as error:
        raise StoreDamaged(f"{error.filename}: cannot be read: {error.strerror}") from error
    return tuple(found)


def write_archive(folder: Path, run_id: str, out: Path) -> Manifest:
    """Write a run's folder as one file, whole or not at all, replacing nothing but the same.

    Raises BadInput where `out` is there with other content, StoreDamaged where it cannot be written.
    """
    manifest = Manifest(run_id, list_files(folder))
    partial = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        try:
            with partial.open("wb") as file:
                _pack(folder, manifest, file)
                file.flush()
                os.fsync(file.fileno())
            if out.exists() and digest(out) != digest(partial):
                raise BadInput(f"{out}: is there already with other content. Move it away, or write --out FILE")
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(out.parent)
    except OSError as error:
        why = error.strerror or error
        raise StoreDamaged(f"{out}: expected to write the export, but {why}. Try: --out FILE") from error
    return manifest


def unpack_archive(archive: Path, into: Path) -> Manifest:
    """Unpack an archive into an empty folder once everything about it is right, and return its manifest.

    After an error the folder may hold some of it. Raises BadInput for a file that is no sound export, StoreDamaged
    where it cannot be read or the disk does not take it.
    """
    if not archive.is_file():
        raise BadInput(f"{archive}: expected a file that lab export wrote, found none there. Check the path")
    try:
        with archive.open("rb") as file, gzip.GzipFile(fileobj=file, mode="rb") as plain:
            with tarfile.open(fileobj=plain, mode="r|") as tar:
                members = iter(tar)
                manifest = _read_manifest(archive, tar, members)
                _unpack_files(archive, tar, members, manifest, into)
            while rest := plain.read(_BLOCK):  # to the end: gzip's own checksum is there
                if rest.strip(b"\0"):
                    raise _bad(archive, "something follows the archive's end")
    except _NO_ARCHIVE as error:
        raise _bad(archive, f"not a whole tar.gz ({error})") from error
    except UnicodeError as error:
        raise _bad(archive, f"a name that is no text ({error})") from error
    except OSError as error:
        name = error.filename or archive
        raise StoreDamaged(f"{name}: {error.strerror or error}. Check the path and the free space") from error
    return manifest


def _pack(folder: Path, manifest: Manifest, file: IO[bytes]) -> None:
    document = {
        "format": FORMAT,
        "what": "a run of netpoll-lab; lab import FILE takes it in",
        "run_id": manifest.run_id,
        "files": [{"path": one.path, "bytes": one.bytes, "sha256": one.sha256} for one in manifest.files],
    }
    text = (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
    # No name and no time in the header: what is in the file alone decides its bytes.
    with (
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        tar.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))
        for one in manifest.files:
            with (folder / one.path).open("rb") as source:
                content = _Counted(source)
                tar.addfile(_member(f"{manifest.run_id}/{one.path}", one.bytes), content)
                if content.sha256() != one.sha256:
                    raise StoreDamaged(f"{folder / one.path}: was changed while it was read. Try again")


class _Counted(io.RawIOBase):
    """A file that takes the digest of what is read of it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self._digest.update(block)
        return block

    def sha256(self) -> str:
        return self._digest.hexdigest()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o644, 0
    return member


def _read_manifest(archive: Path, tar: tarfile.TarFile, members: Iterable[tarfile.TarInfo]) -> Manifest:
    first = next(iter(members), None)
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > _MOST_MANIFEST_BYTES:
        raise _bad(archive, f"{MANIFEST} does not come first")
    source = tar.extractfile(first)
    try:
        document = json.loads(source.read() if source else b"")
        if document["format"] != FORMAT:
            raise _bad(archive, f"of format {document['format']!r}; this lab reads format {FORMAT}")
        files = tuple(_file(archive, one) for one in document["files"])
        run_id = document["run_id"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad(archive, f"{MANIFEST} is not what the lab writes ({type(error).__name__}: {error})") from error
    if not isinstance(run_id, str) or plain_name(run_id) != run_id or len(run_id) > 200:
        raise _bad(archive, f"a run id that cannot be one: {str(run_id)[:80]!r}")
    names = {one.path for one in files}
    if len(names) != len(files) or any(str(up) in names for name in names for up in PurePosixPath(name).parents):
        raise _bad(archive, f"{MANIFEST} names a place twice")
    if RUN_FILE not in names:
        raise _bad(archive, f"{MANIFEST} names no {RUN_FILE}")
    return Manifest(run_id, files)


def _file(archive: Path, one: Mapping[str, Any]) -> File:
    path, size, sha256 = one["path"], one["bytes"], one["sha256"]
    if not isinstance(path, str) or not _is_plain(path):
        raise _bad(archive, f"a file at {str(path)[:80]!r}, which is no place in a run's folder")
    if type(size) is not int or size < 0 or not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise _bad(archive, f"{path}: neither size nor digest")
    return File(path, size, sha256)


def _is_plain(path: str) -> bool:
    """Whether a path names a file below a folder, in one way only, and none of the lab's own marks."""
    parts = path.split("/")
    return (
        0 < len(path) <= 1000
        and path.isprintable()
        and "\\" not in path
        and all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
        and PurePosixPath(path).as_posix() == path
        and parts[-1] != IMPORTED
        and not is_partial(PurePosixPath(path))
    )


def _unpack_files(
    archive: Path, tar: tarfile.TarFile, members: Iterable[tarfile.TarInfo], manifest: Manifest, into: Path
) -> None:
    wanted = {f"{manifest.run_id}/{one.path}": one for one in manifest.files}
    space = os.statvfs(into)
    needed = sum(one.bytes for one in manifest.files)
    if needed > space.f_bavail * space.f_frsize:
        raise StoreDamaged(f"{archive}: its run needs {needed:,} bytes, and the disk has less. Free some space")
    for member in members:
        if not member.isreg():
            raise _bad(archive, f"{member.name[:80]!r} is no plain file but a link, folder or device")
        one = wanted.pop(member.name, None)
        if one is None:
            raise _bad(archive, f"{member.name[:80]!r} is there twice, or {MANIFEST} does not name it")
        source = tar.extractfile(member)
        if source is None or member.size != one.bytes:
            raise _bad(archive, f"{one.path}: expected {one.bytes} bytes, found {member.size}")
        _unpack_one(archive, source, one, into / one.path)
    if wanted:
        raise _bad(archive, f"{next(iter(wanted.values())).path} is missing")


def _unpack_one(archive: Path, source: IO[bytes], one: File, target: Path) -> None:
    taken = hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        while block := source.read(_BLOCK):
            taken.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if taken.hexdigest() != one.sha256:
        raise _bad(archive, f"{one.path}: expected SHA-256 {one.sha256[:12]}..., found {taken.hexdigest()[:12]}...")


def digest(path: Path) -> tuple[int, str]:
    """Return a file's size and SHA-256."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), sha256


def _bad(archive: Path, what: str) -> BadInput:
    return BadInput(f"{archive}: expected a run that lab export wrote, found {what}. Nothing was taken in")
