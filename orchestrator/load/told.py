"""Turn scenarios and variants into what master and workers are told (LAB_SWARM, docs/architecture.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.model import Scenario, Variant

LOOPBACK = "127.0.0.1"


def swarm_settings(
    scenarios: Iterable[Scenario], targets: Mapping[str, tuple[Variant, str]], once: bool
) -> dict[str, object]:
    """Return LAB_SWARM as a mapping. targets: name -> (variant, the address it listens on)."""
    return {
        "scenarios": {
            s.name: {"kind": s.kind, "path": s.path, "delay_s": s.delay_s, "timeout_s": s.timeout_s} for s in scenarios
        },
        "targets": {
            name: {"host": host, "port": v.port, "speaks": v.speaks, "fixed_delay": v.fixed_delay}
            for name, (v, host) in targets.items()
        },
        "once": once,
    }


def arena_addresses(variants: Iterable[Variant]) -> dict[str, tuple[Variant, str]]:
    """Return each variant's own loopback address in the arena, 127.1.0.N, in the order given."""
    return {v.name: (v, f"127.1.0.{n}") for n, v in enumerate(variants, start=1)}
