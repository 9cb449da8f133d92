"""`lab new` copies a variant and changes what must be its own, and lab.yaml only where it must."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.load import load_lab
from orchestrator.errors import BadInput
from orchestrator.scaffold import add_entry, say_name, scaffold
from tests.unit.lab_files import LAB, write_lab
from tests.unit.test_command import run

ROOT = Path(__file__).resolve().parents[2]


def lab_of(tmp_path: Path, *names: str, text: str = LAB) -> Path:
    """Write a lab file beside copies of the repository's own variants; return the file."""
    (tmp_path / "lab").mkdir(parents=True)
    path = write_lab(tmp_path / "lab", text=text)
    for name in names:
        shutil.copytree(ROOT / "servers" / name, path.parent / "servers" / name)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("like", "expected"),
    [
        ("c-epoll", {"server.c": ['reply_init("mine", ', 'config_listen(&config, "mine")', "servers/c-epoll-et has"]}),
        ("go-nethttp", {"main.go": ['= "mine"']}),
        ("py-asyncio", {"server.py": ['LoopServer("mine")', '"""mine: the standard']}),
    ],
)
def test_the_copy_says_its_own_name_everywhere(tmp_path: Path, like: str, expected: dict[str, list[str]]) -> None:
    """In what it answers, in its log, in its header; another variant that it mentions stays who it is."""
    path = lab_of(tmp_path, like)
    made = scaffold(load_lab(path), "mine", like)

    for name, pieces in expected.items():
        for piece in pieces:
            assert piece in (made.folder / name).read_text()
        assert name in made.changed
    for file in made.folder.iterdir():
        assert f'"{like}"' not in file.read_text()
    assert "# mine\n" == (made.folder / "README.md").read_text()[:7]


def test_the_copy_is_a_sound_variant_beside_its_model(tmp_path: Path) -> None:
    """Found by itself under servers/: lab.yaml stays byte for byte; what is true of the model is true of it."""
    path = lab_of(tmp_path, "c-threads")
    before = path.read_bytes()
    made = scaffold(load_lab(path), "mine", "c-threads")
    variants = load_lab(path).variants

    assert ("", before) == (made.entry, path.read_bytes())
    assert ("mine", "per-connection", "c") == (
        variants["mine"].name,
        variants["mine"].threads,
        variants["mine"].runtime,
    )
    assert "A copy of c-threads, to be changed: say here what is different" == variants["mine"].summary
    assert {p.name for p in (path.parent / "servers" / "c-threads").iterdir()} == {
        p.name for p in made.folder.iterdir()
    }


def test_what_builds_and_editors_leave_is_not_copied(tmp_path: Path) -> None:
    """Nor is it in the way."""
    path = lab_of(tmp_path, "py-asyncio")
    folder = path.parent / "servers" / "py-asyncio"
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "server.pyc").write_bytes(b"\xff")
    (folder / ".server.py.swp").write_bytes(b"\xff")
    (folder / "picture.png").write_bytes(b"\xff py-asyncio")
    made = scaffold(load_lab(path), "mine", "py-asyncio")

    assert {"__pycache__", ".server.py.swp"}.isdisjoint(p.name for p in made.folder.iterdir())
    assert b"\xff py-asyncio" == (made.folder / "picture.png").read_bytes()


@pytest.mark.parametrize("path", ["../elsewhere", "../elsewhere/mine"])
def test_one_outside_is_added_to_lab_yaml(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that holds it, or its own: both are meant. Everything else of the file stays."""
    file = lab_of(tmp_path, "c-epoll")
    monkeypatch.chdir(file.parent)
    made = scaffold(load_lab(file), "mine", "c-epoll", Path(path))
    lab = load_lab(file)

    assert (tmp_path / "elsewhere" / "mine").resolve() == made.folder.resolve() == lab.variants["mine"].folder
    assert "- path: ../elsewhere/mine" == made.entry
    assert ["c-epoll", "mine"] == list(lab.variants)
    assert (
        "".join(line for line in file.read_text().splitlines(True) if line.strip() and line[:3] not in ("var", "  -"))
        == LAB
    )


@pytest.mark.parametrize(
    ("name", "like", "path", "expected"),
    [
        ("My_Server", "c-epoll", None, "lower-case letters, digits and hyphens, as in 'my-server'"),
        ("../../etc", "c-epoll", None, "'../../etc' is not a name; write at most 40"),
        ("", "c-epoll", None, "'' is not a name; write at most 40"),
        ("all", "c-epoll", None, "'all' stands for every variant in lab.yaml; write another name"),
        ("c-epoll", "c-epoll", None, "'c-epoll' is a variant already, in "),
        ("mine", "c-epol", None, "--like: 'c-epol' is not a variant; write 'c-epoll' (known: "),
        ("mine", "image", None, "--like: image is an existing image and has no source; write one of: c-epoll"),
        ("notes", "c-epoll", None, "is there already; write another name, or another --path"),
        ("mine", "c-epoll", "/proc/nowhere", "/proc/nowhere/mine: No such file or directory; write --path"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    tmp_path: Path, name: str, like: str, path: str | None, expected: str
) -> None:
    """One line each; the lab is as it was."""
    text = f"variants: [all, {{name: image, image: my/app, port: 9000, routes: {{plain: /}}}}]\n{LAB}"
    file = lab_of(tmp_path, "c-epoll", text=text)
    (file.parent / "servers" / "notes").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput) as caught:
        scaffold(load_lab(file), name, like, None if path is None else Path(path))

    assert expected in str(caught.value)
    assert (before, file.read_text()) == (sorted(tmp_path.rglob("*")), text)


def test_a_lab_file_that_cannot_be_changed_is_left_with_what_to_write(tmp_path: Path) -> None:
    """A section over several lines in brackets: the variant is there, and one line is a person's to write."""
    text = f"variants: [\n  c-epoll]\n{LAB}"
    file = lab_of(tmp_path, "c-epoll", text=text)
    with pytest.raises(BadInput) as caught:
        scaffold(load_lab(file), "mine", "c-epoll")

    assert str(caught.value).endswith("write under 'variants:' there: - mine")
    assert text == file.read_text()
    assert (file.parent / "servers" / "mine" / "server.c").exists()
    assert [] == list(file.parent.glob(".*"))


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("variants:\n  - a\n  # the last\n\n# scenarios\n", "variants:\n  - a\n  - b\n  # the last\n\n# scenarios\n"),
        ("variants:\n- a\n", "variants:\n- a\n- b\n"),
        ("variants:\n    - image: x\n      name: a\n", "variants:\n    - image: x\n      name: a\n    - b\n"),
        ("variants: [a]  # mine\n", "variants: [a, b]  # mine\n"),
        ("variants: []\n", "variants: [b]\n"),
        ("# what loads\n# and how\n", "variants:\n  - all\n  - b\n\n# what loads\n# and how\n"),
    ],
)
def test_an_entry_is_added_wherever_the_section_stands(section: str, expected: str) -> None:
    """Comments and layout stay as a person wrote them."""
    assert f"profiles: 1\n{expected}scenarios: 2\n" == add_entry(f"profiles: 1\n{section}scenarios: 2\n", "b")


def test_a_path_in_brackets_is_a_mapping() -> None:
    """As YAML needs it there."""
    assert "variants: [a, {path: ../b}]\nscenarios: 1" == add_entry("variants: [a]\nscenarios: 1", "path: ../b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "%% erlang: a process per connection\n-module(server).",
            "%% mine: a process per connection\n-module(server).",
        ),
        ('stats:start("erlang"), erlang:send_after(1)', 'stats:start("mine"), erlang:send_after(1)'),
        ('io:format("erlang: listening~n")', 'io:format("mine: listening~n")'),
        ('variant => <<"erlang">>, exec erl no_dot_erlang', 'variant => <<"mine">>, exec erl no_dot_erlang'),
        ("# erlang\n\nthe erlang runtime", "# mine\n\nthe erlang runtime"),
        ("module netpoll-lab/erlang\n", "module netpoll-lab/mine\n"),
        ("a\nb\nc\nerlang: not the header", "a\nb\nc\nerlang: not the header"),
    ],
)
def test_a_name_that_is_also_a_word_is_replaced_where_the_variant_is_meant(text: str, expected: str) -> None:
    """erlang and nginx are programs and modules as well."""
    assert expected == say_name(text, "erlang", "mine")


def test_the_command_says_what_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Three commands that take the new name."""
    file = lab_of(tmp_path, "c-epoll")
    code, out, err = run(["--file", str(file), "new", "mine", "--like", "c-epoll"], monkeypatch, capsys)
    commands = [line.split("#")[0].split() for line in out.splitlines() if line.startswith("  lab ")]

    assert (0, "") == (code, err)
    assert [
        ["verify", "mine"],
        ["run", "plain@c-epoll,mine"],
        ["run", "hold-2k@c-epoll,mine"],
    ] == [command[3:] for command in commands]
    assert {("lab", "--file", str(file))} == {tuple(command[:3]) for command in commands}


def test_every_variant_of_the_repository_can_be_the_model(tmp_path: Path) -> None:
    """Each copy is a sound variant, and none of its quoted strings is the model's name any more."""
    lab = load_lab(ROOT / "lab.yaml")
    for like in [name for name, variant in lab.variants.items() if not variant.image]:
        file = lab_of(tmp_path / like, like)
        made = scaffold(load_lab(file), "mine", like)
        sources = [p for p in made.folder.rglob("*") if p.is_file() and p.name != "variant.toml"]
        whole = "".join(p.read_text(errors="replace") for p in sources)
        mine, model = load_lab(file).variants["mine"], lab.variants[like]

        assert (mine.runtime, mine.language, mine.technique) == (model.runtime, model.language, model.technique)
        assert not [quote for quote in "\"'`" if f"{quote}{like}{quote}" in whole], like
