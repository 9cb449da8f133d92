"""A program started beside the server is judged by what it says; where an engine lost its words, it is asked again."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.containers.launch import Running
from orchestrator.verifying import outside
from orchestrator.verifying.outside import BAD_ENVIRONMENT, Outside

LOST, REFUSED = "", "server: {name} must be another"


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the next starts say, one entry for each, where the last stands for all that follow; each ends with 2."""
    told: list[str] = []

    class Job:
        def __init__(self, _client: Any, _server: Running, _command: list[str], environment: dict[str, str]) -> None:
            self._name, self.words, self.code = next(iter(environment)), "", None

        def lines(self) -> Iterator[str]:
            self.words = (told.pop(0) if len(told) > 1 else told[0]).format(name=self._name)
            self.code = cast("Any", 2)
            yield from ()

    monkeypatch.setattr(outside, "Job", Job)
    return told


def judged() -> tuple[bool, str, str]:
    pod = cast("Any", SimpleNamespace(site=SimpleNamespace(client=None)))
    return Outside(pod, ["bad-environment"], []).bad_environment(Running("id", "server", 1))


def test_words_that_the_engine_lost_are_asked_for_again(says: list[str]) -> None:
    """Lost twice in the middle of the values: every value is still refused in one line."""
    says += [REFUSED, LOST, LOST, REFUSED]

    assert (True, f"just that, for {len(BAD_ENVIRONMENT)} values") == judged()[::2]


def test_a_server_that_refuses_in_silence_is_found(says: list[str]) -> None:
    """It is asked three times, and has said nothing."""
    says += [REFUSED, LOST, LOST, LOST, REFUSED]

    is_kept, _, seen = judged()
    name, value = BAD_ENVIRONMENT[1]
    assert (False, f"{name}={value!r}: exit 2 and ''") == (is_kept, seen)


def test_a_server_that_says_too_much_or_names_nothing_is_found(says: list[str]) -> None:
    """One line, with the variable's name in it."""
    says.append("server: {name}\nand more")
    assert not judged()[0]
    says[:] = ["bad environment"]
    assert not judged()[0]
