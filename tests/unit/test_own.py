"""A person's own locustfile is checked, laid out and planned before anything starts; so is one pairing alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.load import load_lab
from orchestrator.errors import BadInput
from orchestrator.model import Lab
from orchestrator.own import SUITE, laid_out, with_own, with_pairing
from orchestrator.planning.plan import make_plan
from tests.unit.test_command import run

ROOT = Path(__file__).resolve().parents[2]
FILE = "from locust import FastHttpUser\n"


@pytest.fixture
def lab() -> Lab:
    return load_lab(ROOT / "lab.yaml")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_the_plan_has_one_trial_of_locust_users_for_each_variant(lab: Lab, mine: Path) -> None:
    """A closed scenario of its own, as many connections as users, as long as was asked for."""
    made = with_own(lab, mine, ["go-nethttp", "c-epoll", "go-nethttp"], 50, 30.0)
    plan = make_plan(made, SUITE, nofile_granted=20_000)
    scenario = made.scenarios["locustfile"]

    assert {("go-nethttp", "locust"), ("c-epoll", "locust")} == {(t.variant, t.users) for t in plan.trials}
    assert 2 == len(plan.trials)
    assert ("closed", 50, 30.0) == (scenario.kind, scenario.connections, scenario.measure_s)
    assert SUITE not in lab.suites


def test_nobody_named_is_c_epoll(lab: Lab, mine: Path) -> None:
    """The variant that every machine can build."""
    assert ("c-epoll",) == with_own(lab, mine, [], 1, 1.0).suites[SUITE].variants


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory; write the path of a Python file"),
        ("def broken(:\n", ":1: invalid syntax. Try: python3 -m py_compile "),
        ("a = 'b\0'\n", "null byte"),
    ],
)
def test_a_file_that_is_no_python_is_one_line(lab: Lab, tmp_path: Path, text: str | None, said: str) -> None:
    """Named with its line and what to do, before any engine is asked."""
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput) as caught:
        with_own(lab, path, [], 1, 1.0)

    assert str(caught.value).startswith(f"--locustfile {path}")
    assert said in str(caught.value)
    assert 1 == len(str(caught.value).splitlines())


def test_an_unknown_variant_is_named_with_those_there_are(lab: Lab, mine: Path) -> None:
    """What was written, and what could be."""
    with pytest.raises(BadInput, match=r"^--variant: 'lighttpd' is not a variant; write one of: .*c-epoll"):
        with_own(lab, mine, ["lighttpd"], 1, 1.0)


def test_the_file_comes_with_its_modules_and_goes_again(lab: Lab, tmp_path: Path) -> None:
    """Everybody may read the copies, whatever the person's own folder allows; nothing else comes along."""
    private = tmp_path / "home"
    private.mkdir(mode=0o700)
    for name, text in (("mine.py", FILE), ("shapes.py", "x = 1\n"), ("secret.txt", "-")):
        (private / name).write_text(text)
        (private / name).chmod(0o600)

    with laid_out(replace(lab, root=tmp_path), private / "mine.py") as copy:
        seen = {path.name: (path.stat().st_mode & 0o777, path.read_text()) for path in copy.parent.iterdir()}
        assert 0o755 == copy.parent.stat().st_mode & 0o777

    assert {"mine.py": (0o644, FILE), "shapes.py": (0o644, "x = 1\n")} == seen
    assert [] == list((tmp_path / ".lab").iterdir())


def test_a_name_without_a_module_behind_it_stays_behind(lab: Lab, mine: Path) -> None:
    """An editor's lock, which leads nowhere, and a folder that is called like a module."""
    (mine.parent / ".#mine.py").symlink_to("somebody@somewhere.4711")
    (mine.parent / "package.py").mkdir()
    with laid_out(replace(lab, root=mine.parent), mine) as copy:
        seen = [path.name for path in copy.parent.iterdir()]

    assert ["mine.py"] == seen


def test_a_module_that_may_not_be_read_is_one_line(lab: Lab, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one, and what to do; nothing is left of the copies."""

    def refuse(source: Path, _target: Path) -> None:
        raise PermissionError(13, "Permission denied", str(source))

    monkeypatch.setattr("orchestrator.own.shutil.copyfile", refuse)
    said = pytest.raises(BadInput, match=r"Permission denied\. Make it readable")
    with said, laid_out(replace(lab, root=mine.parent), mine):
        pass

    assert [] == list((mine.parent / ".lab").iterdir())


def test_one_pairing_is_a_suite_of_one(lab: Lab) -> None:
    """SCENARIO@VARIANT; the plan has that trial and no other."""
    made, suite = with_pairing(lab, "plain@c-epoll")
    plan = make_plan(made, suite, nofile_granted=20_000)

    assert [("plain", "c-epoll")] == [(t.scenario, t.variant) for t in plan.trials]


def test_several_variants_of_a_pairing_stand_side_by_side(lab: Lab) -> None:
    """SCENARIO@VARIANT,VARIANT: each once, whoever is named twice."""
    made, suite = with_pairing(lab, "plain@c-epoll,go-nethttp,c-epoll")
    plan = make_plan(made, suite, nofile_granted=20_000)

    assert {("plain", "c-epoll"), ("plain", "go-nethttp")} == {(t.scenario, t.variant) for t in plan.trials}
    assert (2, "plain-of-2") == (len(plan.trials), suite)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fast@c-epoll", "'fast' is not a scenario"),
        ("plain@no-such", "'no-such' is not a variant"),
        ("plain@c-epoll,", "'' is not a variant"),
    ],
)
def test_an_unknown_half_of_a_pairing_is_named(lab: Lab, text: str, said: str) -> None:
    """Which half, and what could be written."""
    with pytest.raises(BadInput, match=said):
        with_pairing(lab, text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quick", "--locustfile", "x.py"], "exclude each other"),
        (["quick", "--users", "5"], "--variant, --users and --time belong to --locustfile"),
        (["--locustfile", "x.py"], "--locustfile x.py: No such file"),
        (["--locustfile", str(ROOT / "tests" / "__init__.py"), "--time", "30"], "--time: '30' has no unit"),
        (["--locustfile", str(ROOT / "tests" / "__init__.py"), "--time", "2h"], "--time: expected more than 0"),
    ],
)
def test_options_that_make_no_sense_are_one_line(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Exit code 2, before any engine is asked."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    code, out, err = run(["--file", str(ROOT / "lab.yaml"), "run", *arguments], monkeypatch, capsys)

    assert (2, "") == (code, out)
    assert said in err
    assert 1 == len(err.strip().splitlines())
