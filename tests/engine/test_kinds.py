"""Each kind of load once in earnest: what was planned, sent, opened, answered and released adds up on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.conftest import LabFile

SCENARIOS: dict[str, Any] = {
    # A delay sets the rate, so that both kinds of users have the same figures to find on a busy machine too.
    "closed-engine": {
        "summary": "closed loops of the engine", "kind": "closed", "connections": 40, "delay": "100ms",
        "warmup": "500ms", "measure": "2s", "timeout": "5s", "users": "engine",
    },
    "closed-locust": {
        "summary": "closed loops of Locust users", "kind": "closed", "connections": 40, "delay": "100ms",
        "warmup": "500ms", "measure": "2s", "timeout": "5s", "users": "locust",
    },
    "open": {
        "summary": "arrivals by the clock", "kind": "open", "path": "/plain", "connections": 100, "rate": "500/s",
        "arrivals": "constant", "warmup": "500ms", "measure": "2s", "timeout": "5s",
    },
    "poisson": {
        "summary": "arrivals by chance", "kind": "open", "path": "/plain", "connections": 100, "rate": "500/s",
        "arrivals": "poisson", "warmup": "500ms", "measure": "2s", "timeout": "5s",
    },
    "storm": {
        "summary": "bursts", "kind": "storm", "path": "/plain", "connections": 200, "every": "1s", "measure": "2s",
        "warmup": "500ms", "timeout": "5s",
    },
    "ramp": {
        "summary": "arrivals, faster and faster", "kind": "ramp", "path": "/plain", "connections": 100, "timeout": "5s",
        "ramp": {
            "of": "rate", "first": "200/s", "last": "800/s", "factor": 2, "step": "1s", "settle": "500ms",
            "most_p99": "2s",
        },
    },
    "hold-engine": {
        "summary": "held by the engine", "kind": "hold", "connections": 500, "delay": "3s", "timeout": "5s",
        "users": "engine",
    },
    "hold-locust": {
        "summary": "held by Locust users", "kind": "hold", "connections": 500, "delay": "3s", "timeout": "5s",
        "users": "locust",
    },
    "release": {
        "summary": "held until released", "kind": "hold", "connections": 700, "answer": "release", "timeout": "5s",
    },
}  # fmt: skip
KINDS = [name for name in SCENARIOS if name != "release"]
SUITES = {
    "kinds": {
        "summary": "every kind of load", "scenarios": KINDS, "variants": ["c-epoll"], "trials": 1,
        "profile": "default", "seed": 1,
    },
    "several": {
        "summary": "several processes on both sides", "scenarios": ["release"], "variants": ["c-epoll", "go-nethttp"],
        "trials": 1, "profile": "narrow", "seed": 1,
    },
}  # fmt: skip
# So few descriptors that 700 connections need three processes of either side.
NARROW = {"summary": "few descriptors", "nofile": 400, "sysctls": {"net.core.somaxconn": 4096}, "best_effort": True}


@pytest.fixture(scope="module")
def lab(make_lab: Any) -> LabFile:
    made: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES, profiles={"narrow": NARROW})
    return made


@pytest.fixture(scope="module")
def trials(lab: LabFile) -> dict[str, dict[str, Any]]:
    """The trials of every kind, by scenario."""
    lab.run("run", "kinds", timeout_s=900)
    return {t["scenario"]: t for t in lab.show()["trials"]}


def test_no_kind_is_void_and_each_has_the_users_it_asked_for(trials: dict[str, dict[str, Any]]) -> None:
    """Every rule of validity holds on a sound server; only two scenarios wanted Locust users."""
    assert set(KINDS) == set(trials)
    assert {} == {name: t["void"] for name, t in trials.items() if t["void"] is not None}
    assert {"closed-locust", "hold-locust"} == {name for name, t in trials.items() if t["users"] == "locust"}
    assert {} == {name: t["metrics"]["errors"] for name, t in trials.items() if t["metrics"]["errors"]}


def test_closed_loops_of_both_kinds_of_users_give_the_same_figures(trials: dict[str, dict[str, Any]]) -> None:
    """40 connections and answers 100 ms late: as many answers, as late, from the engine as from Locust's users."""
    engine, locust = (trials[f"closed-{who}"]["metrics"] for who in ("engine", "locust"))

    assert pytest.approx(engine["throughput_per_s"], rel=0.15) == locust["throughput_per_s"]
    assert pytest.approx(engine["p50_s"], rel=0.15) == locust["p50_s"]
    assert 0.1 <= engine["p50_s"] and 0.1 <= locust["p50_s"]
    assert (40, 40) == (engine["connections_held"], locust["connections_held"])
    for name in ("closed-engine", "closed-locust"):
        assert "closed loop" in trials[name]["notes"]


@pytest.mark.parametrize("name", ["open", "poisson"])
def test_an_open_load_plans_by_the_clock_and_accounts_for_each_arrival(
    trials: dict[str, dict[str, Any]], name: str
) -> None:
    """500/s for 2 s are 1,000 by the clock, about as many by chance; each was sent and answered."""
    metrics = trials[name]["metrics"]

    assert pytest.approx(1000, abs=1 if name == "open" else 200) == metrics["planned"]
    assert metrics["planned"] == metrics["sent"] + metrics["dropped"]
    assert metrics["requests"] == metrics["sent"]
    assert 0 <= metrics["lag_p99_s"]
    assert "closed loop" not in trials[name]["notes"]


def test_a_storm_connects_in_bursts_and_each_connect_has_its_outcome(trials: dict[str, dict[str, Any]]) -> None:
    """Two bursts of 200 lie in a window of 2 s."""
    metrics = trials["storm"]["metrics"]

    assert (400, 400, 400) == (metrics["planned"], metrics["sent"], metrics["requests"])
    assert (400, 400, 0) == tuple(metrics[f"connections_{k}"] for k in ("requested", "held", "failed"))


def test_a_ramp_goes_up_in_steps_until_something_binds(trials: dict[str, dict[str, Any]]) -> None:
    """Three steps of doubled rate that a sound server answers in full."""
    trial = trials["ramp"]

    assert [200, 400, 800] == [step["offered"] for step in trial["steps"]]
    assert (800, "nothing up to 800") == (trial["metrics"]["breaking_point"], trial["bound_by"])
    for step in trial["steps"]:
        assert pytest.approx(step["offered"], rel=0.1) == step["answered_per_s"]
        assert (0, "") == (step["errors_ratio"], step["binds"])


def test_holds_of_both_kinds_of_users_give_the_same_figures(trials: dict[str, dict[str, Any]]) -> None:
    """500 held for 3 s: all open, all answered, counted by server and kernel alike, or the trials were void."""
    for who in ("engine", "locust"):
        metrics = trials[f"hold-{who}"]["metrics"]
        assert (500, 500, 0) == tuple(metrics[f"connections_{k}"] for k in ("requested", "held", "failed")), who
        assert 3.0 <= metrics["p50_s"] <= metrics["p999_s"], who
        assert 0 < metrics["established_s"] < 3.0, who
        assert metrics["generator_memory_bytes"] > 0, who
    engine, locust = (trials[f"hold-{who}"]["metrics"] for who in ("engine", "locust"))
    assert pytest.approx(engine["memory_bytes_per_connection"], rel=0.3) == locust["memory_bytes_per_connection"]


def test_several_processes_share_a_hold_and_all_of_them_release(lab: LabFile) -> None:
    """700 connections over three servers and two or more workers, let go at once; no answer before the release."""
    done = lab.run("run", "several", timeout_s=300)
    trials = lab.show()["trials"]

    assert {"c-epoll", "go-nethttp"} == {t["variant"] for t in trials}
    for trial in trials:
        metrics = trial["metrics"]
        assert trial["void"] is None, trial["void"]
        assert trial["server_processes"] >= 2
        assert trial["workers"] >= 2
        assert (700, 700, 0) == tuple(metrics[f"connections_{k}"] for k in ("requested", "held", "failed"))
        assert {} == metrics["errors"]
    assert "700/700" in done.stdout


def test_one_pairing_can_be_run_alone(lab: LabFile) -> None:
    """SCENARIO@VARIANT, with its table."""
    done = lab.run("run", "storm@go-nethttp", timeout_s=300)
    (trial,) = lab.show()["trials"]

    assert ("storm", "go-nethttp", None) == (trial["scenario"], trial["variant"], trial["void"])
    assert "400/400" in done.stdout
