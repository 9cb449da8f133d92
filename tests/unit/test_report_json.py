"""The document of `lab show --json`."""

import json
from typing import Any

from orchestrator.model import LeftOut, Metrics, Plan, ReadBack, Run, Step, TrialResult, TrialSpec
from orchestrator.report.asjson import show_document

METRICS = {
    "throughput_per_s",
    "p50_s",
    "p99_s",
    "p999_s",
    "requests",
    "errors",
    "connections_requested",
    "connections_held",
    "connections_failed",
    "threads_peak",
    "memory_bytes",
    "memory_user_bytes",
    "memory_kernel_bytes",
    "memory_socket_bytes",
    "memory_bytes_per_connection",
    "cpu_s_per_10k_requests",
    "context_switches_per_request",
    "established_s",
    "planned",
    "sent",
    "late",
    "dropped",
    "lag_p99_s",
    "breaking_point",
    "generator_memory_bytes",
}


def document(metrics: Metrics, missing: dict[str, str], **changes: Any) -> dict[str, Any]:
    """Show a run of one trial, through JSON text as the command does."""
    spec = TrialSpec(5, 1, "c-epoll", "plain", "closed", "default", 1, 1, "")
    values: dict[str, Any] = {"void": None, "read_backs": (), "notes": ("closed loop",), **changes}
    result = TrialResult(
        spec, metrics=metrics, missing=missing, histogram_us={}, started_at="t", loaded_s=8.0, overhead_s=4.5, **values
    )
    plan = Plan("quick", 7, (spec, spec), (LeftOut("seed-c", "plain", "speaks raw"),))
    run = Run("r1", "quick", "a", None, {"cpus": 2, "set": ("1", "2")}, plan, (result,))
    shown: dict[str, Any] = json.loads(json.dumps(show_document(run), allow_nan=False))
    return shown


def test_document_has_the_documented_shape() -> None:
    """Every key and value of a run with one trial of two."""
    shown = document(Metrics(throughput_per_s=14210.375, requests=3, errors={"timeout": 2}), {})
    trial = shown.pop("trials")

    assert {
        "run_id": "r1",
        "suite": "quick",
        "started_at": "a",
        "finished_at": None,
        "aborted": None,
        "imported_at": None,
        "resumed": [],
        "host": {"cpus": 2, "set": ["1", "2"]},
        "planned_trials": 2,
        "left_out": [{"variant": "seed-c", "scenario": "plain", "reason": "speaks raw"}],
        "timing": {"trials": 1, "loaded_s": 8.0, "overhead_s": 4.5, "overhead_s_per_trial": 4.5},
        "memory": [],
    } == shown
    assert {
        "variant", "scenario", "kind", "trial", "users", "language", "technique",
        "server_processes", "own_processes", "workers", "reverted", "bounds",
        "predictions", "void", "metrics", "missing", "steps", "bound_by", "counters", "probe", "notes",
        "timing",
    } == set(trial[0])  # fmt: skip
    assert ("c-epoll", "plain", 2, None, ["closed loop"]) == tuple(
        trial[0][key] for key in ("variant", "scenario", "trial", "void", "notes")
    )
    assert {"loaded_s": 8.0, "overhead_s": 4.5} == trial[0]["timing"]
    assert METRICS == set(trial[0]["metrics"])
    assert (14210.375, 3, {"timeout": 2}) == tuple(
        trial[0]["metrics"][key] for key in ("throughput_per_s", "requests", "errors")
    )


def test_every_null_metric_has_its_reason() -> None:
    """With nothing measured, all nulls are explained: by the trial, or as the defect "not recorded"."""
    (trial,) = document(Metrics(), {"p50_s": "no right answer", "p99_s": ""})["trials"]
    nulls = {name for name, value in trial["metrics"].items() if value is None}

    assert METRICS - {"errors"} == nulls
    assert dict.fromkeys(nulls, "not recorded") | {"p50_s": "no right answer"} == trial["missing"]


def test_measured_metric_has_no_reason_beside_it() -> None:
    """0 is a measurement; only nulls are explained."""
    (trial,) = document(Metrics(connections_failed=0, throughput_per_s=0.0), {"connections_failed": "stale"})["trials"]

    assert (0, 0.0) == (trial["metrics"]["connections_failed"], trial["metrics"]["throughput_per_s"])
    assert not {"connections_failed", "throughput_per_s"} & set(trial["missing"])


def test_void_trial_keeps_numbers_and_reason() -> None:
    """A void trial is shown with both, and so is a limit that did not take."""
    back = ReadBack("nofile", "server", "65536", "1024")
    (trial,) = document(Metrics(requests=3), {}, void="no worker", read_backs=(back,), notes=())["trials"]

    assert ("no worker", 3) == (trial["void"], trial["metrics"]["requests"])
    assert ["nofile in the server: wanted 65536, got 1024"] == trial["notes"]


def test_steps_bounds_and_counters_are_shown_whole() -> None:
    """What a ramp found, what was predicted, what the kernel counted: value for value."""
    step = Step(50.0, 900.5, 0.001, None, 0.25, 49, 0.5, "errors")
    (trial,) = document(Metrics(), {}, steps=(step,), bound_by="errors", counters={"ListenOverflows": 280.0})["trials"]

    assert [
        {
            "offered": 50.0, "answered_per_s": 900.5, "p50_s": 0.001, "p99_s": None, "errors_ratio": 0.25,
            "established": 49, "generator_cpu_ratio": 0.5, "binds": "errors",
        }
    ] == trial["steps"]  # fmt: skip
    assert ("errors", {"ListenOverflows": 280.0}) == (trial["bound_by"], trial["counters"])
    assert ("closed", "locust", 1, 1, "", []) == tuple(
        trial[key] for key in ("kind", "users", "server_processes", "workers", "reverted", "bounds")
    )
