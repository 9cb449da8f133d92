"""What the swarm is told: only named targets can be loaded, and a wrong word gets a clear message."""

from __future__ import annotations

import json

import pytest

from swarm.settings import BadSettings, Settings, choose, parse_settings

TOLD = {
    "scenarios": {
        "plain": {"kind": "closed", "path": "/plain", "delay_s": 0.0, "timeout_s": 10.0},
        "hold-2k": {"kind": "hold", "path": "/delay", "delay_s": 5.0, "timeout_s": 10.0},
    },
    "targets": {
        "c-epoll": {"host": "127.0.0.1", "port": 8080, "speaks": "http", "fixed_delay": False},
        "seed-go": {"host": "127.0.0.1", "port": 8081, "speaks": "http", "fixed_delay": True},
        "seed-c": {"host": "127.0.0.1", "port": 8082, "speaks": "raw", "fixed_delay": True},
    },
    "once": True,
}


def make_settings() -> Settings:
    return parse_settings(json.dumps(TOLD))


def test_all_variants_are_chosen_by_default() -> None:
    """Hold suits every variant."""
    choice = choose(make_settings(), "hold-2k", None)

    assert ["c-epoll", "seed-go", "seed-c"] == [target.variant for target in choice.targets]
    assert 15.0 == choice.scenario.patience_s
    assert choice.once


def test_closed_leaves_out_who_cannot_serve_it() -> None:
    """Each one left out has a reason."""
    choice = choose(make_settings(), "plain", ["c-epoll", "seed-go", "seed-c"])

    assert ["c-epoll"] == [target.variant for target in choice.targets]
    assert ["seed-go", "seed-c"] == list(choice.left_out)
    assert "speaks raw" in choice.left_out["seed-c"]


@pytest.mark.parametrize(
    ("scenario", "variants", "word"),
    [
        ("", None, "scenario: none chosen"),
        ("nope", None, "'nope' is unknown"),
        ("plain", [], "variants: none chosen"),
        ("plain", [""], "variants: none chosen"),
        ("plain", ["c-epoll", "evil"], "'evil' is unknown"),
    ],
)
def test_unknown_names_get_a_message(scenario: str, variants: list[str] | None, word: str) -> None:
    """The message names the word and what is known."""
    with pytest.raises(BadSettings, match=word):
        choose(make_settings(), scenario, variants)


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("targets", {"host": "example.com", "port": 80}),
        ("targets", {"host": "127.0.0.1", "port": 0}),
        ("targets", {"host": "127.0.0.1", "port": 80, "speaks": "smtp"}),
        ("scenarios", {"kind": "storm"}),
        ("scenarios", {"kind": "closed", "path": "/a b"}),
        ("scenarios", {"kind": "hold", "delay_s": 121}),
    ],
)
def test_wrong_entry_is_refused(key: str, entry: dict[str, object]) -> None:
    """A name instead of an address, above all."""
    with pytest.raises(BadSettings, match=key):
        parse_settings(json.dumps({key: {"x": entry}}))


def test_text_that_is_not_json_is_refused() -> None:
    """No traceback of the json module reaches the user."""
    with pytest.raises(BadSettings, match="expected JSON"):
        parse_settings("{")
