"""The master's books: the parts of all workers are merged, each once, and nothing of another window."""

from __future__ import annotations

from typing import Any

from swarm.ledger import Ledger, short_names
from swarm.row import LIVE, SINCE


def test_master_merges_the_parts_of_all_workers() -> None:
    """Sums per row; the window is closed when every worker's part is there."""
    ledger = Ledger()
    window, is_new = ledger.open_window({"window_id": "w", "start_s": 1.0, "end_s": 2.0}, ["w0_a", "w1_b"])
    row = {
        "variant": "c-epoll",
        "name": "/plain",
        "answered": 3,
        "histogram_us": {312: 2, 400: 1},
        "errors": {"wrong body": 1},
        "connections_opened": 25,
        "in_flight": 1,
        "oldest_in_flight_us": 7,
        "planned": 10,
        "sent": 9,
        "late": 2,
        "dropped": 1,
        "unanswered": 1,
        "lag_us": {12: 9},
    }
    part = {"window_id": "w", "closed": True, "cpu_ratio": 0.9, "engine_cpu_ratio": 0.8, "memory_bytes": 5, "cpus": 3}
    part |= {"from_s": 1.0, "to_s": 2.0, "rows": [row]}
    ledger.take_part("w0_a", part)
    assert not window.summary()["closed"]
    ledger.take_part("w1_b", part)
    ledger.take_part("w1_b", part)

    summary = window.summary()

    assert is_new
    assert summary["closed"]
    assert 0.9 == summary["workers"]["w1"]["cpu_ratio"]
    (merged,) = summary["rows"]
    assert (6, {"312": 4, "400": 2}, {"wrong body": 2}) == (
        merged["answered"],
        merged["histogram_us"],
        merged["errors"],
    )
    assert (50, 2, 7) == (merged["connections_opened"], merged["in_flight"], merged["oldest_in_flight_us"])
    assert (20, 18, 4, 2) == (merged["planned"], merged["sent"], merged["late"], merged["dropped"])
    assert {"12": 18} == merged["lag_us"]
    assert summary | {"rows": []} == window.summary(with_rows=False)
    assert (0.8, 5, 3) == tuple(summary["workers"]["w0"][key] for key in ("engine_cpu_ratio", "memory_bytes", "cpus"))


def test_worker_that_does_not_know_the_window_gets_it() -> None:
    """A joiner's first report brings the window back, and from then on its part is awaited."""
    ledger = Ledger()
    window, _ = ledger.open_window({"window_id": "w", "start_s": 1.0, "end_s": 2.0}, [])

    assert window is ledger.take_report("w7_x", {"window_id": None, "rows": []})
    assert ledger.take_report("w7_x", {"window_id": "w", "rows": []}) is None
    assert {"closed": False, "cpu_ratio": None, "engine_cpu_ratio": None, "memory_bytes": None} == (
        window.summary()["workers"]["w7"]
    )


def standing(variant: str = "v", **counts: Any) -> dict[str, Any]:
    """What a worker reports of one row."""
    nothing: dict[str, Any] = dict.fromkeys((*LIVE, *SINCE), 0)
    return nothing | {"variant": variant, "first_connect_s": None, "last_established_s": None} | counts


def test_counts_of_another_window_are_not_summed() -> None:
    """answered is since the last window was opened, so a report from before it adds nothing."""
    ledger = Ledger()
    row = standing(connecting=1, established=2, answered=30, failed=4, first_connect_s=0.5)
    ledger.take_report("w0_a", {"window_id": None, "rows": [row]})
    ledger.open_window({"window_id": "w", "start_s": 1.0, "end_s": 2.0}, ["w0_a"])
    seen = ledger.connections()

    assert (1, 2, 0, 0) == (seen["connecting"], seen["established"], seen["answered"], seen["failed"])
    assert seen["first_connect_s"] is None


def test_first_and_last_connect_are_of_all_workers() -> None:
    """From the earliest connect to the latest established one, whichever worker that was."""
    ledger = Ledger()
    ledger.take_report("w0", {"window_id": None, "rows": [standing(first_connect_s=2.0, last_established_s=5.0)]})
    ledger.take_report("w1", {"window_id": None, "rows": [standing(first_connect_s=3.0, last_established_s=6.0)]})
    ledger.take_report("w2", {"window_id": None, "rows": [standing("other", established=7, users=2)]})
    seen = ledger.connections()

    assert (2.0, 6.0) == (seen["first_connect_s"], seen["last_established_s"])
    assert [("other", 2, 7), ("v", 0, 0)] == [(r["variant"], r["users"], r["established"]) for r in ledger.by_row()]


def test_two_workers_of_one_name_stay_apart() -> None:
    """A restarted worker beside its lost predecessor does not overwrite it."""
    assert {"w0_a": "w0", "w0_b": "w0_b"} == short_names(["w0_a", "w0_b"])
