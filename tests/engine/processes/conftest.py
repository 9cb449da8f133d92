"""What several tests of the swarm stand on: the engine's library and a compiled server, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.processes.lab import Lab, build_engine, build_server


@pytest.fixture(scope="session")
def c_epoll(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of servers/c-epoll, and the engine built."""
    build_engine()
    return build_server(tmp_path_factory.mktemp("c-epoll"))


@pytest.fixture
def make_swarm(tmp_path: Path) -> Iterator[Any]:
    """Return a function that makes a Lab; all its processes are killed at the end."""
    made: list[Lab] = []

    def make(*arguments: Any, **words: Any) -> Lab:
        lab = Lab(tmp_path, *arguments, **words)
        made.append(lab)
        return lab

    yield make
    for lab in made:
        lab.__exit__()
