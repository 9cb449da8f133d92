"""Kernel text, frozen from a real kernel, becomes the values it stands for."""

from __future__ import annotations

import struct

import pytest

from orchestrator.observe.exporter.errors import Malformed, Unavailable
from orchestrator.observe.exporter.parse import (
    CpuWork,
    Ring,
    count_watches,
    parse_cpu_times,
    parse_cpu_works,
    parse_keyed,
    parse_machine,
    parse_meminfo,
    parse_net,
    parse_number,
    parse_pressure,
    parse_ring,
    parse_smaps_rollup,
    parse_sockstat,
    parse_stat,
    parse_status,
)
from orchestrator.observe.exporter.taskstats import TaskCounts, decode
from tests.unit.kernel_text import read_fixture


def test_comm_with_parenthesis_does_not_shift_columns() -> None:
    """A process named 'a) b' still reports its own CPU time and parent."""
    stat = parse_stat(read_fixture("odd-name/stat"), ticks_per_s=100)

    assert ("a) b", "R", 29220) == (stat.comm, stat.state, stat.ppid)
    assert (0.45, 0.54) == (stat.user_s, stat.system_s)
    assert (1, 276602) == (stat.threads, stat.start_ticks)


def test_stat_counts_the_threads_of_a_thread_per_connection_server() -> None:
    """Twenty connections and the main thread are 21."""
    assert 21 == parse_stat(read_fixture("threads/stat"), ticks_per_s=100).threads


def test_stat_tells_page_faults_of_the_whole_process() -> None:
    """The epoll server touched 1,081 pages and read none; its children's faults are other fields."""
    stat = parse_stat(read_fixture("epoll/stat"), ticks_per_s=100)

    assert (1081, 0) == (stat.minor_faults, stat.major_faults)


def test_a_ring_tells_what_is_not_taken_yet_and_what_found_no_room() -> None:
    """Three submissions wait, and of 24 completions eight overflowed a ring of sixteen."""
    assert Ring(pending=3, overflow=8) == parse_ring(read_fixture("ring"))


def test_a_ring_whose_lock_was_taken_tells_nothing() -> None:
    """The kernel then writes the first four lines only; that is no ring of zeroes."""
    text = "".join(read_fixture("ring").splitlines(True)[:4])

    assert parse_ring(text) is None


def test_heads_and_tails_of_a_ring_wrap_around() -> None:
    """They are 32 bits that run on: 4294967295 to 2 are three."""
    assert parse_ring("pos:\t0\nSqHead:\t4294967295\nSqTail:\t2\nCqOverflowList:\n") == Ring(3, 0)


def test_pressure_is_seconds_in_total() -> None:
    """The averages are the kernel's own; the counter is what a chart makes a rate of."""
    text = read_fixture("cgroup-v1/unified/cpu.pressure")

    assert {"some": 4.186774, "full": 3.680999} == parse_pressure(text)
    with pytest.raises(Malformed, match="pressure"):
        parse_pressure("some avg10=0.00\n")


def test_the_whole_machine_is_read_by_mode() -> None:
    """Steal is the eighth number of the first line, and the sum of all modes is all CPUs' time."""
    machine = parse_machine(read_fixture("host/stat"), ticks_per_s=100)
    first = read_fixture("host/stat").splitlines()[0].split()

    assert int(first[8]) / 100 == machine.cpu_s["steal"]
    assert sum(map(int, first[1:9])) / 100 == pytest.approx(sum(machine.cpu_s.values()))
    assert machine.running >= 1
    with pytest.raises(Malformed, match="procs_running"):
        parse_machine("cpu 1 2 3 4 5 6 7 8\nctxt 5\n", ticks_per_s=100)


def test_memory_of_the_machine_is_in_bytes() -> None:
    """24,684,084 kB in all; lines that are no size, such as HugePages_Total, are left out."""
    sizes = parse_meminfo(read_fixture("host/meminfo"))

    assert 24684084 * 1024 == sizes["MemTotal"]
    assert "HugePages_Total" not in sizes


def test_stat_that_ends_early_is_refused() -> None:
    """Half a line is no process with zeroes."""
    with pytest.raises(Malformed, match="22 fields"):
        parse_stat("1 (x) S 0 1", ticks_per_s=100)


def test_status_gives_resident_bytes_and_the_leaders_switches() -> None:
    """740 kB resident, 666 voluntary and 104 involuntary switches."""
    status = parse_status(read_fixture("epoll/status"))

    assert (740 * 1024, 666, 104) == (status.rss_bytes, status.voluntary, status.involuntary)


def test_status_of_a_zombie_has_no_resident_size() -> None:
    """A process without an address space has no size rather than 0."""
    text = "".join(line for line in read_fixture("epoll/status").splitlines(True) if not line.startswith("Vm"))

    assert parse_status(text).rss_bytes is None


def test_rollup_divides_shared_pages_and_keeps_private_ones() -> None:
    """Rss 740 kB of which 40 kB are private."""
    rollup = parse_smaps_rollup(read_fixture("epoll/smaps_rollup"))

    assert (740 * 1024, 272 * 1024, 40 * 1024) == (rollup.rss_bytes, rollup.pss_bytes, rollup.uss_bytes)


def test_epoll_watches_are_counted_one_for_each_tfd_line() -> None:
    """Three connections and the listener are four watches."""
    assert 4 == count_watches(read_fixture("epoll/fdinfo/4"))


def test_namespace_counters_are_found_by_name() -> None:
    """The container took 303 connections and aborted none."""
    tcp = parse_net(read_fixture("epoll/net/snmp"))["Tcp"]
    ext = parse_net(read_fixture("epoll/net/netstat"))["TcpExt"]

    assert (303, 0, 0) == (tcp["PassiveOpens"], tcp["OutRsts"], tcp["RetransSegs"])
    assert (0, 0, 300) == (ext["ListenOverflows"], ext["TCPAbortOnClose"], ext["TW"])


def test_namespace_counters_that_do_not_pair_are_refused() -> None:
    """A name too many would shift every number after it."""
    with pytest.raises(Malformed, match="do not match"):
        parse_net("Tcp: A B\nTcp: 1\n")


def test_sockstat_is_read_by_protocol() -> None:
    """A line of /proc/net/sockstat has its protocol's numbers under the kernel's own keys."""
    text = "sockets: used 30\nTCP: inuse 204 orphan 0 tw 50 alloc 301 mem 73\nUDP: inuse 2 mem 0\n"

    assert {"inuse": 204, "orphan": 0, "tw": 50, "alloc": 301, "mem": 73} == parse_sockstat(text)["TCP"]
    with pytest.raises(Malformed, match="sockstat: expected"):
        parse_sockstat("TCP: inuse many\n")


def test_files_that_hold_something_else_are_refused() -> None:
    """'max' is no number and three words are no pair."""
    with pytest.raises(Malformed):
        parse_number("max\n")
    with pytest.raises(Malformed):
        parse_keyed("a b c\n")


def taskstats_answer(version: int, cpu_count: int = 30, wait_ns: int = 2_000_000_000) -> bytes:
    """Build a TASKSTATS answer about a TGID as the kernel nests it; 560 bytes as version 16 has."""
    stats = bytearray(560)
    struct.pack_into("=H", stats, 0, version)
    struct.pack_into("=QQ", stats, 16, cpu_count, wait_ns)
    struct.pack_into("=QQ", stats, 272, 20, 9)
    inner = struct.pack("=HHI", 8, 2, 1234) + struct.pack("=HH", 4 + len(stats), 3) + bytes(stats)
    return struct.pack("=HH", 4 + len(inner), 5) + inner


def test_taskstats_answer_is_decoded_at_the_documented_offsets() -> None:
    """Switches, time slices and waiting come from their own fields."""
    assert TaskCounts(20, 9, 30, 2.0) == decode(taskstats_answer(version=16))


def test_taskstats_without_delay_accounting_has_no_waiting_time() -> None:
    """A process that switched had time slices: zero means they are not counted."""
    assert TaskCounts(20, 9, None, None) == decode(taskstats_answer(version=13, cpu_count=0, wait_ns=0))


def test_taskstats_version_15_is_refused() -> None:
    """Its fields are at other offsets; reading it would give wrong numbers."""
    with pytest.raises(Unavailable, match="version 15"):
        decode(taskstats_answer(version=15))


def test_what_each_cpu_did_is_split_into_tasks_and_interrupts() -> None:
    """User, nice and system are tasks'; irq and softirq are interrupts'; idle, iowait and steal are neither."""
    works = parse_cpu_works(read_fixture("host/stat"), 100)

    assert {"0": CpuWork(650.46, 136.57), "1": CpuWork(533.40, 118.01)} == works
    assert {} == parse_cpu_works("cpu  1 2 3 4 5 6 7 8 9 10\nintr 5\n", 100)
    with pytest.raises(Malformed, match="expected 'cpu0' and at least seven numbers"):
        parse_cpu_works("cpu  1 2 3 4 5 6 7 8\ncpu0 1 2 3\n", 100)


def test_the_machines_cpu_time_and_what_was_stolen_of_it() -> None:
    """Guest time is in user time already and is not added again; ticks become seconds."""
    text = "cpu  18163 77 11149 36898 937 0 1186 103 500 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
    times = parse_cpu_times(text, 100)

    assert (685.13, 1.03) == (times.total_s, times.steal_s)
    with pytest.raises(Malformed, match="expected 'cpu' and at least eight numbers"):
        parse_cpu_times("cpu 1 2 3\n", 100)
