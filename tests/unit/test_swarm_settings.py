"""What the swarm is told: only named targets can be loaded, and a wrong word gets a clear message."""

from __future__ import annotations

import json

import pytest

from swarm.choice import choose, is_for_engine, path_of, share_of
from swarm.settings import BadSettings, Ramp, Settings, parse_settings, parse_share

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

RAMP = {
    "of": "connections", "first": 2, "last": 20, "factor": 1.5, "step_s": 3.0, "settle_s": 1.0,
    "most_errors_ratio": 0.01, "most_p99_s": 0.1,
}  # fmt: skip


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
        ("targets", {"host": "127.0.0.1", "port": 80, "nonce": "ABCDEF0123456789"}),
        ("targets", {"host": "127.0.0.1", "port": 80, "nonce": 7}),
        ("scenarios", {"kind": "burst"}),
        ("scenarios", {"kind": "storm"}),
        ("scenarios", {"kind": "open"}),
        ("scenarios", {"kind": "open", "rate_per_s": float("nan")}),
        ("scenarios", {"kind": "open", "rate_per_s": 10, "arrivals": "bursty"}),
        ("scenarios", {"kind": "closed", "users": "auto"}),
        ("scenarios", {"kind": "closed", "connections": 0}),
        ("scenarios", {"kind": "closed", "ramp": RAMP}),
        ("scenarios", {"kind": "closed", "sources": 255}),
        ("scenarios", {"kind": "closed", "sources": -1}),
        ("scenarios", {"kind": "hold", "answer": "never"}),
        ("scenarios", {"kind": "ramp"}),
        ("scenarios", {"kind": "ramp", "ramp": RAMP | {"factor": 1.0}}),
        ("scenarios", {"kind": "ramp", "ramp": RAMP | {"of": "users"}}),
        ("scenarios", {"kind": "ramp", "ramp": {"of": "rate", "first": 1}}),
        ("scenarios", {"kind": "ramp", "ramp": RAMP | {"first": 2.5}}),
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


@pytest.mark.parametrize("opening", [0, "many", 2.5, True])
def test_opening_is_a_number_of_connects(opening: object) -> None:
    """At least one."""
    with pytest.raises(BadSettings, match="opening"):
        parse_settings(json.dumps({"opening": opening}))


def test_everything_told_is_kept() -> None:
    """The engine's fields of a scenario and a target arrive as they were written."""
    told = {
        "scenarios": {
            "o": {"kind": "open", "users": "engine", "connections": 64, "rate_per_s": 1500, "arrivals": "poisson"},
            "s": {"kind": "storm", "users": "engine", "every_s": 2},
            "r": {"kind": "ramp", "users": "engine", "ramp": RAMP},
        },
        "targets": {"v": {"host": "127.0.0.1", "port": 8080, "nonce": "ab" * 16}},
        "opening": 32,
    }
    settings = parse_settings(json.dumps(told))
    wide, storm, ramp = settings.scenarios["o"], settings.scenarios["s"], settings.scenarios["r"]

    assert ("engine", 64, 1500.0, "poisson") == (wide.users, wide.connections, wide.rate_per_s, wide.arrivals)
    assert (2.0, True, True, False) == (storm.every_s, storm.is_scheduled, wide.is_scheduled, ramp.is_scheduled)
    assert ("ab" * 16, 32) == (settings.targets["v"].nonce, settings.opening)


def test_ramp_rises_to_its_last_step_exactly() -> None:
    """Connections are whole and rise by one at least; the last step is what was asked for."""
    ramp = Ramp("connections", 2, 20, 1.5, 3, 1, 0.01, 0.1)
    slow = Ramp("connections", 1, 4, 1.01, 3, 1, 0.01, 0.1)
    rate = Ramp("rate", 100, 250, 1.5, 3, 1, 0.01, 0.1)

    assert [2, 3, 5, 8, 12, 18, 20] == ramp.steps()
    assert [1, 2, 3, 4] == slow.steps()
    assert [100, 150, 225, 250] == rate.steps()


@pytest.mark.parametrize("kind", ["open", "storm", "ramp"])
def test_python_users_keep_no_schedule(kind: str) -> None:
    """The reason says what to write instead."""
    entry = {"kind": kind, "rate_per_s": 10, "every_s": 1, "ramp": RAMP if kind == "ramp" else None}
    settings = parse_settings(json.dumps({"scenarios": {"x": entry}, "targets": TOLD["targets"]}))
    choice = choose(settings, "x", ["c-epoll"])

    assert () == choice.targets
    assert "write users: engine" in choice.left_out["c-epoll"]


def test_raw_targets_get_locust_users_whatever_is_written() -> None:
    """The engine speaks HTTP only."""
    entry = {"kind": "hold", "users": "engine", "delay_s": 1.0}
    settings = parse_settings(json.dumps({"scenarios": {"x": entry}, "targets": TOLD["targets"]}))
    choice = choose(settings, "x", None)

    assert [True, True, False] == [is_for_engine(choice.scenario, target) for target in choice.targets]


def test_hold_on_release_needs_a_release() -> None:
    """The seeds have no such route; their reason is given, and the path carries no delay."""
    entry = {"kind": "hold", "path": "/hold", "answer": "release", "users": "engine"}
    settings = parse_settings(json.dumps({"scenarios": {"x": entry}, "targets": TOLD["targets"]}))
    choice = choose(settings, "x", None)

    assert ["c-epoll"] == [target.variant for target in choice.targets]
    assert ["seed-go", "seed-c"] == list(choice.left_out)
    assert "/hold" == path_of(choice.scenario, choice.targets[0])
    assert 130.0 == choice.scenario.patience_s


def test_delay_goes_into_the_path() -> None:
    """closed with a delay asks for it as hold does; a fixed delay has one path."""
    entry = {"kind": "closed", "path": "/delay", "delay_s": 0.25}
    settings = parse_settings(json.dumps({"scenarios": {"x": entry}, "targets": TOLD["targets"]}))
    held = make_settings().scenarios["hold-2k"]

    assert "/delay?ms=250" == path_of(settings.scenarios["x"], settings.targets["c-epoll"])
    assert "/delay?ms=5000" == path_of(held, settings.targets["c-epoll"])
    assert "/" == path_of(held, settings.targets["seed-go"])
    assert "/plain" == path_of(make_settings().scenarios["plain"], settings.targets["c-epoll"])


@pytest.mark.parametrize("text", ["1", "2/2", "-1/3", "a/b", "1/"])
def test_worker_share_is_checked(text: str) -> None:
    """n/W, n below W."""
    with pytest.raises(BadSettings, match="LAB_WORKER_SHARE"):
        parse_share(text)


def test_shares_sum_to_the_whole() -> None:
    """The first ones take what is left over."""
    assert [4, 4, 3] == [share_of(11, (n, 3)) for n in range(3)]
    assert (2, 6) == parse_share("2/6")
    assert parse_share("") is None


@pytest.mark.parametrize("number", ["", "many", -1, "1.5", 10**7])
def test_connections_per_user_is_a_number(number: object) -> None:
    """0 and above; the form's text or a number."""
    with pytest.raises(BadSettings, match="connections per user"):
        choose(make_settings(), "hold-2k", None, number)


IMAGE = {
    "host": "127.0.0.1",
    "port": 9000,
    "routes": {"plain": "/hello", "delay": "/sleep?ms={ms}&x={y}"},
    "body": "hü",
}


def settings_of(image: dict[str, object]) -> Settings:
    return parse_settings(json.dumps({**TOLD, "targets": {"mine": image}}))


def test_an_existing_image_is_asked_by_its_own_paths() -> None:
    """Other braces in a path are its own; the answer is compared as bytes."""
    told = settings_of(IMAGE)
    mine = told.targets["mine"]

    assert "/hello" == path_of(told.scenarios["plain"], mine)
    assert "/sleep?ms=5000&x={y}" == path_of(told.scenarios["hold-2k"], mine)
    assert "hü".encode() == mine.body
    assert b"Hello, world!" == make_settings().targets["c-epoll"].body


def test_what_an_image_does_not_map_is_left_out() -> None:
    """With the reason, as on the start form."""
    told = settings_of({**IMAGE, "routes": {"plain": "/hello"}})
    choice = choose(told, "hold-2k", None)

    assert {"mine": "scenario hold-2k is hold and asks for /delay; mine maps plain only"} == choice.left_out


@pytest.mark.parametrize(
    ("routes", "word"),
    [({"hold": "/x"}, "routes are plain and delay, not hold"), ({"plain": "x"}, "mine.routes.plain: expected a path")],
)
def test_a_route_that_is_none_is_refused(routes: dict[str, str], word: str) -> None:
    """Only what the workers know, and only paths."""
    with pytest.raises(BadSettings, match=word):
        settings_of({**IMAGE, "routes": routes})
