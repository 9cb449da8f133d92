"""A calibration's arithmetic, whom it calibrates and with what, and what is kept when some of it failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.calibrate import HIGH, LOW, SUITE, _keep, _Seen, chosen, with_scenarios
from orchestrator.config.load import load_lab
from orchestrator.errors import BadInput, Undecided
from orchestrator.hosts.calibration import read_calibration
from orchestrator.model import Lab
from orchestrator.planning.calibrating import Asked, Held, generator_cost, server_figures
from orchestrator.planning.costs import EndCost, reference_generator
from orchestrator.planning.plan import make_plan

FULL = ["c-epoll", "c-threads", "go-nethttp", "py-asyncio"]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return replace(load_lab(Path(__file__).resolve().parents[2] / "lab.yaml"), root=tmp_path)


def held(connections: int, *, each: float = 300.0, kernel: float = 1500.0, load: float = 200.0) -> Held:
    """A server of 2 MB at rest and a worker of 50 MB, with costs that are known."""
    rss = 2e6 + connections * each
    return Held(
        connections=connections,
        server_rss_bytes=rss,
        server_cgroup_bytes=rss + 1e6 + connections * kernel,
        server_cpu_s=0.1 + connections * 20e-6,
        workers=1,
        generator_rss_bytes=50e6 + connections * load,
        established_s=connections / 20_000,
    )


def test_what_is_there_without_connections_cancels_out() -> None:
    """Known costs on top of a known base come back to the byte and the microsecond."""
    figures = server_figures(held(1000), held(4000), Asked(50_000.0, 12e-6, 0.5))

    assert pytest.approx(300.0) == figures.cost.user_bytes
    assert pytest.approx(1500.0) == figures.cost.kernel_bytes
    assert figures.cost.calibrated
    assert pytest.approx(20e-6) == figures.open_cpu_s
    assert 12e-6 == figures.request_cpu_s


def test_a_server_that_took_less_cpu_with_more_connections_is_refused() -> None:
    """Such a figure is noise, not a cost below nothing."""
    with pytest.raises(ValueError, match=r"^4,000 connections took 0\.050 s less CPU than 1,000$"):
        server_figures(replace(held(1000), server_cpu_s=0.15), replace(held(4000), server_cpu_s=0.1), None)


def test_the_load_costs_what_its_workers_grew_by() -> None:
    """Base, slope and rates: the dearest memory and the best rates seen, of several variants."""
    pairs = [(held(1000), held(4000)), (held(1000, load=250.0), replace(held(4000, load=250.0), established_s=0.4))]
    loops = {"a": EndCost(1.0, 1600.0), "b": EndCost(1.0, 1400.0)}

    cost = generator_cost("engine", pairs, [Asked(60_000.0, 1e-6, 0.5), Asked(90_000.0, 1e-6, 1.2)], loops)

    assert pytest.approx(250.0) == cost.user_bytes
    assert pytest.approx(50e6) == cost.base_bytes
    assert 1400.0 == cost.kernel_bytes
    assert pytest.approx(20_000.0) == cost.opens_per_core_s
    assert pytest.approx(120_000.0) == cost.answers_per_core_s  # 60,000 with half a core; above one core is one
    assert cost.calibrated


def test_what_was_not_seen_of_the_load_is_the_references() -> None:
    """No timing, no small answers, no event loop: the constants stand in."""
    pair = (replace(held(1000), established_s=None), replace(held(4000), established_s=None))
    reference = reference_generator("locust")

    cost = generator_cost("locust", [pair], [], {})

    assert pytest.approx(200.0) == cost.user_bytes
    assert (reference.kernel_bytes, reference.opens_per_core_s, reference.answers_per_core_s) == (
        cost.kernel_bytes,
        cost.opens_per_core_s,
        cost.answers_per_core_s,
    )


def test_variants_that_know_one_answer_only_are_not_calibrated(lab: Lab) -> None:
    """The seeds are left out, and refused by name, as is a stranger."""
    assert FULL == sorted(chosen(lab, []))
    assert ["go-nethttp"] == chosen(lab, ["go-nethttp"])
    for name, why in (("seed-go", "knows one answer only and cannot be"), ("nobody", "is not a variant to be")):
        with pytest.raises(BadInput, match=why):
            chosen(lab, [name])


def test_both_kinds_of_users_hold_a_thousand_and_four_thousand(lab: Lab) -> None:
    """The plan holds each pairing once, and nobody's own scenarios are lost."""
    made = with_scenarios(lab, ["c-epoll"])
    plan = make_plan(made, SUITE, nofile_granted=20_000)
    trials = {(t.users, t.kind, made.scenarios[t.scenario].connections) for t in plan.trials}

    loads = (("hold", 1000), ("hold", 4000), ("closed", 50))
    assert {(users, *load) for users in ("engine", "locust") for load in loads} == trials
    assert 6 == len(plan.trials)
    assert () == plan.left_out
    assert set(lab.scenarios) < set(made.scenarios)


def found(**changes: float) -> _Seen:
    return _Seen({LOW: held(1000, **changes), HIGH: held(4000, **changes)}, Asked(50_000.0, 12e-6, 0.5))


def test_what_was_found_is_kept_and_what_failed_is_told(lab: Lab) -> None:
    """One variant's void trial takes nothing from the others."""
    seen = {
        ("c-epoll", "engine"): found(),
        ("c-epoll", "locust"): found(load=10_000.0),
        ("go-nethttp", "engine"): _Seen(trouble="worker gone"),
        ("c-threads", "engine"): found(each=9000.0, kernel=20_000.0),
    }

    done = _keep(lab, seen)  # type: ignore[arg-type]  # literal keys
    kept = read_calibration(lab.root / ".lab")

    assert kept is not None
    assert {"c-epoll", "c-threads"} == set(kept.variants)
    assert pytest.approx(9000.0) == kept.variants["c-threads"].user_bytes
    assert pytest.approx(10_000.0) == kept.generators["locust"].user_bytes
    assert pytest.approx(1500.0) == kept.generators["engine"].kernel_bytes  # the loop's end, not the thread's
    assert {"go-nethttp": "worker gone"} == done.failed


def test_nothing_found_keeps_what_was_known(lab: Lab) -> None:
    """The earlier file stays as it was, and the reasons are told."""
    _keep(lab, {("c-epoll", "engine"): found()})
    before = (lab.root / ".lab" / "calibration.json").read_bytes()

    with pytest.raises(Undecided, match=r"c-epoll: worker gone\. Try again"):
        _keep(lab, {("c-epoll", "engine"): _Seen(trouble="worker gone")})

    assert before == (lab.root / ".lab" / "calibration.json").read_bytes()
