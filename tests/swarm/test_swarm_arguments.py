"""Spawning many users must not spend its time on Locust's argument parser."""

from __future__ import annotations

from typing import Any

import locust.argument_parser
import pytest

from swarm.arguments import keep_defaults


@pytest.fixture
def setups(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Count how often Locust builds its parser."""
    module: Any = locust.argument_parser
    build = module.setup_parser_arguments
    calls: list[Any] = []

    def count_and_build(parser: Any) -> None:
        calls.append(parser)
        build(parser)

    monkeypatch.setattr(module, "setup_parser_arguments", count_and_build)
    original = getattr(module.default_args_dict, "__wrapped__", module.default_args_dict)
    monkeypatch.setattr(module, "default_args_dict", original)
    return calls


def test_the_defaults_are_built_once_and_are_locusts_own(setups: list[Any]) -> None:
    """Asked as often as a worker asks for one message, the parser is built once; the answer is the same."""
    own = locust.argument_parser.default_args_dict()
    keep_defaults(locust.argument_parser)
    keep_defaults(locust.argument_parser)
    answers = [locust.argument_parser.default_args_dict() for _ in range(80)]

    assert all(answer == own for answer in answers)
    assert "expect_workers" in own
    assert 2 == len(setups)  # once by Locust, once kept
