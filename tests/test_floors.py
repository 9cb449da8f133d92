"""Imports go one way: the floors of docs/architecture.md, read from the sources and enforced.

`find_violations` judges a mapping of module name -> source text, so that it can be tested on planted ones.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WORDS = frozenset({"errors", "units", "model"})
THOUGHT = frozenset({"config", "planning", "verdicts"})
HANDS = frozenset({"containers", "load", "observe", "results", "hosts", "contract"})
REPORT = frozenset({"report"})
# A new module of the story is named here, on purpose.
STORY = frozenset(
    {
        "trial",
        "carry",
        "lock",
        "run",
        "resume",
        "transfer",
        "up",
        "pod",
        "offer",
        "verify",
        "arena",
        "charted",
        "serve",
        "standing",
        "watch",
        "light",
        "down",
        "own",
        "foresee",
        "timelines",
        "tune",
        "calibrate",
        "guests",
        "grafana",
        "past",
        "scaffold",
        "nightly",
        "closing",
        "verifying",
    }
)
MOUTH = frozenset({"cli", "__main__"})

# Room -> the rooms it may import besides itself. Rooms of one floor do not import each other, but for the words and
# the story, whose modules stand on one another.
ALLOWED: dict[str, frozenset[str]] = (
    dict.fromkeys(WORDS, WORDS)
    | dict.fromkeys(THOUGHT, WORDS)
    | dict.fromkeys(HANDS, WORDS | THOUGHT)
    | dict.fromkeys(REPORT, WORDS | THOUGHT)
    | dict.fromkeys(STORY, WORDS | THOUGHT | HANDS | REPORT | STORY)
    | dict.fromkeys(MOUTH, WORDS | THOUGHT | HANDS | REPORT | STORY)
)

# What only hands touch. Locust never enters the orchestrator: importing it patches the interpreter.
OUTSIDE = frozenset({"docker", "requests", "subprocess", "socket", "sqlite3"})
NOWHERE = frozenset({"locust", "gevent"})

# Parts that run in an image of their own, without the rest of the lab: they import only themselves.
EXPORTER = "orchestrator.observe.exporter"
CONTRACT = "orchestrator.contract"
PROBES = "probes.service"
APART = (EXPORTER, CONTRACT, PROBES)


def find_violations(sources: Mapping[str, str]) -> list[str]:
    """Return one line for each import that goes the wrong way, in the order of the modules' names.

    sources: dotted module name -> its text; a package's own text goes by the name "package.__init__".
    """
    return [
        f"{module}:{line} imports {target}: {rule}"
        for module, text in sorted(sources.items())
        for line, target in read_imports(module, text)
        if (rule := broken_rule(module, target))
    ] + [
        f"{module}: is on no floor; add '{room_of(module)}' to tests/test_floors.py"
        for module in sorted(sources)
        if module.startswith("orchestrator.") and room_of(module) not in {*ALLOWED, "__init__"}
    ]


def read_imports(module: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the absolute dotted name of everything a module imports, wherever it does.

    `from a import b` yields "a.b", whether b is a module or not; a literal name given to import_module or
    __import__ counts too.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            origin = absolute_origin(module, node)
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}"
        elif isinstance(node, ast.Call) and called_name(node) in ("import_module", "__import__"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield node.lineno, argument.value


def absolute_origin(module: str, node: ast.ImportFrom) -> str:
    """Return the dotted name that `from ... import` starts at, relative dots resolved."""
    if not node.level:
        return node.module or ""
    # A module's parent is its package; "package.__init__" loses its last part alike.
    package = module.split(".")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def called_name(node: ast.Call) -> str:
    """Return the last part of what is called: "import_module" for importlib.import_module(...)."""
    function = node.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def room_of(name: str) -> str:
    """Return the second part of a dotted name: "config" for orchestrator.config.load."""
    return [*name.split("."), ""][1]


def broken_rule(module: str, target: str) -> str | None:
    """Return the rule that this import breaks, or None."""
    top = target.partition(".")[0]
    for part in APART:
        if module.startswith(f"{part}.") or module == part:
            return apart_rule(part, target)
    if module.startswith("swarm."):
        return "the swarm runs in an image without the orchestrator" if top == "orchestrator" else None
    if top in NOWHERE:
        return "the orchestrator never imports locust or gevent"
    room = room_of(module)
    if top in OUTSIDE and room in WORDS | THOUGHT | REPORT:
        return f"{room} touches nothing outside; that is the hands' work"
    if top != "orchestrator":
        return None
    aim = room_of(target)
    if not aim or aim == room:
        return None
    if room == "__init__":
        return "the package itself imports nothing"
    if aim in ALLOWED.get(room, frozenset()):
        return None
    return f"{room} may import only {', '.join(sorted(ALLOWED.get(room, frozenset()))) or 'nothing'}"


def apart_rule(part: str, target: str) -> str | None:
    """Return the rule that an import inside a part that lives on its own breaks, or None."""
    if target == part or target.startswith(f"{part}."):
        return None
    if target.partition(".")[0] in ("orchestrator", "swarm", *NOWHERE):
        return f"{part} runs in an image of its own and imports only itself"
    return None


def read_sources(*packages: str) -> dict[str, str]:
    """Return the repository's modules as find_violations wants them."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
        for package in packages
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def test_no_import_of_this_repository_goes_the_wrong_way() -> None:
    """Every module of orchestrator/, swarm/ and probes/ keeps to its floor."""
    assert [] == find_violations(read_sources("orchestrator", "swarm", "probes"))


def test_the_sources_are_really_read() -> None:
    """A checker that reads nothing finds nothing: three imports known to exist are seen."""
    sources = read_sources("orchestrator", "swarm")
    seen = {
        module: {target for _, target in read_imports(module, sources[module])}
        for module in ("orchestrator.config.load", "orchestrator.planning.plan")
    }

    assert "orchestrator.model.Lab" in seen["orchestrator.config.load"]
    assert "pydantic.ValidationError" in seen["orchestrator.config.load"]
    assert "orchestrator.errors.BadInput" in seen["orchestrator.planning.plan"]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("orchestrator.model", "from orchestrator.config.load import load_lab"),
        ("orchestrator.config.load", "from orchestrator.results.store import Store"),
        ("orchestrator.config.load", "from orchestrator.planning.cpus import parse_cpu_list"),
        ("orchestrator.config.load", "from orchestrator import planning"),
        ("orchestrator.planning.plan", "import subprocess"),
        ("orchestrator.verdicts.compare", "from requests import get"),
        ("orchestrator.verdicts.compare", "import docker.errors"),
        ("orchestrator.verdicts.compare", "from ..containers import pods"),
        ("orchestrator.verdicts.__init__", "from .. import hosts"),
        ("orchestrator.containers.pods", "from orchestrator.hosts.facts import read_facts"),
        ("orchestrator.load.master", "import orchestrator.containers.engine as engine"),
        ("orchestrator.results.store", "from orchestrator.report.text import render"),
        ("orchestrator.report.text", "from orchestrator.results.store import Store"),
        ("orchestrator.report.text", "def late():\n    from orchestrator.containers import pods"),
        ("orchestrator.run", "from orchestrator.cli import main"),
        ("orchestrator.hosts.facts", "import orchestrator.up"),
        ("orchestrator.load.master", "import locust"),
        ("orchestrator.cli", "from locust.env import Environment"),
        ("orchestrator.load.master", "import importlib\nimportlib.import_module('locust')"),
        ("orchestrator.config.load", "__import__('orchestrator.cli')"),
        (
            "orchestrator.config.load",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import orchestrator.run",
        ),
        ("orchestrator.observe.exporter.serve", "from orchestrator.errors import LabError"),
        ("orchestrator.observe.exporter.serve", "from ..client import read"),
        ("orchestrator.observe.exporter.sources.proc", "from ...client import read"),
        ("orchestrator.contract.slow", "from orchestrator.units import parse_duration_s"),
        ("orchestrator.contract.kernel", "from swarm.sockdiag import listeners"),
        ("orchestrator.contract.run", "from ..errors import LabError"),
        ("orchestrator.__init__", "from orchestrator.model import Lab"),
        ("probes.service.ladder", "from orchestrator.model import Probed"),
        ("swarm.locustfile", "from orchestrator.model import Scenario"),
        ("swarm.users.hold", "import orchestrator"),
    ],
)
def test_a_planted_violation_is_caught(module: str, text: str) -> None:
    """Each kind of wrong import, however it is written, gives exactly one line naming the module."""
    violations = find_violations({module: text, "orchestrator.units": "import re"})

    assert [module] == [line.partition(":")[0] for line in violations]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("orchestrator.units", "from orchestrator.errors import BadInput"),
        ("orchestrator.config.load", "from orchestrator.config.schema import LabFile\nfrom . import faults"),
        ("orchestrator.containers.engine", "import docker\nimport subprocess\nfrom orchestrator.planning import cpus"),
        ("orchestrator.containers.__init__", "from .pods import Pod"),
        ("orchestrator.report.text", "from orchestrator.verdicts.summary import quantile_us\nimport rich"),
        ("orchestrator.run", "from orchestrator import trial\nfrom orchestrator.results import store"),
        ("orchestrator.cli", "import orchestrator.run\nfrom orchestrator.report import text"),
        ("orchestrator.observe.client", "import requests\nfrom orchestrator.model import Metrics"),
        ("orchestrator.observe.exporter.serve", "from .sources import proc\nimport socket"),
        ("orchestrator.observe.exporter.sources.proc", "from ..reading import Reading"),
        ("orchestrator.contract.slow", "import socket\nfrom .talk import Talk"),
        ("orchestrator.verify", "from orchestrator.contract.table import ITEMS"),
        ("swarm.locustfile", "from locust import User\nimport swarm.recorder"),
    ],
)
def test_an_import_that_goes_the_right_way_is_not_reported(module: str, text: str) -> None:
    """A checker that cries wolf would be switched off."""
    assert [] == find_violations({module: text})


def test_a_new_module_must_be_put_on_a_floor() -> None:
    """Unknown rooms are reported rather than trusted."""
    assert ["orchestrator.helpers: is on no floor; add 'helpers' to tests/test_floors.py"] == find_violations(
        {"orchestrator.helpers": "import re"}
    )


def test_a_violation_names_line_import_and_rule() -> None:
    """The reader sees what to move without opening this file."""
    violations = find_violations({"orchestrator.report.text": "import re\nfrom orchestrator.hosts import facts"})

    assert [
        "orchestrator.report.text:2 imports orchestrator.hosts.facts: "
        "report may import only config, errors, model, planning, units, verdicts"
    ] == violations
