"""Which manifests are a lab's variants, and what is said of a broken one."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from tests.unit.lab_files import LAB, complaint_about, write_lab, write_manifest


def test_a_manifest_becomes_a_variant(tmp_path: Path) -> None:
    """Every key arrives, the kernel as two numbers."""
    variant = load_lab(write_lab(tmp_path, "c-epoll")).variants["c-epoll"]

    assert ("c-epoll", "c", "one loop", "c", "http", 8080, False, "reuseport", (4, 5), ("none to speak of",)) == (
        variant.name,
        variant.language,
        variant.technique,
        variant.runtime,
        variant.speaks,
        variant.port,
        variant.fixed_delay,
        variant.processes,
        variant.kernel_least,
        variant.deviations,
    )


def test_folders_that_start_with_an_underscore_are_no_variants(tmp_path: Path) -> None:
    """Neither are those without a manifest."""
    path = write_lab(tmp_path, "c-epoll", "_shared")
    (tmp_path / "servers" / "notes").mkdir()

    assert ["c-epoll"] == list(load_lab(path).variants)


def test_the_variants_section_chooses_and_adds(tmp_path: Path) -> None:
    """A folder elsewhere joins; one that is not listed stays out, even when it is broken."""
    path = write_lab(tmp_path / "lab", "c-epoll", text=f"variants: [c-epoll, {{path: ../my-server}}]\n{LAB}")
    write_manifest(tmp_path / "my-server")
    write_manifest(tmp_path / "lab/servers/broken", speaks="8")
    lab = load_lab(path)

    assert (["c-epoll", "my-server"], ("c-epoll", "my-server")) == (list(lab.variants), lab.suites["quick"].variants)


def test_a_lab_without_variants_is_refused(tmp_path: Path) -> None:
    """'all' of nothing would plan nothing."""
    complaint = complaint_about(write_lab(tmp_path))

    assert "expected at least one variant, found no servers/*/variant.toml beside the lab file" in complaint


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": '"c-epol"'}, ":1 name: expected the folder's name, saw 'c-epol'; write name = \"c-epoll\""),
        ({"speaks": '"https"'}, ":6 speaks: expected 'http' or 'raw', saw 'https'; write 'http'"),
        ({"port": "80"}, ":7 port: expected at least 1,024, saw 80; write 1024 or more"),
        ({"port": '"8080"'}, ":7 port: expected a whole number, saw '8080'; write it as in 8080"),
        ({"fixed_delay": "1"}, ":8 fixed_delay: expected true or false, saw 1; write true or false"),
        ({"processes": '"many"'}, ":9 processes: expected 'one', 'reuseport' or 'own', saw 'many'; write 'one'"),
        ({"kernel_least": "5.10"}, ':10 kernel_least: expected major.minor in quotes, saw 5.1; write it as in "2.6"'),
        ({"language": ""}, " language: missing; write 'language = \"c\"'"),
        ({"langauge": '"c"', "language": ""}, ":11 langauge: unknown key; write 'language' (known: answers,"),
        ({"runtime": '"../etc"'}, ":5 runtime: '../etc' is not a name; write at most 40"),
        ({"deviations": '"none"'}, ":11 deviations: expected a list, saw 'none'; write [none]"),
        ({"summary": "= 1"}, ':2: expected TOML, saw: Invalid value; write it as in: name = "c-epoll"'),
        ({"summary": "[" * 5000}, ": expected TOML, saw: a value out of bounds (RecursionError); write it"),
        ({"port": "9" * 5000}, ": expected TOML, saw: a value out of bounds (ValueError); write it"),
        ({"summary": '"' + "x" * 70_000 + '"'}, ": expected a variant's manifest of at most 65,536 bytes, saw more"),
    ],
)
def test_a_broken_manifest_is_refused_in_one_line(tmp_path: Path, changes: dict[str, str], expected: str) -> None:
    """The line names the manifest, the key's line where it is certain, and what to write."""
    path = write_lab(tmp_path)
    write_manifest(tmp_path / "servers" / "c-epoll", **changes)

    complaint = complaint_about(path)

    assert f"servers/c-epoll/variant.toml{expected}" == complaint[: len(f"servers/c-epoll/variant.toml{expected}")]


def test_a_faulty_manifest_is_not_also_called_unknown(tmp_path: Path) -> None:
    """One slip of the pen is reported once."""
    path = write_lab(tmp_path, text=LAB.replace("variants: all", "variants: [c-epoll]"))
    write_manifest(tmp_path / "servers" / "c-epoll", port="80")

    assert "servers/c-epoll/variant.toml:7 port: expected at least 1,024, saw 80; write 1024 or more" == (
        complaint_about(path)
    )


def test_no_variant_may_be_called_all(tmp_path: Path) -> None:
    """In lab.yaml that word stands for every variant."""
    assert "'all' stands for every variant in lab.yaml" in complaint_about(write_lab(tmp_path, "all"))
