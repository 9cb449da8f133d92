"""What master and workers are told has the shape that docs/architecture.md gives."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from orchestrator.load.told import LOOPBACK, arena_addresses, swarm_settings
from orchestrator.model import Scenario, Variant

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"

PLAIN = Scenario("plain", "", "closed", "/plain", 50, 0.0, 2.0, 6.0, 10.0)
HOLD = Scenario("hold-2k", "", "hold", "/delay", 2000, 5.0, 0.0, 0.0, 10.0)


def make_variant(name: str, **changes: object) -> Variant:
    """Return a full HTTP variant but for the changes."""
    sound = Variant(name, "", "c", "epoll", "c", Path("/servers") / name, "http", 8080, False, "one", (2, 6), ())
    return replace(sound, **changes)  # type: ignore[arg-type]  # the tests name the fields rightly


def documented() -> object:
    """Return the example of LAB_SWARM in docs/architecture.md."""
    found = re.search(r"LAB_SWARM`, JSON:\n```json\n(.*?)```", ARCHITECTURE.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_settings_are_what_the_architecture_shows() -> None:
    """The example there, value for value, through JSON text as the environment carries it."""
    told = swarm_settings([PLAIN, HOLD], {"c-epoll": (make_variant("c-epoll"), LOOPBACK)}, once=False)

    assert documented() == json.loads(json.dumps(told))


def test_a_trial_asks_once_and_says_how_a_raw_variant_is_spoken_to() -> None:
    """The target has the manifest's port, protocol and fixed delay."""
    seed = make_variant("seed-c", speaks="raw", port=9000, fixed_delay=True)

    assert {
        "scenarios": {"hold-2k": {"kind": "hold", "path": "/delay", "delay_s": 5.0, "timeout_s": 10.0}},
        "targets": {"seed-c": {"host": "127.1.0.4", "port": 9000, "speaks": "raw", "fixed_delay": True}},
        "once": True,
    } == swarm_settings([HOLD], {"seed-c": (seed, "127.1.0.4")}, once=True)


def test_scenarios_and_targets_keep_their_order() -> None:
    """The web UI shows them as lab.yaml has them."""
    targets = {name: (make_variant(name), LOOPBACK) for name in ("seed-go", "c-epoll", "a")}
    told = swarm_settings([PLAIN, HOLD], targets, once=False)

    assert '["plain", "hold-2k"] ["seed-go", "c-epoll", "a"]' == " ".join(
        json.dumps(list(told[key]))  # type: ignore[call-overload]  # both are mappings
        for key in ("scenarios", "targets")
    )


def test_arena_addresses_count_from_one_in_the_order_given() -> None:
    """Every variant on a loopback address of its own, so that all may use one port."""
    variants = [make_variant(name) for name in ("seed-go", "c-epoll", "a")]

    assert {"seed-go": "127.1.0.1", "c-epoll": "127.1.0.2", "a": "127.1.0.3"} == {
        name: host for name, (_, host) in arena_addresses(variants).items()
    }
    assert variants == [variant for variant, _ in arena_addresses(variants).values()]
