"""`lab plan`, and the plans that `lab run` refuses before the engine is asked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator import errors
from orchestrator.config.load import load_lab
from orchestrator.planning.control import with_control
from orchestrator.planning.plan import make_plan
from orchestrator.report import figures
from orchestrator.report.remaining import loaded_s
from orchestrator.results.codec import encode
from tests.unit.lab_command import BROKEN, ROOT, SOUND, Command, Done, files_here, lab, raising, words
from tests.unit.lab_files import write_lab, write_manifest

__all__ = ["lab"]  # pytest finds the fixture by this name


def test_plan_quick_names_what_is_left_out_and_why(lab: Command) -> None:
    """The seeds have no answer at once; the other trials remain; nothing is touched."""
    done = lab("--file", str(ROOT / "lab.yaml"), "plan", "quick")
    trials, _, left_out = done.out.partition("Left out: 4")

    assert (0, "", "Plan of suite quick: 28 trials, seed 1,") == (done.code, done.err, done.out[:39])
    assert [str(n) for n in range(1, 29)] == re.findall(r"^(\d+) ", trials, re.MULTILINE)
    assert [
        "variant scenario reason",
        "seed-go plain knows one answer only, after a fixed delay; plain asks for /plain at once",
        "seed-c plain speaks the raw line protocol; plain asks for HTTP /plain",
        "seed-go open-quick knows one answer only, after a fixed delay; open-quick asks for /plain at once",
        "seed-c open-quick speaks the raw line protocol; open-quick asks for HTTP /plain",
    ] == [words(line) for line in left_out.splitlines() if line.strip()]
    assert (False, ["s"]) == (lab.engine_was_called, files_here())


def _without(document: Any, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a plan's trials but for what depends on the machine."""
    return [{key: value for key, value in trial.items() if key not in keys} for trial in document["trials"]]


def test_plan_as_json_is_the_plan(lab: Command) -> None:
    """The whole of it, and beside it what limits the trials on this machine."""
    file = ROOT / "lab.yaml"
    done = lab("--file", str(file), "plan", "quick", "--json")
    document = json.loads(done.out)

    assert (0, "") == (done.code, done.err)
    bare = encode(make_plan(load_lab(file), "quick", nofile_granted=None))
    foreseen = ("bounds", "predicted", "limit", "binds", "server_processes", "workers", "why_processes")
    assert _without(bare, foreseen) == _without(document, foreseen)
    assert {"server descriptors", "source ports", "memory", "conntrack", "generator CPU"} <= {
        bound["name"] for bound in document["trials"][0]["bounds"]
    }
    assert ("quick", 28, ["seed-go", "seed-c"] * 2) == (
        document["suite"],
        len(document["trials"]),
        [out["variant"] for out in document["left_out"]],
    )


def test_the_nightlys_suite_is_planned_with_its_control(lab: Command) -> None:
    """Its trials, in the order of the night, are counted and timed; another suite has none."""
    file = ROOT / "lab.yaml"
    read = load_lab(file)
    assert read.nightly is not None
    both = with_control(read, "nightly", read.nightly.control)
    trials = make_plan(both, "nightly", nofile_granted=None).trials
    own = [spec for spec in trials if spec.variant == "c-epoll~control"]
    every, added = (sum(loaded_s(read.scenarios[spec.scenario]) for spec in some) for some in (trials, own))
    drawn = lab("--file", str(file), "plan", "nightly").out
    night, quick = (json.loads(lab("--file", str(file), "plan", name, "--json").out) for name in ("nightly", "quick"))

    title = f"Plan of suite nightly: {len(trials)} trials, seed 1, {figures.long_duration(every)} under load"
    assert title == drawn.splitlines()[0].strip()
    assert [(t.variant, t.scenario) for t in trials] == [(t["variant"], t["scenario"]) for t in night["trials"]]
    said = "c-epoll~control is c-epoll once more, the A/A control of lab nightly: "
    assert f"{said}{len(own)} of these trials, {figures.long_duration(added)} of the time under load" in words(drawn)
    assert (["c-epoll~control"], []) == (night["controls"], quick["controls"])
    assert len(trials) == len(read.suites["nightly"].variants) * len(own) + len(own)


def test_an_unknown_suite_is_refused_with_the_known_ones(lab: Command) -> None:
    """`plan` says what to write."""
    done = lab("--file", SOUND, "plan", "quik")

    assert Done(2, "", f"lab: {SOUND}: 'quik' is not a suite; write one of: quick\n") == done


def test_an_unknown_suite_is_not_run(lab: Command) -> None:
    """Neither lock nor engine is touched before the name is known."""
    done = lab("--file", SOUND, "run", "quik")

    assert Done(2, "", f"lab: {SOUND}: no suite 'quik'; known: quick\n") == done
    assert (False, False) == (lab.engine_was_called, (BROKEN / ".lab").exists())


def test_a_plan_that_cannot_work_is_refused_before_the_engine_is_asked(lab: Command, tmp_path: Path) -> None:
    """40,000 connections from one address, with 28,232 ports: exit code 2, constraint and fix, nothing written."""
    write_lab(
        tmp_path / "lab",
        "c-epoll",
        text="profiles: {default: {nofile: 65536}}\n"
        "scenarios: {hold: {kind: hold, connections: 40000, delay: 60s, sources: 1}}\n"
        "suites: {quick: {scenarios: [hold], variants: all, trials: 1}}\n",
    )
    file = str(tmp_path / "lab" / "lab.yaml")
    done = lab("--file", file, "run", "quick")
    planned = lab("--file", file, "plan", "quick")

    assert (2, "", False) == (done.code, done.out, lab.engine_was_called)
    assert "c-epoll on hold: 40,000 connections wanted, but source ports allow at most 28,232 (1 source" in done.err
    assert "Fix (container): more 'sources' in the scenario" in done.err
    assert not (tmp_path / "lab" / ".lab").exists()
    assert (0, True) == (planned.code, "source ports: impossible" in words(planned.out))


def test_a_plan_without_a_trial_is_refused_before_the_engine_is_asked(
    lab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 connections, 1,024 descriptors, one process: constraint, figures, fix; --attempt goes on to the engine."""
    folder = tmp_path / "lab"
    text = (
        "profiles: {default: {nofile: 1024}}\n"
        "scenarios: {hold: {kind: hold, connections: 2000, delay: 60s}}\n"
        "suites: {quick: {scenarios: [hold], variants: all, trials: 1}}\n"
    )
    write_manifest(folder / "servers" / "alone", processes='"one"')
    file = str(write_lab(folder, text=text))
    done = lab("--file", file, "run", "quick")
    refused_early = (done.code, done.out, lab.engine_was_called, (folder / ".lab").exists())
    monkeypatch.setattr("orchestrator.run.lay_ground", raising(errors.EnvironmentMissing("no engine")))
    tried = lab("--file", file, "run", "quick", "--attempt")

    assert (2, "", False, False) == refused_early
    assert "alone on hold needs 2,064 descriptors in one process; profile default allows 1,024." in done.err
    assert "Fix: a higher nofile in profile default." in done.err
    assert (3, "lab: no engine") == (tried.code, tried.err.strip())


def test_a_plan_extrapolates_to_more_hosts(lab: Command) -> None:
    """Numbers that nobody tested are labelled."""
    done = lab("--file", str(ROOT / "lab.yaml"), "plan", "c100k", "--hosts", "10")

    assert 0 == done.code
    assert "10 hosts of this kind" in done.out
    assert "extrapolated, untested" in words(done.out)
