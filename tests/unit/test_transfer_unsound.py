"""Files that are no sound export: refused in one line, and nothing is anywhere."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import BadInput, StoreDamaged
from orchestrator.results.folder import run_folder
from orchestrator.transfer import import_run
from tests.unit.kept_runs import RUN_ID, put, run, said_nothing
from tests.unit.two_labs import contents, exported, here, there

__all__ = ["here", "there"]  # pytest finds the fixtures by these names

Members = list[tuple[tarfile.TarInfo, bytes]]


def unpacked(file: Path) -> tuple[dict[str, Any], Members]:
    """Return an archive's manifest and its other members."""
    with tarfile.open(file) as tar:
        found = [(member, source.read() if (source := tar.extractfile(member)) else b"") for member in tar]
    return json.loads(found[0][1]), found[1:]


def packed(file: Path, manifest: object, members: Members) -> Path:
    """Write an archive, whatever is in it."""
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    first = tarfile.TarInfo("manifest.json")
    with tarfile.open(file, "w:gz") as tar:
        for member, content in [(first, text), *members]:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return file


def named(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def add_file(path: str, name: str | None = None, content: bytes = b"x") -> Callable[[dict[str, Any], Members], None]:
    """Put a file into the archive and its manifest. name: of the member, where it is another."""

    def add(manifest: dict[str, Any], members: Members) -> None:
        digest = hashlib.sha256(content).hexdigest()
        manifest["files"].append({"path": path, "bytes": len(content), "sha256": digest})
        members.append((named(name or f"{RUN_ID}/{path}"), content))

    return add


def link(kind: bytes, target: str) -> Callable[[dict[str, Any], Members], None]:
    """Put a link in the place of a file that the manifest names."""

    def put_link(manifest: dict[str, Any], members: Members) -> None:
        add_file("series/link")(manifest, members)
        members[-1] = (named(f"{RUN_ID}/series/link", kind, target), b"")

    return put_link


def change(key: str, value: object) -> Callable[[dict[str, Any], Members], None]:
    return lambda manifest, _members: manifest.__setitem__(key, value)


def spoil_content(_manifest: dict[str, Any], members: Members) -> None:
    member, content = members[-1]
    members[-1] = (member, bytes([content[0] ^ 1]) + content[1:])


def spoil_size(manifest: dict[str, Any], _members: Members) -> None:
    manifest["files"][-1]["bytes"] += 1


def wish_for_too_much(manifest: dict[str, Any], _members: Members) -> None:
    manifest["files"][-1]["bytes"] = 10**18


def forged_run(text: bytes) -> Callable[[dict[str, Any], Members], None]:
    """Replace run.json, digest and all."""

    def forge(manifest: dict[str, Any], members: Members) -> None:
        entry = next(one for one in manifest["files"] if one["path"] == "run.json")
        entry |= {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        index = next(i for i, (member, _) in enumerate(members) if member.name.endswith("run.json"))
        members[index] = (members[index][0], text)

    return forge


REFUSED: dict[str, tuple[Callable[[dict[str, Any], Members], object], str]] = {
    "a path upwards": (add_file("../../../evil"), "no place in a run's folder"),
    "a path upwards further in": (add_file("series/../../evil"), "no place in a run's folder"),
    "an absolute path": (add_file("/tmp/evil", "/tmp/evil"), "no place in a run's folder"),
    "an empty part": (add_file("series//x"), "no place in a run's folder"),
    "a backslash": (add_file("..\\evil"), "no place in a run's folder"),
    "a line break": (add_file("a\nb"), "no place in a run's folder"),
    "the lab's own mark": (add_file(".imported"), "no place in a run's folder"),
    "a member upwards": (add_file("series/x", f"{RUN_ID}/../x"), "does not name it"),
    "a member of another run": (add_file("series/x", "other/series/x"), "does not name it"),
    "a symbolic link": (link(tarfile.SYMTYPE, "/etc/passwd"), "no plain file but a link"),
    "a hard link": (link(tarfile.LNKTYPE, f"{RUN_ID}/run.json"), "no plain file but a link"),
    "a device": (link(tarfile.CHRTYPE, ""), "no plain file but a link"),
    "a folder": (link(tarfile.DIRTYPE, ""), "no plain file but a link"),
    "a file within a file": (add_file("run.json/x"), "names a place twice"),
    "a file twice in the manifest": (add_file("run.json"), "names a place twice"),
    "a member twice": (lambda _m, members: members.append(members[-1]), "is there twice"),
    "a member too many": (lambda _m, members: members.append((named(f"{RUN_ID}/z"), b"")), "does not name it"),
    "a member too few": (lambda _m, members: members.pop(), "is missing"),
    "another byte": (spoil_content, "expected SHA-256"),
    "another size": (spoil_size, r"expected \d+ bytes, found \d+"),
    "no run.json": (lambda m, _members: m["files"].pop(1), "names no run.json"),
    "another format": (change("format", 2), "of format 2; this lab reads format 1"),
    "no files": (change("files", None), "is not what the lab writes"),
    "a number for a path": (change("files", [{"path": 5, "bytes": 1, "sha256": ""}]), "no place in a run's folder"),
    "a digest that is none": (change("files", [{"path": "a", "bytes": 1, "sha256": "x"}]), "neither size nor digest"),
    "a run id upwards": (change("run_id", "../x"), "a run id that cannot be one"),
    "a run id that is a number": (change("run_id", 5), "a run id that cannot be one"),
    "run.json that is none": (forged_run(b"[]"), "its run cannot be read"),
    "a run.json of another run": (forged_run(b'{"run_id": "x"}'), "its run cannot be read"),
    "a run with text for a number": (
        forged_run(b'{"run_id": "r", "suite": 5, "started_at": "", "finished_at": null, "host": {}, "plan": {}}'),
        "Run.suite: not such a value",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_sound_export_is_refused(here: Path, there: Path, tmp_path: Path, name: str) -> None:
    """One line, exit code 2, and nothing is anywhere: not in the database, not in the folder, not outside of it."""
    alter, expected = REFUSED[name]
    manifest, members = unpacked(exported(here, tmp_path / "run.tar.gz"))
    alter(manifest, members)
    put(there / "results", run(run_id="20200101T000000Z-own-000000"))
    before = sorted(path for path in tmp_path.rglob("*"))
    file = packed(tmp_path / "forged.tar.gz", manifest, members)

    with pytest.raises(BadInput, match=expected) as caught:
        import_run(there, file, said_nothing)
    assert (2, True, False) == (
        caught.value.exit_code,
        str(caught.value).startswith(f"{file}: ") and str(caught.value).endswith("Nothing was taken in"),
        "\n" in str(caught.value),
    )
    assert before == sorted(path for path in tmp_path.rglob("*") if path != file)


@pytest.mark.parametrize("left", [0, 1, 10, 100, 1000, 0.5, 0.99, -9, -1])
def test_a_truncated_file_is_refused(here: Path, there: Path, tmp_path: Path, left: float) -> None:
    """Wherever it ends early, to the last byte of gzip's own checksum."""
    content = exported(here, tmp_path / "run.tar.gz").read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(content[: int(len(content) * left) if 0 < left < 1 else int(left)])

    with pytest.raises(BadInput, match=r"expected a run that lab export wrote, found .*Nothing was taken in"):
        import_run(there, cut, said_nothing)
    assert [] == list((there / "results").iterdir())


def test_any_flipped_bit_is_refused_or_changes_nothing(here: Path, there: Path, tmp_path: Path) -> None:
    """A bit in each of 60 places over the file: what is taken in after all is the run as it was."""
    content = exported(here, tmp_path / "run.tar.gz").read_bytes()
    refused = 0
    for place in range(0, len(content), len(content) // 60):
        spoilt = bytearray(content)
        spoilt[place] ^= 0x10
        file = tmp_path / "flipped.tar.gz"
        file.write_bytes(spoilt)
        root = there / str(place)
        try:
            came = import_run(root, file, said_nothing)
        except BadInput:
            refused += 1
        else:
            assert run() == replace(came.run, imported_at=None)
            assert contents(run_folder(here / "results", RUN_ID)) == contents(run_folder(root / "results", RUN_ID))
    assert refused > 55  # the header's time and operating system may be anything


def test_what_follows_the_end_is_refused(here: Path, there: Path, tmp_path: Path) -> None:
    """Within the compressed stream and behind it."""
    content = exported(here, tmp_path / "run.tar.gz").read_bytes()
    for number, more in enumerate((gzip.compress(b"more"), b"more")):
        file = tmp_path / f"{number}.tar.gz"
        file.write_bytes(content + more)
        with pytest.raises(BadInput, match="Nothing was taken in"):
            import_run(there, file, said_nothing)


def test_a_file_that_claims_more_than_the_disk_has_is_refused_before_it_is_unpacked(
    here: Path, there: Path, tmp_path: Path
) -> None:
    """A compressed file may hold a thousand times its size."""
    manifest, members = unpacked(exported(here, tmp_path / "run.tar.gz"))
    wish_for_too_much(manifest, members)

    with pytest.raises(StoreDamaged, match=r"its run needs 1,000,000,000,[\d,]+ bytes, and the disk has less"):
        import_run(there, packed(tmp_path / "huge.tar.gz", manifest, members), said_nothing)


def test_other_files_are_refused(there: Path, tmp_path: Path) -> None:
    """None there, a folder, another format, an empty archive."""
    (tmp_path / "text").write_text("hello")
    with tarfile.open(tmp_path / "empty.tar.gz", "w:gz"):
        pass
    for name, expected in (
        ("none", "found none there"), (".", "found none there"), ("text", "not a whole tar.gz"),
        ("empty.tar.gz", "does not come first"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=expected):
            import_run(there, tmp_path / name, said_nothing)
