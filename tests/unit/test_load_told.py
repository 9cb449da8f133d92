"""What master and workers are told has the shape that the swarm reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.load.told import LOOPBACK, arena_addresses, opening_each, swarm_settings
from orchestrator.model import Ramp, Scenario, Variant

PLAIN = Scenario("plain", "", "closed", "/plain", 50, 0.0, 2.0, 6.0, 10.0)
HOLD = Scenario("hold-2k", "", "hold", "/delay", 2000, 5.0, 0.0, 0.0, 10.0)


def make_variant(name: str, **changes: object) -> Variant:
    """Return a full HTTP variant but for the changes."""
    sound = Variant(name, "", "c", "epoll", "c", Path("/servers") / name, "http", 8080, False, "one", (2, 6), ())
    return replace(sound, **changes)  # type: ignore[arg-type]  # the tests name the fields rightly


def test_a_scenario_is_told_with_all_that_its_kind_needs() -> None:
    """Every key of the contract, whether the kind uses it or not, through JSON text as the environment carries it."""
    ramp = Ramp("rate", 50.0, 5000.0, 1.5, 3.0, 1.0, 0.01, 0.1)
    rising = Scenario("x", "", "ramp", "/plain", 100, 0.0, 0.0, 0.0, 10.0, "auto", 0.0, "poisson", ramp=ramp, sources=4)
    told = swarm_settings([rising], {"c-epoll": (make_variant("c-epoll"), LOOPBACK)}, True, nonce="ab" * 16, opening=64)

    assert {
        "scenarios": {
            "x": {
                "kind": "ramp", "path": "/plain", "delay_s": 0.0, "timeout_s": 10.0, "users": "engine",
                "connections": 100, "rate_per_s": 0.0, "arrivals": "poisson", "answer": "delay", "every_s": 0.0,
                "sources": 4, "ramp": {
                    "of": "rate", "first": 50.0, "last": 5000.0, "factor": 1.5, "step_s": 3.0, "settle_s": 1.0,
                    "most_errors_ratio": 0.01, "most_p99_s": 0.1,
                },
            }
        },
        "targets": {
            "c-epoll": {
                "host": "127.0.0.1", "port": 8080, "speaks": "http", "fixed_delay": False, "nonce": "ab" * 16,
            }
        },
        "once": True,
        "opening": 64,
    } == json.loads(json.dumps(told))  # fmt: skip


def test_a_variant_without_healthz_has_no_nonce() -> None:
    """The target has the manifest's port, protocol and fixed delay; the seeds could not answer with a nonce."""
    seed = make_variant("seed-c", speaks="raw", port=9000, fixed_delay=True)
    told = swarm_settings([HOLD], {"seed-c": (seed, "127.1.0.4")}, once=True, nonce="ab" * 16)

    assert {"seed-c": {"host": "127.1.0.4", "port": 9000, "speaks": "raw", "fixed_delay": True, "nonce": None}} == told[
        "targets"
    ]


@pytest.mark.parametrize(
    ("wished", "decided", "told"),
    [
        ("auto", None, "engine"),
        ("engine", None, "engine"),
        ("locust", None, "locust"),
        ("auto", "locust", "locust"),
        ("locust", "engine", "engine"),
    ],
)
def test_who_loads_is_told_decided(wished: Any, decided: Any, told: str) -> None:
    """A trial's own decision counts before the scenario's wish, and the swarm is never told "auto"."""
    scenarios: Any = swarm_settings([replace(PLAIN, users=wished)], {}, once=True, users=decided)["scenarios"]

    assert told == scenarios["plain"]["users"]


@pytest.mark.parametrize(("backlog", "workers", "each"), [(4096, 1, 2048), (4096, 7, 292), (128, 60, 16)])
def test_workers_together_fill_half_of_the_accept_queue(backlog: int, workers: int, each: int) -> None:
    """But each has at least sixteen connects under way."""
    assert each == opening_each(backlog, workers)


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


def test_an_existing_image_is_asked_for_its_own_routes() -> None:
    """And must answer what was declared; of the contract's variants nothing new is told."""
    image = make_variant("mine", image="my/app:1", routes={"plain": "/hello"}, answers="hi", port=9000)
    told = swarm_settings(
        [], {"mine": (image, "127.1.0.2"), "a": (make_variant("a"), LOOPBACK)}, False, nonce="ab" * 16
    )
    targets = told["targets"]

    assert isinstance(targets, dict)
    assert {
        "host": "127.1.0.2", "port": 9000, "speaks": "http", "fixed_delay": False, "nonce": None,
        "routes": {"plain": "/hello"}, "body": "hi",
    } == targets["mine"]  # fmt: skip
    assert {"routes", "body"}.isdisjoint(targets["a"])
    silent = swarm_settings([], {"mine": (make_variant("mine", lacks=("healthz",)), LOOPBACK)}, False, nonce="ab" * 16)
    assert None is silent["targets"]["mine"]["nonce"]  # type: ignore[index]  # a mapping, as seen above
