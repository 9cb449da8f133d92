"""A run of the six variants of `quick`, watched: every metric has samples, and no panel is empty."""

from __future__ import annotations

import json
import time

import pytest
import yaml

from dashboards.live import panels_of_a_trial
from dashboards.panel import Panel
from dashboards.panels import COMPARE, DASHBOARDS
from orchestrator.observe.prometheus import SELDOM_S, query, query_range
from orchestrator.results.series import list_tracks, read_tracks
from probes.service.metrics import METRICS as PROBES
from probes.service.metrics import Metric as ProbeMetric
from swarm.catalogue import METRICS
from tests.engine.conftest import FULL, ROOT, VARIANTS, LabFile
from tests.engine.panels.stand import PROMETHEUS, SCENARIOS, Watched, state

TIMED = [name for name, scenario in SCENARIOS.items() if scenario["kind"] != "hold"]
ALL = {panel.name: panel for dashboard in DASHBOARDS for panel in dashboard.panels}
# Who has no samples of a metric, for a reason: only the full variants are given arrivals by the clock, which only the
# engine keeps; the article's C server is spoken to by Locust users, and nobody else errs.
SCHEDULED = (
    "lab_client_schedule_lag_seconds",
    *(f"lab_client_{w}_total" for w in ("planned", "sent", "late", "dropped")),
)
NOT_OF: dict[str, set[str]] = (
    dict.fromkeys(SCHEDULED, set(VARIANTS) - set(FULL))
    | {"lab_client_engine_cpu_ratio": {"seed-c"}}
    | {"lab_client_errors_total": set(VARIANTS) - {"seed-c"}}
)


def test_the_watched_run_is_quick_made_short() -> None:
    """What is shown of it here holds for `lab run quick`: the same variants under the same kinds of load."""
    document = yaml.safe_load((ROOT / "lab.yaml").read_text())
    quick = document["suites"]["quick"]

    assert sorted(VARIANTS) == sorted(quick["variants"])
    assert sorted(document["scenarios"][name]["kind"] for name in quick["scenarios"]) == sorted(
        scenario["kind"] for scenario in SCENARIOS.values()
    )


def test_every_target_was_up_all_the_time(watched: Watched) -> None:
    """All four, at every scrape but for one that a busy machine was late with."""
    found = {one.labels["job"]: [v for _, v in one.points] for one in query_range(
        PROMETHEUS, "up", watched.began_s, watched.ended_s)}  # fmt: skip
    shown_s = {"runs": SELDOM_S}  # for how long one scrape stands; the others are asked each second

    assert {"swarm", "exporter", "probes", "runs"} == set(found)
    assert {} == {job: values for job, values in found.items() if values.count(0.0) > shown_s.get(job, 1.0)}
    assert all(one.value == 1 for one in query(PROMETHEUS, "up"))


@pytest.mark.parametrize("name", [metric.name for metric in METRICS])
def test_every_metric_of_the_swarm_has_samples(name: str, watched: Watched) -> None:
    """Of each declared metric, for every variant that it is about, within the run."""
    series = f'{{__name__=~"{name}(_count)?",run_id="{watched.run_id}"}}'
    found = query_range(PROMETHEUS, f"count by (variant) ({series})", watched.began_s, watched.ended_s)

    assert set(VARIANTS) - NOT_OF.get(name, set()) <= {one.labels["variant"] for one in found}


def test_the_watcher_saw_every_trial(lab: LabFile, watched: Watched) -> None:
    """Each of the run's trials was under way at some second, with the variant that it loaded."""
    seen = [json.loads(line) for line in (lab.path.parent / "watched.jsonl").read_text().splitlines()]
    trials = {
        (t["number"], t["variant"], t["scenario"]) for now in seen if (t := now["trial"]) and t["number"] <= t["of"]
    }
    plan = [(t["variant"], t["scenario"]) for t in lab.show()["trials"]]

    assert {(n, *pairing) for n, pairing in enumerate(plan, start=1)} == trials
    assert set(VARIANTS) == {
        row["variant"] for now in seen for row in now["variants"] if now["run_id"] == watched.run_id
    }


def test_the_arena_has_its_name_back_after_a_run(watched: Watched) -> None:
    """What is loaded by hand afterwards is no part of the run; nothing of the run is shown under the arena's name."""
    assert ("arena", 0) == (state()["run_id"], state()["user_count"])
    assert [] == query(PROMETHEUS, 'lab_client_users{run_id="arena"}')


def test_the_time_series_of_each_trial_are_kept(lab: LabFile, watched: Watched) -> None:
    """Every trial has both files, and between them no panel and no metric of the run is missing."""
    results = lab.path.parent / "results"
    kept = [read_tracks(path) for path in list_tracks(results, watched.run_id, "panels")]
    scraped = [read_tracks(path) for path in list_tracks(results, watched.run_id, "series")]
    plan = [(t["variant"], t["scenario"]) for t in lab.show()["trials"]]
    names = {track.labels["__name__"] for one in scraped for track in one.tracks}
    every = f'count by (__name__) ({{run_id="{watched.run_id}",job!="runs"}})'  # the store has those
    held = query_range(PROMETHEUS, every, watched.began_s, watched.ended_s)

    assert plan == [(one.variant, one.scenario) for one in kept] == [(one.variant, one.scenario) for one in scraped]
    assert {} == {one.variant: one.missing for one in kept if one.missing}
    assert {panel.name for panel in panels_of_a_trial()} <= {track.panel for one in kept for track in one.tracks}
    assert {one.labels["__name__"] for one in held} <= names
    assert {metric.name for metric in METRICS if metric.kind != "histogram"} <= names
    answers = {
        (one.variant, one.scenario): max(v or 0.0 for t in one.tracks if t.panel == "throughput" for v in t.values)
        for one in kept
    }
    holders = {(v, "hold-short") for v in VARIANTS if v != "seed-c"}
    assert holders | {(v, name) for v in FULL for name in TIMED} <= {
        pairing for pairing, most in answers.items() if most > 0.0
    }
    for one in kept:
        shown = {track.labels.get("variant", one.variant) for track in one.tracks if track.panel == "threads"}
        assert {one.variant} == shown, one.scenario


def test_the_trials_were_probed_after_their_scored_windows(lab: LabFile, watched: Watched) -> None:
    """Closed loops and arrivals by the clock were, with figures per answer where eBPF is allowed; holds were not."""
    trials = lab.show()["trials"]
    probes = {(one["variant"], one["scenario"]): one["probe"] for one in trials if one["scenario"] in TIMED}

    assert all(one["probe"] is None for one in trials if one["scenario"] not in TIMED)
    assert {(variant, name) for variant in FULL for name in TIMED} == set(probes)
    for (variant, _), probe in probes.items():
        assert probe["rung"] in ("ebpf", "perf", "taskstats"), probe
        assert 0 < probe["answered"]
        if probe["rung"] == "ebpf":
            # An answer is read and written; nobody needs a dozen calls for it.
            assert 1 < probe["figures"]["syscalls_per_request"] < 12
            waits_in_epoll = "epoll_events_per_wait" in probe["figures"]
            assert waits_in_epoll or "did not call epoll_wait" in probe["missing"]["epoll_events_per_wait"]
            assert waits_in_epoll == (variant != "c-threads")


@pytest.fixture(scope="module")
def rung(watched: Watched) -> str:
    """The one rung that the probes said this host allows, as long as the run lasted."""
    found = query_range(PROMETHEUS, "lab_probe_rung", watched.began_s, watched.ended_s)

    assert 1 == len(found), found
    assert {1.0} == {value for _, value in found[0].points}
    return found[0].labels["rung"]


def test_the_rung_of_the_probes_is_the_one_that_counted(rung: str, lab: LabFile, watched: Watched) -> None:
    """lab_probe_rung says what each probed trial kept, and lab_probe_active was 1 on it in its window."""
    trials = {one["variant"]: one["probe"]["rung"] for one in lab.show()["trials"] if one["probe"] is not None}
    active = f'max by (variant, rung) (lab_probe_active{{run_id="{watched.run_id}"}}) > 0'
    found = query_range(PROMETHEUS, active, watched.began_s, watched.ended_s)
    below = {"taskstats"}  # nothing of the probes is active there

    assert {rung} == set(trials.values())
    assert {(one.labels["variant"], one.labels["rung"]) for one in found} == {
        (variant, kept) for variant, kept in trials.items() if kept not in below
    }


# A server under load does these all the time; what else there is may be 0, but it is there.
OF_EPOLL = {f"lab_bpf_{name}_total" for name in ("epoll_waits", "epoll_events")}  # not of a thread for each connection
ALWAYS = OF_EPOLL | {f"lab_bpf_{name}_total" for name in ("syscalls", "context_switches", "wakeups")} | {
    "lab_bpf_runqueue_latency_seconds"
}  # fmt: skip
# Where no call failed there is no errno to show; Go reads until it is told EAGAIN.
IF_ANY = {"lab_bpf_syscall_errors_total"}


@pytest.mark.parametrize("metric", PROBES, ids=lambda metric: metric.name)
def test_every_metric_of_the_probes_has_samples(metric: ProbeMetric, rung: str, watched: Watched) -> None:
    """Of each variant that was probed, in its window; those of what a loaded server must do have grown."""
    if rung != "ebpf":
        pytest.skip(f"this host allows rung {rung} only, which does not count all of it")
    name = f"{metric.name}_count" if metric.kind == "histogram" else metric.name
    series = f'{name}{{run_id="{watched.run_id}"}}'
    found = query_range(PROMETHEUS, f"sum by (variant) ({series})", watched.began_s, watched.ended_s)
    most = {one.labels["variant"]: max(value for _, value in one.points) for one in found}

    assert ({"go-nethttp"} if metric.name in IF_ANY else set(FULL)) <= set(most) <= set(FULL)
    if metric.name in ALWAYS:
        idle = {"c-threads"} if metric.name in OF_EPOLL else set()
        assert set(FULL) - idle == {variant for variant, value in most.items() if value > 0}


def test_compare_shows_how_full_the_accept_queue_was(watched: Watched) -> None:
    """The reference's sixteenth panel: a share of the queue for every variant; a queue of one holds two."""
    (panel,) = [panel for panel in COMPARE.panels if "lab_net_accept_queue_length" in panel.queries[0].expression]
    (expression,) = panel.expressions({"S": f'run_id="{watched.run_id}"', "I": "4s"})
    found = query_range(PROMETHEUS, expression, watched.began_s, watched.ended_s)
    shares = {one.labels["variant"]: [value for _, value in one.points] for one in found}

    assert set(VARIANTS) == set(shares)
    assert all(0.0 <= value <= 2.0 for values in shares.values() for value in values), shares


@pytest.mark.parametrize("panel", ALL.values(), ids=list(ALL))
def test_every_query_has_data(panel: Panel, watched: Watched) -> None:
    """Each expression, with what a reader would choose filled in, names its variants or the lab's own sources."""
    anybody = 'scenario=~".*",variant=~".*"'
    this_run = f'run_id="{watched.run_id}",{anybody}'
    meaning = {
        "S": this_run, "B": this_run, "H": anybody, "K": 'suite="panels"',
        "I": "4s", "Q": "0.99", "E": f"{watched.ended_s}",
    }  # fmt: skip
    for expression in panel.expressions(meaning):
        found = query_range(PROMETHEUS, expression, watched.began_s, watched.ended_s)
        variants = {one.labels.get("variant") for one in found}

        assert found, expression
        # Of runtimes only two of them have something to tell.
        if panel.source not in ("host", "runtime"):
            assert variants >= set(VARIANTS) - _without(panel), (expression, variants)


# Only the full variants are given a schedule, and a rate that is scored; the article's C server may answer nobody, so
# that it has no latency and nothing per answer.
OF_SCHEDULES = {"schedule-lag", "kept-throughput"}
OF_ANSWERS = {"latency", "switches", "against-baseline", "kept-p99", "kept-p50", "kept-cpu", "kept-switches"}


def _without(panel: Panel) -> set[str]:
    """Return the variants that need not have anything to show there."""
    if panel.source == "bpf":  # holds are not probed; a thread for each connection does not wait in epoll
        return set(VARIANTS) - set(FULL) | ({"c-threads"} if panel.name == "events-per-wait" else set())
    return (
        set(VARIANTS) - set(FULL) if panel.name in OF_SCHEDULES else {"seed-c"} if panel.name in OF_ANSWERS else set()
    )


def test_what_prometheus_holds_of_the_run_is_what_the_store_does(lab: LabFile, watched: Watched) -> None:
    """The figures of `lab show`, and the run against itself: no difference."""
    shown = {
        (row["scenario"], row["variant"]): row["metrics"]["throughput_per_s"]
        for row in lab.show()["trials"]  # one of each pairing
        if row["void"] is None and row["metrics"]["throughput_per_s"] is not None
    }
    kept = query(PROMETHEUS, f'lab_run_stat{{run_id="{watched.run_id}",stat="throughput_per_second"}}')
    this_run = f'run_id="{watched.run_id}"'
    meaning = {"S": this_run, "B": this_run, "I": "4s", "E": f"{time.time()}"}
    against_itself = query(PROMETHEUS, ALL["against-baseline"].expressions(meaning)[0])

    assert shown
    assert pytest.approx(shown) == {(one.labels["scenario"], one.labels["variant"]): one.value for one in kept}
    assert {0.0} == {one.value for one in against_itself}


def test_a_run_enters_its_history_where_it_began(watched: Watched) -> None:
    """Before the run there is nothing of this lab; from its start on there is its figure."""
    meaning = {"H": 'scenario=~".*",variant=~".*"', "K": 'suite="panels"', "E": f"{watched.ended_s}"}
    expression = ALL["kept-valid"].expressions(meaning)[0]
    found = query_range(PROMETHEUS, expression, watched.began_s - 3600, watched.ended_s)
    first_s = {one.points[0][0] for one in found}

    assert set(VARIANTS) == {one.labels["variant"] for one in found}
    assert all(watched.began_s <= at_s <= watched.ended_s for at_s in first_s), (first_s, watched)
