"""A reading of a real process has the numbers that process is known to have; what fails is missing, never a number."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.observe.exporter import anonymous
from orchestrator.observe.exporter.anonymous import AT_ONCE_S, Counted, Instances
from orchestrator.observe.exporter.counters import Counters
from orchestrator.observe.exporter.errors import Absent, BadTarget, Unavailable
from orchestrator.observe.exporter.look import Look, Value, Watched, watch
from orchestrator.observe.exporter.pace import Budget, Pace
from orchestrator.observe.exporter.reading import Ledger, Reading, take
from orchestrator.observe.exporter.source import Source
from orchestrator.observe.exporter.sources import SOURCES
from orchestrator.observe.exporter.switches import Switches
from orchestrator.observe.exporter.target import Container, Target
from orchestrator.observe.exporter.taskstats import TaskCounts, Taskstats

ROOT = Path("/sys/fs/cgroup")
pytestmark = pytest.mark.skipif(not ROOT.exists(), reason="no /sys/fs/cgroup: this is not Linux with cgroups mounted")

# 7 threads beside the first; one epoll instance watching 5 pipes; 100 sleeps; then it says so and waits.
KNOWN = """
import os, select, sys, threading, time
ends = [os.pipe() for _ in range(5)]
epoll = select.epoll()
for reader, _ in ends:
    epoll.register(reader, select.EPOLLIN)
stop = threading.Event()
threads = [threading.Thread(target=stop.wait) for _ in range(7)]
for thread in threads:
    thread.start()
for _ in range(100):
    time.sleep(0.001)
print(len(os.listdir("/proc/self/fd")) - 1, flush=True)
sys.stdin.readline()
stop.set()
for thread in threads:
    thread.join()
print("joined", flush=True)
sys.stdin.readline()
"""


class Known:
    """The process of known behaviour."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", KNOWN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.open_fds = int(self.hear())

    def hear(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def tell(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def watched(self) -> Watched:
        labels = {"run_id": "r", "scenario": "s", "variant": "known"}
        return watch(Target("known", labels, (Container("", self.process.pid),)), ROOT)


@pytest.fixture
def known() -> Iterator[Known]:
    known = Known()
    yield known
    known.process.kill()
    known.process.communicate()


def read(watched: Watched, ledger: Ledger | None = None, taskstats: Taskstats | None = None) -> Reading:
    return take(watched, taskstats or Taskstats(), ledger or Ledger(), fresh=True)


def number(reading: Reading, name: str) -> float:
    value = reading.values.get(name)
    assert isinstance(value, int | float), f"{name} is missing: {reading.missing.get(name)}"
    return value


def test_a_process_of_known_behaviour_is_read_as_it_is(known: Known) -> None:
    """Eight threads, one instance, five watches, its descriptors, and at least its hundred sleeps."""
    reading = read(known.watched())

    assert (1, 1, 8, 8) == tuple(number(reading, name) for name in ("up", "processes", "threads", "threads_peak"))
    assert known.open_fds == number(reading, "open_fds")
    assert (1, 5) == (number(reading, "epoll_instances"), number(reading, "epoll_watches"))
    assert (0, 0) == (number(reading, "io_uring_instances"), number(reading, "io_uring_sq_pending"))
    assert number(reading, "faults_minor") > 100  # an interpreter touches some thousand pages
    assert 100 <= number(reading, "context_switches_voluntary") < 1000
    assert number(reading, "uss_bytes") <= number(reading, "pss_bytes") <= number(reading, "rss_bytes") * 1.1
    assert 0.0 <= number(reading, "machine_steal_s") <= number(reading, "machine_cpu_s")
    assert number(reading, "machine_cpu_s") > 0.0
    assert not set(reading.values) & set(reading.missing)


def test_processes_that_are_dear_together_are_not_counted_for_each_reading(known: Known) -> None:
    """Each alone is within what a fresh reading may cost; together they are not, and the kept count has its age."""
    instances = Instances(Path("/proc"))
    both = dict.fromkeys([(known.process.pid, 1), (known.process.pid, 2)], 0.0)
    assert (10, 0.0) == ((first := instances.count(both, fresh=True)).watches, max(0.0, first.age_s))
    assert instances.count(both, fresh=True).age_s <= 0.0
    for kept in instances._known.values():
        kept.cost_s = 0.6 * AT_ONCE_S

    assert instances.count(both, fresh=True).age_s > 0.0


def test_many_descriptors_are_looked_at_piece_by_piece(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five at a time: until the last of them there is no number, and then it is the right one."""
    monkeypatch.setattr(anonymous, "SCAN_PIECE", 5)
    instances = Instances(Path("/proc"))
    samples = [instances.count({(known.process.pid, 1): 0.0}, fresh=False) for _ in range(-(-known.open_fds // 5))]

    assert known.open_fds > 10
    assert {(None, None, None)} == {(one.instances, one.watches, one.rings) for one in samples[:-1]}
    assert (1, 5, 0) == (samples[-1].instances, samples[-1].watches, samples[-1].rings)


def test_a_sample_counts_dear_processes_one_by_one(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was not got to is the next sample's, and until all have been counted there is no sum."""
    monkeypatch.setattr(anonymous, "AT_ONCE_S", 1e-9)
    monkeypatch.setattr(anonymous._Load, "is_busy", lambda *_: False)
    instances = Instances(Path("/proc"))
    both = dict.fromkeys([(known.process.pid, 1), (known.process.pid, 2)], 0.0)

    assert [None, 10] == [instances.count(both, fresh=False).watches for _ in range(2)]


def test_a_dear_process_is_not_counted_while_its_server_is_busy(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stop for the count. Idle it is counted; busy again it keeps that, for as long as it opens nothing."""
    now = SimpleNamespace(s=0.0)
    clock = SimpleNamespace(monotonic=lambda: now.s, thread_time=time.thread_time)
    monkeypatch.setattr(anonymous, "time", clock)
    monkeypatch.setattr(anonymous, "AT_ONCE_S", 1e-9)
    monkeypatch.setattr(anonymous, "WATCH_S", 1.0)
    instances, process = Instances(Path("/proc")), (known.process.pid, 1)

    def sample(cpu_s: float) -> tuple[int | None, bool]:
        now.s += 600.0
        counted = instances.count({process: cpu_s}, fresh=True)
        return counted.watches, counted.is_put_off

    first, busy, idle, busy_again = sample(1.0), sample(500.0), sample(501.0), sample(1000.0)
    instances._known[process].had_fds -= 1

    assert [(None, True), (None, True), (5, False), (5, True)] == [first, busy, idle, busy_again]
    assert (None, True) == sample(1500.0)


@pytest.mark.parametrize(("is_put_off", "words"), [(True, "done when this one is idle"), (False, "a ring was busy")])
def test_a_ring_that_never_told_says_which_of_two_reasons_it_has(
    known: Known, monkeypatch: pytest.MonkeyPatch, is_put_off: bool, words: str
) -> None:
    """It was not asked because the server is busy, or it was asked and its lock was taken."""
    counted = Counted(0, None, 1, None, None, float("inf"), is_put_off)
    monkeypatch.setattr(Instances, "count", lambda *_, **__: counted)
    reading = read(known.watched())

    assert 1 == number(reading, "io_uring_instances")
    for name in ("io_uring_sq_pending", "io_uring_cq_overflow"):
        assert words in reading.missing[name]


def test_each_connection_within_the_namespace_is_two_sockets(known: Known) -> None:
    """A listener and a crowd of connections to it are two sockets each and one more, and no trouble counted."""
    watched, crowd = known.watched(), 400  # far above what anybody else on this host opens or closes meanwhile
    with contextlib.ExitStack() as stack:
        before = number(read(watched), "tcp_sockets")
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        for _ in range(crowd):
            stack.enter_context(socket.create_connection(listener.getsockname(), timeout=5))
        reading = read(watched)

    assert abs(number(reading, "tcp_sockets") - before - 2 * crowd - 1) < crowd / 10
    for name in ("tcp_troubles", "tcp_ext_troubles"):
        troubles = reading.values[name]
        assert isinstance(troubles, dict)
        assert {"OutRsts", "RetransSegs"} <= set(troubles) or {"ListenOverflows", "TCPTimeouts"} <= set(troubles)


def test_switches_of_threads_that_ended_stay_counted(known: Known) -> None:
    """The counter does not fall when seven threads end."""
    watched = known.watched()
    before = read(watched)
    known.tell()
    known.hear()
    deadline_s = time.monotonic() + 5
    while number(after := read(watched), "threads") != 1 and time.monotonic() < deadline_s:
        time.sleep(0.01)  # a joined thread is gone for Python a moment before it is for the kernel

    assert 1 == number(after, "threads")
    assert 8 == number(after, "threads_peak")
    for kind in ("voluntary", "involuntary"):
        assert number(before, f"context_switches_{kind}") <= number(after, f"context_switches_{kind}")


def test_a_process_that_vanished_leaves_reasons_and_no_numbers(known: Known) -> None:
    """What is gone is not up, has no threads, and each missing value says why."""
    watched = known.watched()
    known.process.kill()
    known.process.wait()
    ledger = Ledger()
    reading = read(watched, ledger)

    assert (0, 0) == (number(reading, "up"), number(reading, "processes"))
    for name in ("threads", "open_fds", "rss_bytes", "epoll_watches", "context_switches_voluntary", "tcp_aborts"):
        assert name not in reading.values
        assert "not alive" in reading.missing[name] or "no process" in reading.missing[name]
    assert not any(ledger.totals()[1].values())


def test_a_pid_that_is_not_there_cannot_be_registered() -> None:
    """The refusal names the pid and the setting that is usually forgotten."""
    labels = {"run_id": "", "scenario": "", "variant": "x"}
    with pytest.raises(BadTarget, match=r"pid 4194305 is not alive .*pid_mode=host"):
        watch(Target("x", labels, (Container("", 4194305),)), ROOT)


def test_without_taskstats_the_threads_are_walked_and_the_reading_says_so(known: Known) -> None:
    """The fallback gives the same switches, a note, and a counted error."""

    class Refused(Taskstats):
        def read(self, tgid: int) -> TaskCounts:
            raise PermissionError(1, "TASKSTATS: Operation not permitted")

    ledger = Ledger()
    reading = read(known.watched(), ledger, Refused())

    assert number(reading, "context_switches_voluntary") >= 100
    assert "Operation not permitted" in reading.notes["context_switches_voluntary"]
    assert "delay accounting" in reading.missing["timeslices"]
    assert 1 == ledger.totals()[1]["taskstats"]


def test_a_failed_source_is_missing_counted_and_gives_no_value(known: Known) -> None:
    """One broken source takes only its own values away."""

    def broken(look: Look) -> dict[str, Value]:
        raise Unavailable("broken on purpose")

    ledger = Ledger()
    sources = (*SOURCES[:1], Source("status", ("rss_bytes",), broken))
    reading = take(known.watched(), Taskstats(), ledger, fresh=True, sources=sources)

    assert "rss_bytes" not in reading.values
    assert "broken on purpose" == reading.missing["rss_bytes"]
    assert 8 == number(reading, "threads")
    assert 1 == ledger.totals()[1]["status"]


def test_what_is_absent_is_missing_and_no_failure(known: Known) -> None:
    """A host without pressure files is in order; its reason stands where the number would."""

    def absent(look: Look) -> dict[str, Value]:
        raise Absent("not on this kernel")

    ledger = Ledger()
    sources = (*SOURCES[:1], Source("status", ("rss_bytes",), absent))
    reading = take(known.watched(), Taskstats(), ledger, fresh=True, sources=sources)

    assert "not on this kernel" == reading.missing["rss_bytes"]
    assert not any(ledger.totals()[1].values())


def test_a_dear_source_rests_and_a_reading_says_how_old_its_value_is(known: Known) -> None:
    """Read once, kept after that, in samples and in readings alike; what failed stays missing as long."""
    reads: list[float] = []

    def dear(look: Look) -> dict[str, Value]:
        reads.append(time.monotonic())
        look.missing["uss_bytes"] = "not told"
        return {"pss_bytes": len(reads)}

    pace, ledger, watched = Pace(), Ledger(), known.watched()
    sources = (*SOURCES[:1], Source("smaps_rollup", ("pss_bytes", "uss_bytes"), dear, Budget(0.001, least_s=60.0)))
    first, sample, asked = (
        take(watched, Taskstats(), ledger, fresh=fresh, pace=pace, sources=sources) for fresh in (False, False, True)
    )

    assert 1 == len(reads)
    assert [1, 1, 1] == [number(each, "pss_bytes") for each in (first, sample, asked)]
    assert "pss_bytes" not in sample.notes
    assert "s ago" in asked.notes["pss_bytes"]
    assert ({}, {"pss_bytes": pytest.approx(60.0, abs=5.0)}) == (sample.due_in_s, asked.due_in_s)
    assert "not told" == asked.missing["uss_bytes"]


def test_a_source_read_apart_is_shown_once_it_is_done_and_begun_once(known: Known) -> None:
    """The first read is at once; the next ones are begun, and samples show the old value until they are over."""
    reads: list[int] = []

    def dump(look: Look) -> dict[str, Value]:
        reads.append(len(look.members))
        return {"pss_bytes": len(reads)}

    pace, ledger, watched = Pace(), Ledger(), known.watched()
    waiting: list[Callable[[], None]] = []
    sources = (*SOURCES[:1], Source("smaps_rollup", ("pss_bytes",), dump, Budget(0.5, least_s=0.0, is_apart=True)))

    def sample() -> float:
        reading = take(
            watched, Taskstats(), ledger, fresh=False, pace=pace, sources=sources, later=waiting.append
        )  # fmt: skip
        return number(reading, "pss_bytes")

    assert [1, 1, 1] == [sample() for _ in range(3)]
    assert 1 == len(waiting)
    waiting.pop()()
    assert [1, 1] == reads
    assert 2 == sample()

    watched.is_let_go = True
    waiting.pop()()
    assert [1, 1] == reads  # who was forgotten meanwhile is not looked at any more


def test_faults_of_a_process_that_ended_stay_counted() -> None:
    """Two processes had 5 and 7; one is gone, the other had two more."""
    faults = Counters()
    faults.follow({(1, 1): (5, 0), (2, 1): (7, 1)})

    assert (14, 1) == faults.follow({(2, 1): (9, 1)})


def test_switches_an_older_kernel_forgets_are_taken_from_its_run_queue_counts() -> None:
    """A thread with 50 voluntary and 10 involuntary switches ended; both counters keep them."""
    switches = Switches()
    switches.follow({(1, 1): TaskCounts(voluntary=60, involuntary=12, timeslices=72, wait_s=1.0)})
    totals = switches.follow({(1, 1): TaskCounts(voluntary=10, involuntary=2, timeslices=72, wait_s=1.0)})

    assert (60, 12, 72) == (totals.voluntary, totals.involuntary, totals.timeslices)


def test_switches_on_a_newer_kernel_are_taken_as_they_are() -> None:
    """Where nothing was forgotten nothing is added."""
    switches = Switches()
    totals = switches.follow({(1, 1): TaskCounts(60, 12, 72, 1.0), (2, 1): TaskCounts(1, 1, 2, 0.5)})

    assert (61, 13, 74, 1.5) == (totals.voluntary, totals.involuntary, totals.timeslices, totals.wait_s)


def test_a_process_that_vanished_keeps_its_last_switches() -> None:
    """The sum over processes is a counter: it does not fall when one of them ends."""
    switches = Switches()
    switches.follow({(1, 1): TaskCounts(60, 12, 72, 1.0), (2, 1): TaskCounts(5, 0, 5, 0.5)})

    assert 65 == switches.follow({(1, 1): TaskCounts(60, 12, 72, 1.0)}).voluntary


def test_switches_that_nothing_can_tell_are_missing_from_then_on() -> None:
    """Without run-queue counts a fall means threads ended with switches nobody kept."""
    switches = Switches()
    switches.follow({(1, 1): TaskCounts(60, 12, None, None)})

    for counts in (TaskCounts(10, 2, None, None), TaskCounts(500, 2, None, None)):
        with pytest.raises(Unavailable, match="threads exited"):
            switches.follow({(1, 1): counts})
