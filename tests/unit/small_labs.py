"""Labs of a few variants and one suite, for what is planned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.model import Arena, Lab, Observability, Plan, Profile, Scenario, Suite, Variant
from orchestrator.planning.plan import make_plan

PLAIN = Scenario("plain", "", "closed", "/plain", 50, 0.0, 2.0, 6.0, 10.0)
HOLD = Scenario("hold-2k", "", "hold", "/delay", 2000, 5.0, 0.0, 0.0, 10.0)


def make_variant(name: str, **changes: object) -> Variant:
    """Return a full HTTP variant of several processes but for the changes."""
    sound = Variant(name, "", "c", "epoll", "c", Path("/servers") / name, "http", 8080, False, "reuseport", (2, 6), ())
    return replace(sound, **changes)  # type: ignore[arg-type]  # the tests name the fields rightly


SIX = (
    make_variant("seed-go", fixed_delay=True, processes="one"),
    make_variant("seed-c", fixed_delay=True, processes="one", speaks="raw"),
    make_variant("go-nethttp"),
    make_variant("c-threads"),
    make_variant("c-epoll"),
    make_variant("py-asyncio"),
)


def make_lab(
    *variants: Variant, scenarios: tuple[Scenario, ...] = (PLAIN, HOLD), nofile: int = 1 << 20, **suite: int
) -> Lab:
    """Return a lab whose suite `quick` crosses all that is given."""
    variants = variants or SIX
    quick = Suite(
        name="quick",
        summary="",
        scenarios=tuple(scenario.name for scenario in scenarios),
        variants=tuple(variant.name for variant in variants),
        trials=suite.get("trials", 2),
        profile="default",
        seed=suite.get("seed", 1),
    )
    return Lab(
        path=Path("/lab/lab.yaml"),
        root=Path("/lab"),
        profiles={"default": Profile("default", "", {}, nofile, True, "auto", "auto")},
        variants={variant.name: variant for variant in variants},
        scenarios={scenario.name: scenario for scenario in scenarios},
        suites={"quick": quick},
        observability=Observability(8089, 9090, 9100, 1.0),
        arena=Arena("default", quick.variants),
    )


def plan_hold(connections: int, nofile_granted: int | None, users: str = "auto", **variant: object) -> Plan:
    """Return the plan of one trial holding some connections."""
    scenario = replace(HOLD, connections=connections, users=users)  # type: ignore[arg-type]  # the tests name them
    lab = make_lab(make_variant("c-epoll", **variant), scenarios=(scenario,), trials=1)
    return make_plan(lab, "quick", nofile_granted=nofile_granted)
