"""Turn scenarios and variants into what master and workers are told (LAB_SWARM, docs/architecture.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from orchestrator.model import Scenario, Users, Variant

LOOPBACK = "127.0.0.1"
LEAST_OPENING = 16  # connects under way at once; fewer would make each wait for the round trip of the one before
DEFAULT_OPENING = 256


def swarm_settings(
    scenarios: Iterable[Scenario],
    targets: Mapping[str, tuple[Variant, str]],
    once: bool,
    *,
    users: Users | None = None,
    nonce: str | None = None,
    opening: int = DEFAULT_OPENING,
) -> dict[str, object]:
    """Return LAB_SWARM as a mapping.

    targets: name -> (variant, the address it listens on). users: who loads, where that was decided for a trial; None:
    as each scenario says. nonce: what this lab's servers answer with; None: they were given none. opening: connects
    under way at once for each worker.
    """
    return {
        "scenarios": {s.name: _scenario(s, users) for s in scenarios},
        "targets": {
            name: {
                "host": host,
                "port": v.port,
                "speaks": v.speaks,
                "fixed_delay": v.fixed_delay,
                "nonce": nonce if answers_nonce(v) else None,
                **_own_routes(v),
            }
            for name, (v, host) in targets.items()
        },
        "once": once,
        "opening": opening,
    }


def _own_routes(variant: Variant) -> dict[str, object]:
    """Return what an existing image is asked for and must answer; the contract's is what everybody knows."""
    if not variant.image:
        return {}
    return {"routes": dict(variant.routes), **({"body": variant.answers} if variant.answers else {})}


def answers_nonce(variant: Variant) -> bool:
    """Whether a variant has /healthz and answers there with the nonce it was given."""
    return variant.has_contract_routes and "healthz" not in variant.lacks


def opening_each(backlog: int, workers: int) -> int:
    """Return how many connects each worker may have under way: together half of the accept queue, so that it never
    fills by the swarm's own doing."""
    return max(LEAST_OPENING, backlog // workers // 2)


def worker_share(number: int, workers: int) -> str:
    """Return LAB_WORKER_SHARE: which worker of how many this one is, from 0."""
    return f"{number}/{workers}"


def arena_addresses(variants: Iterable[Variant]) -> dict[str, tuple[Variant, str]]:
    """Return each variant's own loopback address in the arena, 127.1.0.N, in the order given."""
    return {v.name: (v, f"127.1.0.{n}") for n, v in enumerate(variants, start=1)}


def _scenario(scenario: Scenario, users: Users | None) -> dict[str, object]:
    wished: Users = "locust" if scenario.users == "locust" else "engine"
    return {
        "kind": scenario.kind,
        "path": scenario.path,
        "delay_s": scenario.delay_s,
        "timeout_s": scenario.timeout_s,
        "users": users or wished,
        "connections": scenario.connections,
        "rate_per_s": scenario.rate_per_s,
        "arrivals": scenario.arrivals,
        "answer": scenario.answer,
        "every_s": scenario.every_s,
        "ramp": asdict(scenario.ramp) if scenario.ramp else None,
        "sources": scenario.sources,
    }
