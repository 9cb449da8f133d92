"""Scenarios of each kind: what their keys become, and what contradicts a kind in one friendly line."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.kinds import count_steps
from orchestrator.config.load import load_lab
from orchestrator.errors import BadInput
from orchestrator.model import Ramp, Scenario
from tests.unit.lab_files import write_manifest

LAB = """\
profiles:
  default: {{nofile: 4096, sysctls: {{net.core.somaxconn: 4096, net.ipv4.tcp_retries2: 8}}{profile}}}
scenarios:
  it: {{{scenario}}}
suites:
  quick: {{scenarios: [it], variants: all, trials: 1{suite}}}
"""


def write(folder: Path, scenario: str = "", suite: str = "", profile: str = "") -> Path:
    """Write a lab whose one scenario, suite or profile has the keys given, and one variant beside it."""
    write_manifest(folder / "servers" / "c-epoll")
    scenario = scenario or "kind: closed, connections: 5, measure: 6s"
    text = LAB.format(scenario=scenario, suite=suite and f", {suite}", profile=profile and f", {profile}")
    (folder / "lab.yaml").write_text(text, encoding="utf-8")
    return folder / "lab.yaml"


def scenario_of(folder: Path, text: str) -> Scenario:
    """Return what a scenario's keys become."""
    return load_lab(write(folder, text)).scenarios["it"]


def complaint_about(path: Path) -> str:
    """Return the BadInput's text behind the file's name."""
    with pytest.raises(BadInput) as caught:
        load_lab(path)
    return str(caught.value).removeprefix(str(path))


def test_open_has_a_rate_a_pool_and_a_warm_up(tmp_path: Path) -> None:
    """Arrivals are constant unless said, per second whatever the unit written."""
    seen = scenario_of(tmp_path, "kind: open, connections: 200, rate: 6000/m, measure: 10s")

    assert ("open", "/plain", 200, 100.0, "constant", 2.0, 10.0, "auto") == (
        seen.kind,
        seen.path,
        seen.connections,
        seen.rate_per_s,
        seen.arrivals,
        seen.warmup_s,
        seen.measure_s,
        seen.users,
    )


def test_poisson_arrivals_and_who_loads_are_kept(tmp_path: Path) -> None:
    """Both words arrive as written."""
    seen = scenario_of(
        tmp_path, "kind: open, connections: 2, rate: 5/s, measure: 1s, arrivals: poisson, users: engine, sources: 1"
    )

    assert ("poisson", "engine", 1) == (seen.arrivals, seen.users, seen.sources)


def test_closed_with_a_delay_asks_for_late_answers(tmp_path: Path) -> None:
    """A delay chooses the path, so that it need not be written."""
    seen = scenario_of(tmp_path, "kind: closed, connections: 9, delay: 10s, measure: 20s")

    assert ("/delay", 10.0) == (seen.path, seen.delay_s)


def test_hold_on_release_needs_no_delay(tmp_path: Path) -> None:
    """Its path is the one that waits for POST /release."""
    seen = scenario_of(tmp_path, "kind: hold, connections: 9, answer: release")

    assert ("/hold", 0.0, "release") == (seen.path, seen.delay_s, seen.answer)


def test_storm_bursts_at_an_interval_without_warm_up(tmp_path: Path) -> None:
    """A burst meets a server that rests."""
    seen = scenario_of(tmp_path, "kind: storm, connections: 1000, every: 2s, measure: 6s")

    assert ("storm", 1000, 2.0, 6.0, 0.0) == (
        seen.kind,
        seen.connections,
        seen.every_s,
        seen.measure_s,
        seen.warmup_s,
    )


def test_ramp_of_connections_has_its_last_step_as_connections(tmp_path: Path) -> None:
    """Processes are counted for the highest step."""
    seen = scenario_of(tmp_path, "kind: ramp, ramp: {of: connections, first: 50, last: 5000, most_p99: 100ms}")

    assert 5000 == seen.connections
    assert Ramp("connections", 50.0, 5000.0, 1.5, 3.0, 1.0, 0.01, 0.1) == seen.ramp


def test_ramp_of_the_rate_has_a_pool(tmp_path: Path) -> None:
    """Its steps are rates, its connections the pool."""
    seen = scenario_of(
        tmp_path,
        "kind: ramp, connections: 300, arrivals: poisson, ramp: {of: rate, first: 100/s, last: 60000/m, factor: 2, "
        "step: 2s, settle: 500ms, most_errors_ratio: 0.5, most_p99: 1s}",
    )

    assert (300, "poisson") == (seen.connections, seen.arrivals)
    assert Ramp("rate", 100.0, 1000.0, 2.0, 2.0, 0.5, 0.5, 1.0) == seen.ramp


CLOSED = "kind: closed, connections: 5, measure: 6s"
OPEN = "kind: open, connections: 5, rate: 10/s, measure: 6s"
HOLD = "kind: hold, connections: 5, delay: 2s"
STORM = "kind: storm, connections: 5, every: 2s, measure: 6s"


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (
            OPEN + ", users: locust",
            ":4 scenarios.it.users: a Python user cannot keep the schedule of an open scenario; write 'users: engine'",
        ),
        (STORM + ", users: locust", ":4 scenarios.it.users: a Python user cannot keep the schedule of a storm"),
        (
            "kind: ramp, users: locust, ramp: {of: connections, first: 5, last: 9, most_p99: 1s}",
            ":4 scenarios.it.users: a Python user cannot keep the schedule of a ramp scenario",
        ),
        (
            CLOSED + ", users: 50",
            ":4 scenarios.it.users: expected who loads ('locust', 'engine' or 'auto'), saw 50; write 'connections: 50'",
        ),
        (CLOSED + ", users: wrk", ":4 scenarios.it.users: expected 'locust', 'engine' or 'auto', saw 'wrk'; write"),
        (
            CLOSED + ", rate: 10/s",
            ":4 scenarios.it.rate: expected only in an open scenario; remove it, or write 'kind: open'",
        ),
        (HOLD + ", arrivals: poisson", ":4 scenarios.it.arrivals: expected only in an open or ramp scenario; remove"),
        (CLOSED + ", answer: release", ":4 scenarios.it.answer: expected only in a hold scenario; remove it, or"),
        (OPEN + ", every: 2s", ":4 scenarios.it.every: expected only in a storm scenario; remove it, or write"),
        (CLOSED + ", ramp: {of: rate, first: 1/s, last: 9/s, most_p99: 1s}", ":4 scenarios.it.ramp: expected only in"),
        (
            "kind: open, connections: 5, measure: 6s",
            ":4 scenarios.it.rate: missing; an open scenario needs it: write 'rate: 1000/s'",
        ),
        (
            "kind: open, rate: 5/s, measure: 6s",
            ":4 scenarios.it.connections: missing; an open scenario needs it: write 'connections: 200'",
        ),
        (OPEN.replace("10/s", "10"), ":4 scenarios.it.rate: expected a rate, saw 10; write it as in '10/s'"),
        (OPEN.replace("10/s", "10/d"), ":4 scenarios.it.rate: '10/d' has the unknown unit '/d'; write /s, /m or /h"),
        (OPEN.replace("10/s", "0/s"), ":4 scenarios.it.rate: expected more than 0 and at most 100000000/s, saw '0/s'"),
        (
            "kind: storm, connections: 5, measure: 6s",
            ":4 scenarios.it.every: missing; a storm scenario needs it: write 'every: 2s'",
        ),
        (
            STORM.replace("6s", "1s"),
            ":4 scenarios.it.measure: expected at least one interval between bursts, 2 s, saw 1 s; write 'measure: 6s'",
        ),
        ("kind: ramp", ":4 scenarios.it.ramp: missing; a ramp scenario needs it: write 'ramp: {of: connections"),
        (
            "kind: ramp, ramp: {of: rate, first: 1/s, last: 9/s, most_p99: 1s}",
            ":4 scenarios.it.connections: missing; a ramp of the rate needs a pool: write 'connections: 200'",
        ),
        (
            "kind: ramp, connections: 9, ramp: {of: connections, first: 1, last: 9, most_p99: 1s}",
            ":4 scenarios.it.connections: a ramp of connections sets it by its steps; remove it, or write 'of: rate'",
        ),
        (
            "kind: ramp, ramp: {of: connections, first: 1/s, last: 9, most_p99: 1s}",
            ":4 scenarios.it.ramp.first: expected connections, as 'of' says, saw a rate; write it as in '50'",
        ),
        (
            "kind: ramp, connections: 9, ramp: {of: rate, first: 1/s, last: 9, most_p99: 1s}",
            ":4 scenarios.it.ramp.last: expected rate, as 'of' says, saw connections; write it as in '1000/s'",
        ),
        (
            "kind: ramp, ramp: {of: connections, first: 9, last: 9, most_p99: 1s}",
            ":4 scenarios.it.ramp.last: expected more than the first step's 9, saw 9; write a higher one",
        ),
        (
            "kind: ramp, ramp: {of: connections, first: 1, last: 9000, factor: 1.01, most_p99: 1s}",
            ":4 scenarios.it.ramp.factor: 917 steps from 1 to 9000; at most 100: write a larger factor",
        ),
        (
            "kind: ramp, ramp: {of: connections, first: 1, last: 9, factor: 1, most_p99: 1s}",
            ":4 scenarios.it.ramp.factor: expected a factor from 1.01 to 10, saw 1; write it as in 1.5",
        ),
        (
            "kind: ramp, ramp: {of: connections, first: 1, last: 9}",
            ":4 scenarios.it.ramp.most_p99: missing; write 'most_p99: 100ms'",
        ),
        (
            "kind: ramp, ramp: {of: connections, first: 0, last: 9, most_p99: 1s}",
            ":4 scenarios.it.ramp.first: expected 1 to 10,000,000 connections, saw 0; write it as in 50",
        ),
        (
            "kind: ramp, ramp: {of: connections, first: 1, last: 9, most_p99: 1s, most_errors_ratio: 2}",
            ":4 scenarios.it.ramp.most_errors_ratio: expected a share from 0 to 1, saw 2; write it as in 0.01",
        ),
        (
            "kind: ramp, measure: 5s, ramp: {of: connections, first: 1, last: 9, most_p99: 1s}",
            ":4 scenarios.it.measure: each step of a ramp has its own; remove it, and write 'step' under 'ramp'",
        ),
        (
            HOLD + ", answer: release",
            ":4 scenarios.it.delay: expected no delay where the answer comes on release; remove it",
        ),
        (HOLD + ", path: /plain", ":4 scenarios.it.path: expected '/delay' in a hold scenario, saw '/plain'; remove"),
        (
            CLOSED + ", delay: 2s, path: /plain",
            ":4 scenarios.it.path: expected '/delay' beside a delay, saw '/plain'; remove it, or remove 'delay'",
        ),
        (
            CLOSED + ", users: locust, sources: 1",
            ":4 scenarios.it.sources: only the engine shares source addresses; remove it, or write 'users: engine'",
        ),
        (CLOSED + ", sources: 0", ":4 scenarios.it.sources: expected at least 1, saw 0; write 1 or more"),
    ],
)
def test_a_contradiction_is_one_line_that_says_what_to_write(tmp_path: Path, scenario: str, expected: str) -> None:
    """Line, path, what was expected or seen, and the way out."""
    complaint = complaint_about(write(tmp_path, scenario))

    assert expected == complaint[: len(expected)]
    assert complaint.isprintable()


@pytest.mark.parametrize(
    ("first", "last", "factor", "steps"),
    [(50, 100, 2, 2), (50, 101, 2, 3), (1, 1024, 2, 11), (100, 150, 1.5, 2), (5, 6, 10, 2)],
)
def test_steps_of_a_ramp_are_counted_exactly(first: float, last: float, factor: float, steps: int) -> None:
    """The last step is `last`, also where the factor would jump over it."""
    assert steps == count_steps(first, last, factor)


def test_host_settings_and_reverts_arrive(tmp_path: Path) -> None:
    """A revert without a value has the kernel's default; with one, that."""
    suite = 'reverts: [net.core.somaxconn, "nofile = 512"]'
    lab = load_lab(write(tmp_path, suite=suite, profile="host: {fs.nr_open: 2000000}"))

    assert ("net.core.somaxconn=128", "nofile=512") == lab.suites["quick"].reverts
    assert {"fs.nr_open": "2000000"} == lab.profiles["default"].host


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"profile": "host: {net.core.somaxconn: 1}"},
            ":2 profiles.default.host.net.core.somaxconn: belongs to a network namespace, not to the host; write it "
            "under 'sysctls:'",
        ),
        (
            {"profile": "host: {fs.nr_opn: 1}"},
            ":2 profiles.default.host.fs.nr_opn: is not a limit that lab tune sets; write 'fs.nr_open'",
        ),
        (
            {"profile": "host: {kernel.core_pattern: x}"},
            ":2 profiles.default.host.kernel.core_pattern: is not a limit that lab tune sets; write",
        ),
        (
            {"suite": "reverts: [net.ipv4.tcp_tw_reuse]"},
            ":6 suites.quick.reverts[0]: profile default does not set net.ipv4.tcp_tw_reuse; write",
        ),
        (
            {"suite": "reverts: [net.ipv4.tcp_retries2]"},
            ":6 suites.quick.reverts[0]: net.ipv4.tcp_retries2 has no default of its own; write a value",
        ),
        (
            {"suite": "reverts: [net.core.somaxconn=4096]"},
            ":6 suites.quick.reverts[0]: net.core.somaxconn=4096 is what profile default has; write another",
        ),
        (
            {"suite": "reverts: [nofile, nofile=1024]"},
            ":6 suites.quick.reverts[1]: nofile=1024 is named twice; write it once",
        ),
        ({"suite": "reverts: [nofile=12]"}, ":6 suites.quick.reverts[0]: expected 256 or more descriptors, saw '12'"),
        ({"suite": "reverts: [somaxconn]"}, ":6 suites.quick.reverts[0]: 'somaxconn' is not a sysctl known to"),
    ],
)
def test_what_cannot_be_tuned_or_reverted_is_named(tmp_path: Path, part: dict[str, str], expected: str) -> None:
    """A lab file reconfigures no machine at large, and reverts only what its profile sets."""
    complaint = complaint_about(write(tmp_path, **part))

    assert expected == complaint[: len(expected)]
