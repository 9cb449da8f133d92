"""A reading of a real process has the numbers that process is known to have."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.observe.exporter import anonymous
from orchestrator.observe.exporter.anonymous import AT_ONCE_S, Counted, Instances
from orchestrator.observe.exporter.errors import BadTarget
from orchestrator.observe.exporter.look import watch
from orchestrator.observe.exporter.reading import Ledger
from orchestrator.observe.exporter.target import Container, Target
from tests.unit.known_process import ROOT, Known, known, number, read

__all__ = ["known"]  # pytest finds the fixture by this name

pytestmark = pytest.mark.skipif(not ROOT.exists(), reason="no /sys/fs/cgroup: this is not Linux with cgroups mounted")


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
