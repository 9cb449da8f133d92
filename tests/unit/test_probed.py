"""Two readings of the probes become figures per request, a note, a table; what was not counted is never 0."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from orchestrator.model import Metrics, Probed, TrialResult, TrialSpec
from orchestrator.report.probetable import probe_table, probe_texts
from orchestrator.results.codec import dump, load_trial
from orchestrator.verdicts.probed import FIGURES, grown_counts, judge_probe, probe_notes, quantile_ns, unseen
from orchestrator.verdicts.summary import summarise

BEFORE: dict[str, Any] = {
    "syscalls": {"read": 100, "write": 50},
    "errors": {"read": {"EAGAIN": 50}},
    "epoll": {"returns": 10, "events": 20},
    "switches": {"voluntary": 10, "involuntary": 0},
    "wakeups": {"woken": 10, "new": 0},
    "runqueue_latency": {"below_ns": {"1024": 5}, "sum_ns": 5000, "count": 5},
    "tcp": {"reset_sent": {"TCP_STATE": 1}, "reset_received": 0, "retransmit": 2},
    "drops": {"TCP_RESET": 1},
    "uring": {},
    "lost": {"recursion": 0},
}
AFTER: dict[str, Any] = {
    "syscalls": {"read": 300, "write": 150, "close": 1},
    "errors": {"read": {"EAGAIN": 150}},
    "epoll": {"returns": 60, "events": 120},
    "switches": {"voluntary": 40, "involuntary": 10},
    "wakeups": {"woken": 60, "new": 0},
    "runqueue_latency": {"below_ns": {"1024": 103, "2048": 2}, "sum_ns": 105_000, "count": 105},
    "tcp": {"reset_sent": {"TCP_STATE": 1, "NO_SOCKET": 3}, "reset_received": 1, "retransmit": 2},
    "drops": {"TCP_RESET": 2},
    "uring": {"RECV": 100},
    "lost": {"recursion": 0},
}


def taskstats(voluntary: float, involuntary: float, wait_s: float, timeslices: float) -> dict[str, float]:
    return {
        "context_switches_voluntary": voluntary,
        "context_switches_involuntary": involuntary,
        "runqueue_wait_s": wait_s,
        "timeslices": timeslices,
    }


READINGS = (taskstats(0.0, 0.0, 1.0, 10.0), taskstats(80.0, 20.0, 2.0, 60.0), 2.0)


def judged(**changes: Any) -> Probed:
    told: dict[str, Any] = {
        "rung": "ebpf", "refused": {}, "window_s": 2.0, "answered": 100, "between": (BEFORE, AFTER),
        "seen_beside": READINGS,
    }  # fmt: skip
    return judge_probe(**{**told, **changes})


def test_figures_are_what_grew_between_the_readings_for_each_answer() -> None:
    """301 calls for 100 answers are 3.01; two events for each wait."""
    expected = {
        "answers_per_s": 50.0,
        "syscalls_per_request": 3.01,
        "epoll_events_per_wait": 2.0,
        "context_switches_per_request": 0.4,
        "wakeups_per_request": 0.5,
        "runqueue_latency_p99_s": 2.048e-6,
        "runqueue_latency_mean_s": 1e-6,
        "runqueue_wait_mean_s": 0.02,
        "resets_sent": 3.0,
        "resets_received": 1.0,
        "retransmits": 0.0,
        "drops": 1.0,
        "uring_requests_per_request": 1.0,
    }

    assert {name: pytest.approx(value) for name, value in expected.items()} == judged().figures
    assert set(FIGURES) == set(expected)
    assert {} == judged().missing


def test_counts_keep_names_that_grew_and_reasons_of_resets() -> None:
    """What stood still is left out; errors carry the call's name."""
    grown = grown_counts(BEFORE, AFTER)

    assert {"read EAGAIN": 100.0} == grown["errors"]
    assert {"NO_SOCKET": 3.0} == grown["resets_sent"]
    assert {"read": 200.0, "write": 100.0, "close": 1.0} == grown["syscalls"]
    assert {"reset_received": 1.0, "retransmit": 0.0} == grown["tcp"]


def test_no_answer_no_figure_per_answer() -> None:
    """Nothing is divided by 0, and the reason is told."""
    seen = judged(answered=0)

    assert "syscalls_per_request" not in seen.figures
    assert "no request was answered in the probe window" == seen.missing["syscalls_per_request"]
    assert 0.0 == seen.figures["answers_per_s"]


def test_a_server_without_epoll_has_no_events_per_wait() -> None:
    """A thread for each connection never waits in epoll: that is no 0."""
    still = {**AFTER, "epoll": BEFORE["epoll"]}

    assert "the server did not call epoll_wait" == judged(between=(BEFORE, still)).missing["epoll_events_per_wait"]


def test_the_lower_rung_counts_less_and_says_so() -> None:
    """perf counts switches; calls by name, resets and waiting are missing, not 0."""
    seen = judged(
        rung="perf", refused={"ebpf": "no BTF"}, between=({"switches": {"any": 5}}, {"switches": {"any": 55}})
    )

    assert 0.5 == seen.figures["context_switches_per_request"]
    assert "not counted on rung perf" == seen.missing["syscalls_per_request"] == seen.missing["resets_sent"]
    assert 0.02 == seen.figures["runqueue_wait_mean_s"]


def test_the_last_rung_is_the_exporters_readings() -> None:
    """100 switches in 2 s at 50 answers/s are one for each answer."""
    seen = judged(rung="taskstats", refused={"ebpf": "no BTF", "perf": "forbidden"}, between=None)

    assert 1.0 == seen.figures["context_switches_per_request"]
    assert "no probe counts here: ebpf: no BTF; perf: forbidden" == seen.missing["syscalls_per_request"]
    assert {} == seen.counts


def test_without_taskstats_there_is_a_reason() -> None:
    """An exporter without NET_ADMIN has no schedstat of a whole process."""
    assert "the exporter has no taskstats" == judged(seen_beside=({}, {}, 2.0)).missing["runqueue_wait_mean_s"]


def test_lost_events_are_told() -> None:
    """Counts that are too low say by how much."""
    lossy = judged(between=(BEFORE, {**AFTER, "lost": {"recursion": 3}}))

    assert "3 recursion" in lossy.missing["lost"]
    assert lossy.missing["lost"] in probe_notes(lossy)


@pytest.mark.parametrize(
    ("buckets", "q", "edge"),
    [({8: 1}, 0.99, 8), ({8: 99, 16: 1}, 0.99, 8), ({8: 98, 16: 2}, 0.99, 16), ({8: 0, 16: 4}, 0.01, 16)],
)
def test_a_quantile_is_the_edge_of_the_bucket_that_holds_it(buckets: dict[int, int], q: float, edge: int) -> None:
    """Nearest rank; an empty bucket holds nothing."""
    assert edge == quantile_ns(buckets, q)


def test_a_note_names_the_rung_and_why_it_is_not_a_better_one() -> None:
    """The rung in use stands beside the figures of every trial that was probed."""
    assert ["probed on rung ebpf, in a window of its own after the scored one"] == probe_notes(judged())
    (note,) = probe_notes(judged(rung="perf", refused={"ebpf": "no BTF"}))
    assert "probed on rung perf (ebpf: no BTF)" in note
    assert ["not probed: the service is gone"] == probe_notes(unseen("the service is gone"))
    assert [] == probe_notes(None)


def result(probe: Probed | None) -> TrialResult:
    spec = TrialSpec(0, 0, "c-epoll", "plain", "closed", "default", 1, 1, "", probe_s=2.0)
    return TrialResult(spec, None, Metrics(), {}, {}, (), (), "", 0.0, 0.0, probe=probe)


@pytest.mark.parametrize("probe", [None, judged(), unseen("gone")])
def test_a_probe_comes_back_from_the_store_as_it_went_in(probe: Probed | None) -> None:
    """Figures, reasons and counts, exactly."""
    assert probe == load_trial(dump(result(probe))).probe


def test_a_table_shows_the_figures_beside_the_rung() -> None:
    """One row for each variant that was probed, means over its trials; nothing for a scenario without."""
    row = summarise("c-epoll", "plain", "closed", 1, [result(judged())])
    table = probe_table([row])
    assert table is not None
    console = Console(width=120, file=StringIO())
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above

    assert "rung ebpf" in text
    assert all(figure in text for figure in ("3.01", "2.05 µs", "20.0 ms", "0.4"))
    assert probe_table([summarise("c-epoll", "plain", "closed", 1, [result(None)])]) is None
    assert probe_table([summarise("c-epoll", "plain", "closed", 1, [result(unseen("gone"))])]) is None


def test_the_pages_texts_begin_with_the_rung_and_name_resets_by_reason() -> None:
    """What a trial's details show."""
    texts = dict(probe_texts(judged()))

    assert ("ebpf", "3.01", "3.00") == (texts["probe rung"], texts["syscalls/rq"], texts["reset sent: NO_SOCKET"])
