"""Plans with what this machine's files tell: granted limits, calibrations, and what runs held so far."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from orchestrator.foresee import foresee, largest_held, plan_here
from orchestrator.hosts.calibration import keep_calibration
from orchestrator.hosts.limits import keep_granted, read_limits
from orchestrator.model import Lab, Metrics, TrialResult
from orchestrator.planning.costs import Calibration, EndCost, GeneratorCost
from orchestrator.planning.hostlimits import ContainerLimits
from orchestrator.results.store import open_store
from tests.unit.lab_files import write_lab

TEXT = """\
profiles:
  default: {nofile: 65536}
scenarios:
  hold: {kind: hold, connections: 30000, delay: 60s}
  plain: {kind: closed, connections: 5, measure: 1s}
suites:
  quick: {scenarios: [hold, plain], variants: all, trials: 1}
"""
ENGINE = GeneratorCost(700.0, 3_800.0, 4e7, 25_000.0, 150_000.0)


def make_lab(folder: Path) -> Lab:
    """Return a lab of one variant, 30,000 held and a closed loop, in a folder of its own."""
    return load_lab(write_lab(folder, "c-epoll", text=TEXT))


def test_a_plan_knows_what_the_engine_granted_last(tmp_path: Path) -> None:
    """Two processes of 20,000 where the profile's 65,536 were refused; one before that is known."""
    lab = make_lab(tmp_path)
    before = [spec.workers for spec in foresee(lab, "quick").plan.trials if spec.kind == "hold"]
    keep_granted(tmp_path / ".lab", nofile=20_000, wanted=65_536, engine="x", container=ContainerLimits())
    after = [spec.workers for spec in foresee(lab, "quick").plan.trials if spec.kind == "hold"]

    assert ([1], [2]) == (before, after)
    assert 3 == next(s.workers for s in plan_here(lab, "quick", nofile_granted=12_000).trials if s.kind == "hold")


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    """Descriptors and costs, each until it was measured; another machine's calibration is not this one's."""
    lab = make_lab(tmp_path)
    bare = foresee(lab, "quick").assumed
    keep_granted(tmp_path / ".lab", nofile=20_000, wanted=65_536, engine="x", container=ContainerLimits())
    here = read_limits(tmp_path / ".lab").fingerprint
    keep_calibration(tmp_path / ".lab", Calibration({**here, "kernel": "5.4"}, {}, {}))
    foreign = foresee(lab, "quick").assumed
    keep_calibration(tmp_path / ".lab", Calibration(here, {"c-epoll": EndCost(50.0, 4_000.0)}, {"engine": ENGINE}))

    assert ["descriptors granted to a container", "costs of a connection"] == [t.partition(":")[0] for t in bare]
    assert ["costs of a connection: the reference's (marked ~); the calibration is another machine's"] == list(foreign)
    assert () == foresee(lab, "quick").assumed


def test_calibrated_costs_reach_bounds_and_predictions(tmp_path: Path) -> None:
    """What was measured here is what the trial is held to."""
    lab = make_lab(tmp_path)
    here = read_limits(tmp_path / ".lab").fingerprint
    keep_calibration(tmp_path / ".lab", Calibration(here, {"c-epoll": EndCost(50.0, 4_000.0)}, {"engine": ENGINE}))
    (spec,) = (spec for spec in plan_here(lab, "quick").trials if spec.kind == "hold")

    assert 4_050.0 == spec.predicted["memory_bytes_per_connection"]
    assert 4e7 + 30_000 * 700 == spec.predicted["generator_memory_bytes"]
    assert next(bound for bound in spec.bounds if bound.name == "memory").calibrated


def test_hosts_are_extrapolated_for_holds_alone_and_with_what_was_held(tmp_path: Path) -> None:
    """The most that a valid trial held counts; a void one does not."""
    lab = make_lab(tmp_path)
    plan = plan_here(lab, "quick")
    (hold,) = (spec for spec in plan.trials if spec.kind == "hold")
    with open_store(tmp_path / "results" / "lab.db") as store:
        store.begin_run("r", "quick", "now", {"kernel": platform.release()}, replace(plan, trials=(hold, hold, hold)))
        for index, (held, void) in enumerate(((9_000, None), (30_000, "a worker was lost"), (8_000, None))):
            spec = replace(hold, index=index)
            metrics = Metrics(connections_held=held)
            store.add_trial("r", TrialResult(spec, void, metrics, {}, {}, (), (), "now", 1.0, 1.0))

    assert {"c-epoll": 9_000} == largest_held(lab)
    (row,) = foresee(lab, "quick", 7).extrapolations
    assert ("c-epoll", "hold", 7, 9_000) == (row.variant, row.scenario, row.hosts, row.measured)
    assert () == foresee(lab, "quick").extrapolations


def test_a_control_holds_what_its_variant_does(tmp_path: Path) -> None:
    """It is planned, and no host more is told of it."""
    lab = load_lab(write_lab(tmp_path, "c-epoll", text=TEXT + "nightly: {suite: quick}\n"))
    found = foresee(lab, "quick", 7)

    assert ["c-epoll", "c-epoll~control"] == sorted({spec.variant for spec in found.plan.trials})
    assert ["c-epoll"] == [row.variant for row in found.extrapolations]


def test_looking_ahead_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, no file, no engine."""
    lab = make_lab(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    before = sorted(tmp_path.rglob("*"))
    foresee(lab, "quick", 10)

    assert before == sorted(tmp_path.rglob("*"))
