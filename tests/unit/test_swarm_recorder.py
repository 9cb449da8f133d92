"""The swarm's record: known latencies give exact histograms, and a window scores exactly what it says."""

from __future__ import annotations

from swarm.bulk import Fold, bucket_ms
from swarm.kinds import UNANSWERED
from swarm.ledger import Ledger
from swarm.metrics import Metrics
from swarm.recorder import Recorder
from swarm.row import Piece, Row
from tests.unit.recorded import US, S, Waiting, close, make_recorder


def test_known_latencies_give_an_exact_histogram() -> None:
    """Whole microseconds, counted, rounded down."""
    recorder = make_recorder()
    row = recorder.row("c-epoll", "/plain")
    for latency_us in (312, 312, 313, 40_000):
        recorder.answer(row, 5 * S, 5 * S + latency_us * US + 999)

    piece = row.take()

    assert {312: 2, 313: 1, 40_000: 1} == piece.histogram_us
    assert {} == row.take().histogram_us


def test_closed_window_scores_what_completes_inside() -> None:
    """Start is inside, end is outside; when a request was sent does not matter."""
    recorder = make_recorder()
    row = recorder.row("c-epoll", "/plain")
    recorder.open_window("w", 10 * S, 20 * S, 1 * S)
    recorder.answer(row, 9 * S, 10 * S - 1)
    recorder.answer(row, 9 * S, 10 * S)
    recorder.error(row, "wrong body", 9 * S, 15 * S)
    recorder.answer(row, 20 * S - 3 * US, 20 * S - 1)
    recorder.answer(row, 19 * S, 20 * S)

    part = close(recorder, 21 * S)

    (scored,) = part["rows"]
    assert {1_000_000: 1, 2: 1} == scored["histogram_us"]
    assert 2 == scored["answered"]
    assert {"wrong body": 1} == scored["errors"]
    assert (10.0, 20.0) == (part["from_s"], part["to_s"])


def test_requests_of_one_name_and_two_methods_are_counted_apart_and_scored_together() -> None:
    """A person's GET and POST of /echo: each has its own metrics, and the window has one row by name."""
    recorder = make_recorder()
    recorder.open_window("w", 10 * S, 20 * S, 1 * S)
    for method, latencies_us in (("GET", (300,)), ("POST", (300, 900))):
        for latency_us in latencies_us:
            recorder.answer(recorder.row("v", "/echo", method), 15 * S, 15 * S + latency_us * US)
    answered = {row.method: dict(row.take().histogram_us.items()) for row in recorder.rows.values()}
    ledger = Ledger()
    ledger.open_window({"window_id": "w", "start_s": 10.0, "end_s": 20.0}, ["a_1"])
    ledger.take_part("a_1", close(recorder, 21 * S) | {"memory_bytes": 1})
    (row,) = ledger.windows["w"].summary()["rows"]

    assert {"GET": {300: 1}, "POST": {300: 1, 900: 1}} == answered
    assert {"300": 2, "900": 1} == row["histogram_us"]


def test_hold_window_scores_what_started_inside() -> None:
    """An exchange opened before the start is never scored, however late it ends."""
    recorder = make_recorder()
    row = recorder.row("go-net", "/delay", holds=True)
    recorder.open_window("w", 10 * S, 1000 * S, 1 * S)
    recorder.answer(row, 10 * S - 1, 15 * S)
    recorder.answer(row, 10 * S, 15 * S)
    recorder.error(row, "timeout in first byte", 11 * S, 26 * S)

    part = close(recorder, 30 * S)

    (scored,) = part["rows"]
    assert {5_000_000: 1} == scored["histogram_us"]
    assert {"timeout in first byte": 1} == scored["errors"]
    assert 30.0 == part["to_s"]


def test_hold_exchange_without_answer_is_an_error() -> None:
    """At the window's end in a trial, what still waits is missing; what started before the window is not its matter."""
    recorder = make_recorder()
    row = recorder.row("go-net", "/delay", holds=True)
    recorder.open_window("w", 10 * S, 20 * S, 1 * S)
    row.open = {Waiting(9 * S), Waiting(11 * S), Waiting(12 * S), Waiting(0)}

    (scored,) = close(recorder, 20 * S, count_unanswered=True)["rows"]

    assert {UNANSWERED: 2} == scored["errors"]
    assert (3, 11_000_000) == (scored["in_flight"], scored["oldest_in_flight_us"])


def test_known_window_changes_nothing() -> None:
    """The message may come again while the window is open and after it closed."""
    recorder = make_recorder()
    row = recorder.row("c-epoll", "/plain")
    assert recorder.open_window("w", 10 * S, 20 * S, 1 * S)
    recorder.answer(row, 11 * S, 12 * S)
    assert not recorder.open_window("w", 10 * S, 20 * S, 13 * S)

    (scored,) = close(recorder, 20 * S)["rows"]

    assert 1 == scored["answered"]
    assert not recorder.open_window("w", 10 * S, 20 * S, 21 * S)
    assert recorder.close_window(22 * S, count_unanswered=False) is None


def test_new_window_restarts_the_counts() -> None:
    """answered and failed are since the last window was opened."""
    recorder = make_recorder()
    row = recorder.row("c-epoll", "/plain")
    recorder.answer(row, 1 * S, 2 * S)
    recorder.error(row, "status 503", 1 * S, 2 * S)

    recorder.open_window("w", 10 * S, 20 * S, 3 * S)
    recorder.answer(row, 4 * S, 5 * S)

    assert (1, 0) == (row.answered, row.failed)


def test_cpu_ratio_is_of_the_window() -> None:
    """CPU before the window does not count."""
    cpu_ns = iter([7 * S, 12 * S])
    recorder = Recorder(lambda: next(cpu_ns))
    recorder.open_window("w", 10 * S, 20 * S, 1 * S)
    recorder.turn(10 * S)
    recorder.turn(20 * S)

    assert 0.5 == close(recorder, 20 * S)["cpu_ratio"]


def test_window_that_comes_late_says_from_when_it_scored() -> None:
    """What completed before the message is lost, and from_s tells."""
    recorder = make_recorder()
    recorder.open_window("w", 10 * S, 20 * S, 12 * S)

    assert 12.0 == close(recorder, 20 * S)["from_s"]


def test_buckets_keep_parts_of_a_millisecond() -> None:
    """0.3 ms reads 0.3; from 100 ms on the buckets are Locust's."""
    assert [0.3, 0.31, 1.2, 99.9, 150, 3400, 59000] == [
        bucket_ms(ms) for ms in (0.3, 0.312, 1.23, 99.94, 147, 3432, 58760)
    ]


def test_fold_and_metrics_count_every_request_once() -> None:
    """23 answers and 2 errors arrive as 23 and 2, in the right buckets."""
    recorder = make_recorder()
    row = recorder.row("c-epoll", "/plain")
    for _ in range(20):
        recorder.answer(row, 0, 300 * US)
    for _ in range(3):
        recorder.answer(row, 0, 2 * S)
    for _ in range(2):
        recorder.error(row, 'a "quoted" kind', 0, 50 * US)
    fold = Fold(row, row.take())
    list(fold.steps())
    metrics = Metrics()
    metrics.add({"scenario": "plain", "rows": [], "deltas": [fold.delta()]})

    lines = metrics.render("plain", {}).splitlines()

    assert {0.3: 20, 2000: 3} == fold.response_times
    base = 'run_id="arena",scenario="plain",variant="c-epoll"'
    duration = f'lab_client_request_duration_seconds_bucket{{{base},method="GET",name="/plain",outcome="answered",le='
    assert f'{duration}"0.00025"}} 0' in lines
    assert f'{duration}"0.0005"}} 20' in lines
    assert f'{duration}"+Inf"}} 23' in lines
    assert f'lab_client_request_duration_seconds_count{{{base},method="GET",name="/plain",outcome="failed"}} 2' in lines
    assert f'lab_client_errors_total{{{base},kind="a \\"quoted\\" kind"}} 2' in lines


def test_schedule_reaches_the_metrics() -> None:
    """Planned, sent, late, dropped and the lag's buckets; a row without a schedule makes no such series."""
    metrics = Metrics()
    row = Row("v", "/plain")
    scheduled = Fold(row, Piece({}, {}, {}, lag_us={50: 3, 30_000: 1}, planned=5, sent=4, late=1, dropped=1))
    list(scheduled.steps())
    other = Fold(Row("w", "/plain"), Piece({10: 1}, {}, {}))
    list(other.steps())
    metrics.add({"scenario": "x", "rows": [], "deltas": [scheduled.delta(), other.delta()]})
    lines = metrics.render("x", {}).splitlines()
    base = 'run_id="arena",scenario="x",variant="v"'

    assert f"lab_client_planned_total{{{base}}} 5" in lines
    assert f"lab_client_dropped_total{{{base}}} 1" in lines
    assert f'lab_client_schedule_lag_seconds_bucket{{{base},le="0.0001"}} 3' in lines
    assert f'lab_client_schedule_lag_seconds_bucket{{{base},le="0.05"}} 4' in lines
    assert f"lab_client_schedule_lag_seconds_sum{{{base}}} 0.03015" in lines
    assert [] == [line for line in lines if 'variant="w"' in line and "duration" not in line and "bytes" not in line]
