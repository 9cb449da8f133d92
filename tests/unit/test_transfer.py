"""A run as one file: all of it arrives, once, or nothing of it does."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator import transfer
from orchestrator.carry import new_session, open_settled
from orchestrator.errors import BadInput, StoreDamaged
from orchestrator.results.folder import run_folder, write_trial
from orchestrator.results.mend import database, open_results
from orchestrator.results.store import Store, open_store
from orchestrator.transfer import export_run, import_run
from tests.unit.kept_runs import RUN_ID, ended, in_child, put, run, said_nothing, trial


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A lab with a run, a report and the time series of its windows."""
    root = tmp_path / "here"
    put(root / "results", run())
    folder = run_folder(root / "results", RUN_ID)
    (folder / "report.html").write_text("<p>")
    (folder / "series").mkdir()
    (folder / "series" / "003.bin").write_bytes(bytes(range(256)) * 1000)
    (folder / ".run.json.77.tmp").write_text("half")
    return root


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a run's folder but the lab's own marks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def exported(root: Path, out: Path) -> Path:
    return export_run(root, None, out, said_nothing).path


def test_a_run_arrives_as_it_was(here: Path, there: Path, tmp_path: Path) -> None:
    """Every file of the folder, byte for byte, and every value of the run; what a killed write left stays behind."""
    done = export_run(here, None, tmp_path / "run.tar.gz", said_nothing)
    came = import_run(there, done.path, said_nothing)
    folder = run_folder(there / "results", RUN_ID)

    assert contents(run_folder(here / "results", RUN_ID)) == contents(folder)
    assert {"report.html", "run.json", "series/003.bin"} <= set(contents(folder))
    assert (9, True) == (done.files, came.is_new)
    assert hashlib.sha256(done.path.read_bytes()).hexdigest() == done.sha256
    assert came.run.imported_at is not None
    assert run() == replace(came.run, imported_at=None)
    assert [] == [path.name for path in (there / "results").iterdir() if path.name.startswith(".")]


def test_the_same_run_is_the_same_file_and_travels_on_unchanged(here: Path, there: Path, tmp_path: Path) -> None:
    """Exported twice, and once more from where it was imported: the same bytes."""
    first = exported(here, tmp_path / "1.tar.gz").read_bytes()
    os.utime(run_folder(here / "results", RUN_ID) / "run.json", (0, 0))
    exported(here, tmp_path / "1.tar.gz")
    import_run(there, tmp_path / "1.tar.gz", said_nothing)

    assert first == exported(here, tmp_path / "2.tar.gz").read_bytes()
    assert first == export_run(there, RUN_ID, tmp_path / "3.tar.gz", said_nothing).path.read_bytes()


def test_an_import_is_done_once(here: Path, there: Path, tmp_path: Path) -> None:
    """The second time nothing is new, also where the run was carried out; a report made since is left alone."""
    file = exported(here, tmp_path / "run.tar.gz")
    run_folder(here / "results", RUN_ID).joinpath("report.html").write_text("<p>newer")

    assert [True, False, False] == [import_run(root, file, said_nothing).is_new for root in (there, there, here)]
    with open_store(database(there / "results")) as store:
        assert [(RUN_ID, 6)] == [(entry.run_id, entry.finished) for entry in store.list_runs()]
    assert "<p>newer" == run_folder(here / "results", RUN_ID).joinpath("report.html").read_text()
    assert run() == open_store(database(here / "results")).read_run()  # and it is still nobody's import


def test_a_pruned_folder_is_filled_from_a_file(here: Path, tmp_path: Path) -> None:
    """The database had it all along; the raw files come back."""
    file = exported(here, tmp_path / "run.tar.gz")
    folder = run_folder(here / "results", RUN_ID)
    before = contents(folder)
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()

    assert import_run(here, file, said_nothing).is_new
    assert before == contents(folder)


def test_an_imported_run_is_not_the_newest_of_this_machine(here: Path, there: Path, tmp_path: Path) -> None:
    """`lab show` without a name goes on to mean what was run here."""
    file = exported(here, tmp_path / "run.tar.gz")
    own = run(run_id="20200101T000000Z-own-000000")
    put(there / "results", own)
    import_run(there, file, said_nothing)

    with open_results(there / "results", said_nothing) as store:
        assert own == store.read_run()
        assert RUN_ID == store.read_run("2026").run_id


def test_an_unfinished_run_travels_and_one_that_is_going_on_does_not(there: Path, tmp_path: Path) -> None:
    """Half of a trial's figures are nobody's result."""
    put(there / "results", run(6, 2, finished=False))
    export_run(there, None, tmp_path / "half.tar.gz", said_nothing)
    came = import_run(tmp_path / "third", tmp_path / "half.tar.gz", said_nothing)
    with open_store(database(there / "results")) as store:
        store.add_session(RUN_ID, new_session(RUN_ID))

    assert (2, None) == (len(came.run.trials), came.run.finished_at)
    with pytest.raises(BadInput, match=rf"run {RUN_ID}: is going on\. Wait for its end"):
        export_run(there, None, tmp_path / "2.tar.gz", said_nothing)


@pytest.mark.parametrize("what", ["a trial's figures", "another end", "more trials", "a file"])
def test_other_content_of_a_run_that_is_here_is_refused(here: Path, there: Path, tmp_path: Path, what: str) -> None:
    """One line; neither database nor folder changes."""
    file = exported(here, tmp_path / "run.tar.gz")
    other = {
        "a trial's figures": replace(run(), trials=(trial(run().plan.trials[0], requests=99), *run().trials[1:])),
        "another end": replace(run(), finished_at="2027"),
        "more trials": run(6, 3, finished=False),
    }.get(what, run())
    put(there / "results", other)
    if what == "a file":
        (run_folder(there / "results", RUN_ID) / "series").mkdir()
        (run_folder(there / "results", RUN_ID) / "series" / "003.bin").write_bytes(b"other")
    before = contents(run_folder(there / "results", RUN_ID))

    with pytest.raises(BadInput, match=f"run {RUN_ID} is here already with other content") as caught:
        import_run(there, file, said_nothing)
    assert "\n" not in str(caught.value)
    assert before == contents(run_folder(there / "results", RUN_ID))
    with open_results(there / "results", said_nothing) as store:
        assert other == store.read_run()


# --- files that are no sound export ----------------------------------------------------------------------------------

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


# --- writing and killing ---------------------------------------------------------------------------------------------


def test_an_export_replaces_nothing_and_leaves_nothing_half(here: Path, tmp_path: Path) -> None:
    """Another file under its name stays; a link in the run's folder ends it."""
    out = tmp_path / "run.tar.gz"
    out.write_text("mine")
    with pytest.raises(BadInput, match=r"is there already with other content\. Move it away, or write --out FILE"):
        exported(here, out)
    (run_folder(here / "results", RUN_ID) / "link").symlink_to("/etc/passwd")
    with pytest.raises(StoreDamaged, match="expected a plain file, found a link"):
        exported(here, tmp_path / "2.tar.gz")
    with pytest.raises(StoreDamaged, match=r"link|expected to write the export"):
        exported(here, tmp_path / "nowhere" / "3.tar.gz")

    assert "mine" == out.read_text()
    assert ["here", "run.tar.gz"] == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("step", ["unpack_archive", "open_results", "adopt"])
def test_an_import_that_is_killed_is_done_by_the_next_start(
    here: Path, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before the run is in place nothing of it is seen; once its folder is there, the next command takes it over."""
    file = exported(here, tmp_path / "run.tar.gz")

    def killed() -> None:
        def die(*_args: object, **_options: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(Store if step == "adopt" else transfer, step, die)
        import_run(there, file, said_nothing)

    assert -signal.SIGKILL == ended(in_child(killed))
    with open_settled(there / "results", lambda _: None) as store:
        assert (1 if step == "adopt" else 0) == len(store.list_runs())
    monkeypatch.setattr(transfer, "_LEFT_S", -1.0)

    assert (step != "adopt") == import_run(there, file, said_nothing).is_new
    assert ["lab.db", "runs"] == sorted(path.name for path in (there / "results").iterdir())
    with open_store(database(there / "results")) as store:
        assert run() == replace(store.read_run(RUN_ID), imported_at=None)
        assert store.read_run(RUN_ID).imported_at is not None


def test_imports_at_once_take_it_in_once(here: Path, there: Path, tmp_path: Path) -> None:
    """Four real processes with the same file: all end well, one run is there."""
    file = exported(here, tmp_path / "run.tar.gz")

    def take() -> None:
        import_run(there, file, lambda _: None)

    assert [0, 0, 0, 0] == [ended(pid) for pid in [in_child(take) for _ in range(4)]]
    with open_results(there / "results", said_nothing) as store:
        assert [(RUN_ID, 6)] == [(entry.run_id, entry.finished) for entry in store.list_runs()]
    assert contents(run_folder(here / "results", RUN_ID)) == contents(run_folder(there / "results", RUN_ID))


def test_a_trial_that_the_folder_lacks_is_exported_from_the_database(here: Path, there: Path, tmp_path: Path) -> None:
    """The database is of record; a file that says something else does not travel."""
    write_trial(here / "results", RUN_ID, trial(run().plan.trials[4], requests=99))
    next(run_folder(here / "results", RUN_ID).glob("trial-002*")).unlink()

    assert run().trials == import_run(there, exported(here, tmp_path / "run.tar.gz"), said_nothing).run.trials
