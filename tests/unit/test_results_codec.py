"""Model values survive JSON exactly."""

import json
from pathlib import Path

import pytest

from orchestrator.model import Bound, LeftOut, Metrics, Plan, ReadBack, Step, TrialResult, TrialSpec
from orchestrator.results.codec import Undecodable, dump, encode, load_mapping, load_plan, load_trial

BOUNDS = (
    Bound("server descriptors", 19_936.0, "20,000 - 64", "a higher nofile", "container"),
    Bound("backlog", None, "the engine opens no faster", "", "lab", calibrated=False),
)
SPEC = TrialSpec(
    3, 1, "c-epoll", "ramp", "ramp", "default", 2, 1, "nofile 1024", "engine", "net.core.somaxconn=128", BOUNDS
)
STEPS = (
    Step(50.0, 12_000.5, 0.0003, 0.009, 0.0, 50, 0.91, ""),
    Step(75.0, 0.0, None, None, 1.0, 0, 0.2, "errors"),
)
TRIAL = TrialResult(
    spec=SPEC,
    void="only 1 of 2 workers",
    metrics=Metrics(throughput_per_s=0.1 + 0.2, p50_s=5e-324, requests=3, errors={"ECONNRESET in receive": 2}),
    missing={"p99_s": "µs clock “lost”"},
    histogram_us={312: 4, 7: 1, 10**9: 2},
    read_backs=(ReadBack("nofile", "server", "65536", "1024"),),
    notes=("closed loop", "a\nb"),
    started_at="2026-11-23T08:20:36Z",
    loaded_s=8.25,
    overhead_s=4.0,
    steps=STEPS,
    bound_by="errors",
    counters={"ListenOverflows": 12.0},
)
PLAN = Plan("quick", 7, (SPEC,), (LeftOut("seed-c", "plain", "speaks raw"),))


def test_trial_round_trip_is_exact() -> None:
    """Floats, integer keys, tuples and None come back as they went."""
    assert TRIAL == load_trial(dump(TRIAL))


def test_trial_with_nothing_measured_round_trips() -> None:
    """All defaults stay None and empty."""
    bare = TrialResult(SPEC, None, Metrics(), {}, {}, (), (), "", 0.0, 0.0)

    assert bare == load_trial(dump(bare))


def test_plan_round_trip_is_exact() -> None:
    """Trials and left-out pairings come back in order."""
    assert PLAN == load_plan(dump(PLAN))


def test_fields_of_a_later_lab_are_passed_over() -> None:
    """Unknown keys at every depth change nothing."""
    document = json.loads(dump(TRIAL))
    document["new"] = document["spec"]["new"] = document["metrics"]["new"] = document["read_backs"][0]["new"] = [1]
    document["steps"][0]["new"] = document["spec"]["bounds"][1]["new"] = {}

    assert TRIAL == load_trial(json.dumps(document))


def test_metric_of_a_later_lab_is_none_in_an_older_document() -> None:
    """A field with a default may be absent."""
    document = json.loads(dump(TRIAL))
    del document["metrics"]["threads_peak"]

    assert load_trial(json.dumps(document)).metrics.threads_peak is None


def test_trial_kept_by_an_earlier_lab_is_still_read() -> None:
    """Before ramps there were no steps, no counters and no bounds."""
    document = json.loads(dump(TRIAL))
    del document["steps"], document["bound_by"], document["counters"]
    del document["spec"]["users"], document["spec"]["reverted"], document["spec"]["bounds"]
    trial = load_trial(json.dumps(document))

    assert ((), "", {}) == (trial.steps, trial.bound_by, trial.counters)
    assert ("locust", "", ()) == (trial.spec.users, trial.spec.reverted, trial.spec.bounds)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not JSON"),
        ("[]", "TrialResult: expected an object, found list"),
        ("{}", "TrialResult lacks 'spec'"),
        ('{"spec": 3}', "TrialSpec: expected an object, found int"),
        (dump(TRIAL).replace('{"312"', '{"x"'), "histogram_us"),
        (dump(TRIAL).replace('"read_backs":[', '"read_backs":7,"x":['), "read_backs"),
        (dump(TRIAL).replace('"bounds":[', '"bounds":[3,'), "Bound: expected an object, found int"),
        (dump(TRIAL).replace('"offered":50.0,', ""), "Step lacks 'offered'"),
        (dump(TRIAL).replace('"offered":50.0', '"offered":NaN'), "NaN is no number"),
        (dump(TRIAL).replace('"offered":50.0', '"offered":-Infinity'), "-Infinity is no number"),
        (dump(TRIAL).replace('"offered":50.0', '"offered":1e999'), "1e999 is no number"),
        (dump(TRIAL).replace('{"312":4', '{"312":1e999'), "1e999 is no number"),
        (dump(TRIAL).replace('"ListenOverflows":12.0', f'"ListenOverflows":{10**400}'), "TrialResult.counters"),
        (dump(TRIAL).replace('"ECONNRESET in receive":2', '"ECONNRESET in receive":"x"'), "Metrics.errors"),
        (dump(TRIAL).replace('"ListenOverflows":12.0', '"ListenOverflows":null'), "TrialResult.counters"),
    ],
)
def test_damaged_document_says_where(text: str, expected: str) -> None:
    """Whatever is wrong, it is Undecodable with the place and no other exception."""
    with pytest.raises(Undecodable, match=expected.replace("[", r"\[")):
        load_trial(text)


def test_host_facts_must_be_an_object() -> None:
    """A list where facts belong is refused; facts come back."""
    with pytest.raises(Undecodable, match="found list"):
        load_mapping("[]")

    assert {"cpus": 2, "engine": {"version": "26.1"}} == load_mapping(dump({"cpus": 2, "engine": {"version": "26.1"}}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_a_number_is_never_stored(value: float) -> None:
    """A failure must be None with a reason and not NaN."""
    with pytest.raises(ValueError, match="JSON"):
        dump(Metrics(p50_s=value))


def test_value_without_json_form_is_refused() -> None:
    """A path in the host facts is named instead of turned into something."""
    with pytest.raises(TypeError, match="Path"):
        encode({"file": Path("/x")})
