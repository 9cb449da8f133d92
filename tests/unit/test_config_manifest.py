"""What a manifest may say beyond the plain case, and what of it makes no sense together."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from orchestrator.model import Ring
from tests.unit.lab_files import LAB, complaint_about, write_lab, write_manifest

ROOT = Path(__file__).resolve().parents[2]
SECCOMP = '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}'
IMAGE = {"runtime": "", "image": '"my/app:1.2"', "processes": "", "port": "9000", "routes": '{plain = "/hello"}'}


def write(tmp_path: Path, **keys: str) -> Path:
    """Write a lab of one variant with these keys beside the sound ones; return the lab file."""
    path = write_lab(tmp_path)
    write_manifest(tmp_path / "servers" / "mine", **keys)
    return path


def test_a_variant_says_what_it_needs_and_where_it_ends(tmp_path: Path) -> None:
    """Packages, processes of its own, a wall with its number, and what it does not keep."""
    path = write(
        tmp_path,
        packages='["python3-gevent", "libstdc++6"]',
        processes='"own"',
        wall='"FD_SETSIZE: descriptors stay below 1,024"',
        connections_most="1000",
        lacks='["hold", "echo-chunked"]',
    )
    mine = load_lab(path).variants["mine"]

    assert (("python3-gevent", "libstdc++6"), "own", ("hold", "echo-chunked")) == (
        mine.packages,
        mine.processes,
        mine.lacks,
    )
    assert ("FD_SETSIZE: descriptors stay below 1,024", 1000) == (mine.wall, mine.connections_most)


def test_a_server_with_io_uring_says_what_a_ring_takes_and_locks(tmp_path: Path) -> None:
    """Both numbers, or none; a ring that locks nothing is a slip of the pen."""
    for name in ("whole", "half", "none"):
        (tmp_path / name).mkdir()
    found = load_lab(write(tmp_path / "whole", ring="{connections = 131072, locked_bytes = 561152}"))

    assert Ring(131_072, 561_152) == found.variants["mine"].ring
    assert "ring.locked_bytes: missing" in complaint_about(write(tmp_path / "half", ring="{connections = 131072}"))
    assert "ring.locked_bytes: " in complaint_about(
        write(tmp_path / "none", ring="{connections = 1, locked_bytes = 0}")
    )


def test_c_uring_locks_what_its_rings_come_to() -> None:
    """Whole pages of 4 KiB: the queues (io_uring.c rings_size: 16 bytes for a completion, 64 and an index of 4 for a
    submission, behind a head of at most 1 KiB), and 16 bytes for each buffer in their ring.
    """
    source = (ROOT / "servers" / "c-uring" / "ring.c").read_text()
    submissions, completions, buffers = (
        int(re.findall(rf"\b{name} = ([0-9]+)", source)[0]) for name in ("SUBMISSIONS", "COMPLETIONS", "BUFFERS")
    )
    parts = (1024 + 16 * completions + 4 * submissions, 64 * submissions, 16 * buffers)
    pages = sum(math.ceil(size / 4096) for size in parts)

    assert "FILES_MOST = 1 << 17" in source
    assert Ring(1 << 17, pages * 4096) == load_lab(ROOT / "lab.yaml").variants["c-uring"].ring


def test_a_variant_without_any_of_it_is_what_it_was(tmp_path: Path) -> None:
    """Every key has a default that changes nothing."""
    mine = load_lab(write(tmp_path)).variants["mine"]

    assert ((), None, "", None, None, (), "", {}, "", (), {}) == (
        mine.packages,
        mine.seccomp,
        mine.wall,
        mine.connections_most,
        mine.ring,
        mine.lacks,
        mine.image,
        mine.routes,
        mine.answers,
        mine.command,
        mine.environment,
    )


def test_a_seccomp_profile_lies_in_the_variants_folder(tmp_path: Path) -> None:
    """The path is the folder's, from wherever the lab is run."""
    path = write(tmp_path, seccomp='"seccomp.json"')
    file = tmp_path / "servers" / "mine" / "seccomp.json"
    file.write_text(SECCOMP)

    assert file.resolve() == load_lab(path).variants["mine"].seccomp


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "found no file 'seccomp.json' beside the manifest; write its name, or remove the key"),
        ("[]", "expected a seccomp profile in seccomp.json, saw no defaultAction; write one"),
        ("{}", "expected a seccomp profile in seccomp.json, saw no defaultAction; write one"),
        ("{", "expected a seccomp profile in seccomp.json, which is JSON; saw: Expecting property name"),
        ("[" * 100_000, "expected a seccomp profile in seccomp.json, which is JSON; saw: "),
        ("\0" * (1 << 21), "expected at most 1,048,576 bytes in seccomp.json, saw more"),
    ],
)
def test_what_is_no_seccomp_profile_is_refused(tmp_path: Path, content: str | None, expected: str) -> None:
    """The engine would say so only when the first trial starts."""
    path = write(tmp_path, seccomp='"seccomp.json"')
    if content is not None:
        (tmp_path / "servers" / "mine" / "seccomp.json").write_text(content)

    assert f"servers/mine/variant.toml:12 seccomp: {expected}" in complaint_about(path)


def test_an_existing_image_is_a_variant(tmp_path: Path) -> None:
    """Its paths, its answer, its command and its environment are all that the lab knows of it."""
    path = write(
        tmp_path,
        **{**IMAGE, "routes": '{plain = "/hello", delay = "/sleep?ms={ms}"}'},
        answers='"hi"',
        command='["serve", "--port={port}"]',
        environment='{PORT = "{port}"}',
    )
    mine = load_lab(path).variants["mine"]

    assert ("my/app:1.2", "", 9000, {"plain": "/hello", "delay": "/sleep?ms={ms}"}, "hi") == (
        mine.image,
        mine.runtime,
        mine.port,
        mine.routes,
        mine.answers,
    )
    assert (("serve", "--port={port}"), {"PORT": "{port}"}, False) == (
        mine.command,
        mine.environment,
        mine.has_contract_routes,
    )


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"runtime": ""}, "runtime: missing; write 'runtime = \"c\"', or 'image = "),
        ({**IMAGE, "runtime": '"c"'}, ":11 image: expected runtime or image, saw both; remove one"),
        ({"routes": '{plain = "/a"}'}, ":12 routes: expected only beside image; write"),
        ({"command": '["a"]'}, ":12 command: expected only beside image"),
        ({"environment": '{A = "b"}'}, ":12 environment: expected only beside image"),
        ({"answers": '"a"'}, ":12 answers: expected only beside image"),
        ({"wall": '"FD_SETSIZE"'}, " connections_most: missing beside wall; write 'connections_most = 1000', or"),
        ({"connections_most": "9"}, " wall: missing beside connections_most; write 'wall = \"FD_SETSIZE"),
        ({"connections_most": "0", "wall": '"a"'}, ":12 connections_most: expected at least 1, saw 0"),
        ({"packages": '["a b"]'}, ":12 packages[0]: 'a b' is not a Debian package's name; write it as in 'python3"),
        ({"packages": '["a1", "a1"]'}, ":12 packages[1]: 'a1' is named twice; write it once"),
        ({"packages": '"gevent"'}, ":12 packages: expected a list, saw 'gevent'; write [gevent]"),
        ({"lacks": '["Hold"]'}, ":12 lacks[0]: 'Hold' is not a route's or check's name; write it as in"),
        ({"lacks": '["hold", "hold"]'}, ":12 lacks[1]: 'hold' is named twice; write it once"),
        ({"seccomp": '"../seccomp.json"'}, ":12 seccomp: '../seccomp.json' is not a file's name in the variant's"),
        ({**IMAGE, "routes": ""}, "routes: missing; an image needs its paths: write 'plain' with its own"),
        ({**IMAGE, "routes": "{}"}, "routes: missing; an image needs its paths"),
        ({**IMAGE, "routes": '{plain = "hello"}'}, "routes.plain: 'hello' is not a request path; write it as in"),
        ({**IMAGE, "routes": '{plan = "/hello"}'}, "routes.plan: unknown key; write 'plain' (known: delay, plain)"),
        ({**IMAGE, "routes": '{delay = "/sleep"}'}, "routes.delay: expected a path with {ms} in it, saw"),
        ({**IMAGE, "image": '"My App"'}, "image: 'My App' is not an image's name; write it as in 'my/app:1.2'"),
        ({**IMAGE, "speaks": '"raw"'}, "speaks: expected 'http' beside image: only its HTTP routes can be mapped"),
        ({**IMAGE, "processes": '"own"'}, "processes: means nothing beside image: it knows neither LAB_REUSEPORT"),
        ({**IMAGE, "fixed_delay": "true"}, "fixed_delay: means nothing beside image: write the path under routes"),
        ({**IMAGE, "packages": '["gevent"]'}, "packages: means nothing beside image: its content is made already"),
        ({**IMAGE, "lacks": '["hold"]'}, "lacks: means nothing beside image: what is not under routes is not used"),
        ({**IMAGE, "answers": '""'}, "answers: expected 1 to 16,384 bytes, saw ''; write what the route answers"),
        ({**IMAGE, "environment": '{"A B" = "c"}'}, "environment.'A B': 'A B' is not a variable's name; write it"),
        ({**IMAGE, "environment": "{PORT = 9000}"}, 'environment.PORT: expected text, saw 9000; write "9000"'),
        ({**IMAGE, "command": '["a\\u0000b"]'}, "command[0]: expected at most 4,096 characters without NUL"),
    ],
)
def test_what_makes_no_sense_together_is_refused_in_one_line(
    tmp_path: Path, keys: dict[str, str], expected: str
) -> None:
    """The line names the manifest and the key, and says what to write."""
    complaint = complaint_about(write(tmp_path, **keys))

    assert complaint.startswith("servers/mine/variant.toml")
    assert expected in complaint
    assert complaint.isprintable()


def test_lab_yaml_declares_an_existing_image_by_itself(tmp_path: Path) -> None:
    """It needs no folder; what the report says of it may be written, and has a default."""
    entry = "{image: my/app:1.2, name: my-app, port: 9000, routes: {plain: /hello}, language: rust}"
    lab = load_lab(write_lab(tmp_path, "c-epoll", text=f"variants: [all, {entry}]\n{LAB}"))
    mine = lab.variants["my-app"]

    assert (["c-epoll", "my-app"], ("c-epoll", "my-app")) == (list(lab.variants), lab.suites["quick"].variants)
    assert ("my/app:1.2", 9000, {"plain": "/hello"}, "rust", "existing image", "http") == (
        mine.image,
        mine.port,
        mine.routes,
        mine.language,
        mine.technique,
        mine.speaks,
    )


def test_all_in_the_variants_section_stands_for_the_folder(tmp_path: Path) -> None:
    """One more beside the lab's own, without naming each of them."""
    path = write_lab(tmp_path / "lab", "a", "b", text=f"variants: [{{path: ../mine}}, all]\n{LAB}")
    write_manifest(tmp_path / "mine")

    assert ["mine", "a", "b"] == list(load_lab(path).variants)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{image: my/app}", "an image needs a name of its own in the lab; write 'name: my-app' beside it"),
        ("{image: my/app, name: all}", "'all' stands for every variant; write another name"),
        ("{image: my/app, name: a}", "routes: missing; an image needs its paths: write 'plain' with its own"),
        ("{image: my/app, name: a, path: ../a}", "expected a path or an image, saw both; remove one"),
        ("{name: c-epoll, port: 9000}", "port belongs to an existing image; write 'image: my/app:1.2' too"),
        ("{path: ../a, routes: {plain: /}}", "routes belongs to an existing image"),
        ("{port: 9000}", "expected a name, a path or an image; write '- c-epoll', '- path: ../mine' or"),
        ("{image: my/app, name: c-epoll, routes: {plain: /}}", "'c-epoll' is named twice; write it once"),
        ("all", "'c-epoll' is named twice; write it once"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused_in_one_line(tmp_path: Path, entry: str, expected: str) -> None:
    """The line names the entry and says what to write."""
    path = write_lab(tmp_path, "c-epoll", text=f"variants: [c-epoll, {entry}]\n{LAB}")

    assert f"lab.yaml:1 variants[1]: {expected}" in complaint_about(path)


def test_an_image_that_would_take_the_others_port_is_refused_in_the_arena(tmp_path: Path) -> None:
    """There each variant has an address of its own, and this one would listen on all of them."""
    entry = "{image: my/app, name: mine, routes: {plain: /}}"
    path = write_lab(tmp_path, "c-epoll", text=f"variants: [all, {entry}]\n{LAB}arena: {{variants: [c-epoll, mine]}}\n")

    assert "lab.yaml:16 arena.variants: 'mine' is not told {host}, so it listens on every address, and c-epoll has" in (
        complaint_about(path)
    )
