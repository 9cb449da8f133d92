"""The kernel's own answers about sockets, frozen and live, become counts, sums and queues.

The frozen ones: five connections to a listener of backlog 7, three of them accepted, one of these with 1,000 bytes to
read; `mixed` after the server closed one of its ends first and a client another.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.observe.exporter import diag, namespace
from orchestrator.observe.exporter.errors import Absent, Malformed
from orchestrator.observe.exporter.namespace import Sockets, open_within

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "proc" / "sock_diag"
HERE = Path("/proc/self/ns/net")
DONE_BYTES = 20
root = pytest.mark.skipif(os.geteuid() != 0, reason="entering a network namespace needs CAP_SYS_ADMIN")


def datagrams(name: str) -> tuple[bytes, bytes]:
    """Return the sockets' datagram and the one that says it was the last."""
    data = (FIXTURES / name).read_bytes()
    return data[:-DONE_BYTES], data[-DONE_BYTES:]


def messages(data: bytes) -> Iterator[bytes]:
    while data:
        length = struct.unpack_from("=I", data)[0]
        yield data[: (length + 3) & ~3]
        data = data[(length + 3) & ~3 :]


def test_a_listener_tells_its_queue_and_its_limit() -> None:
    """Two of five were not accepted."""
    tally = diag.Tally()
    sockets, done = datagrams("listen")

    assert not tally.take(sockets)
    assert tally.take(done)
    assert [diag.Listener(socket.AF_INET, "127.0.0.1", 8080, queued=2, limit=7)] == tally.listeners


def test_a_datagram_of_like_sockets_gives_what_its_sockets_give_one_by_one() -> None:
    """The short way over the whole datagram and the long way over each message agree."""
    sockets, _ = datagrams("alike")
    at_once, each = diag.Tally(), diag.Tally()
    assert len(sockets) == at_once._take_alike(sockets)
    for message in messages(sockets):
        assert 0 == each._take_alike(message)
        each.take(message)

    assert {"established": 5} == at_once.states == each.states
    assert at_once.memory_bytes == each.memory_bytes
    assert at_once.memory_bytes["receive"] >= 1000


def test_a_datagram_of_unlike_sockets_is_gone_through_one_by_one() -> None:
    """One in TIME_WAIT has no memory to tell of and is counted all the same."""
    sockets, _ = datagrams("mixed")
    tally = diag.Tally()
    assert 0 == tally._take_alike(sockets)
    tally.take(sockets)

    assert {"established": 3, "close_wait": 1, "time_wait": 1} == tally.states


def test_the_short_way_is_not_taken_where_one_socket_is_of_another_kind() -> None:
    """A message of the same length whose memory is elsewhere would be added up wrongly."""
    sockets, _ = datagrams("alike")
    length = struct.unpack_from("=I", sockets)[0]
    odd = bytearray(sockets)
    at = odd.find(struct.pack("=HH", 40, 7), length)  # the second socket's SKMEMINFO
    struct.pack_into("=HH", odd, at, 40, 99)

    assert 0 == diag.Tally()._take_alike(bytes(odd))


def test_the_kernels_refusal_is_an_error_and_half_a_message_too() -> None:
    """Neither is a namespace without sockets."""
    refusal = struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -1)
    with pytest.raises(OSError, match="sock_diag: Operation not permitted"):
        diag.Tally().take(refusal)
    with pytest.raises(Malformed, match="expected a message"):
        diag.Tally().take(datagrams("listen")[0][:100])


def test_a_listener_of_any_address_serves_where_none_has_the_very_one() -> None:
    """127.1.0.2 is served by its own listener, others by the one of all addresses, IPv6's mapped ones too."""
    every, own = (diag.Listener(socket.AF_INET6, address, 1, 0, 1) for address in ("::", "::ffff:127.1.0.2"))

    assert [own] == diag.serving([every, own], "127.1.0.2")
    assert [every] == diag.serving([every, own], "127.1.0.3")
    assert [] == diag.serving([own], "127.1.0.3")


@root
def test_the_servers_ends_are_counted_and_nobody_elses() -> None:
    """Forty clients, thirty accepted, to one loopback address; a like server at another is not in it."""
    sockets = Sockets(HERE)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.7.1", 0), backlog=64))
        port = listener.getsockname()[1]
        stack.enter_context(socket.create_server(("127.0.7.2", port)))
        stack.enter_context(socket.create_connection(("127.0.7.2", port)))
        clients = [stack.enter_context(socket.create_connection(("127.0.7.1", port))) for _ in range(40)]
        accepted = [stack.enter_context(listener.accept()[0]) for _ in range(30)]
        queues = sockets.queues("127.0.7.1", port)
        before = sockets.connections("127.0.7.1", port)
        clients[0].shutdown(socket.SHUT_WR)
        clients[1].sendall(b"x" * 4096)
        after = sockets.connections("127.0.7.1", port)

    assert 30 == len(accepted)
    assert [(10, 64)] == [(one.queued, one.limit) for one in queues]
    assert {"established": 40} == before.states
    assert {"established": 39, "close_wait": 1} == after.states
    assert after.memory_bytes["receive"] >= before.memory_bytes["receive"] + 4096
    sockets.close()
    with pytest.raises(Absent, match="forgotten"):
        sockets.queues("127.0.7.1", 1)


@root
@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this kernel has no IPv6")
def test_a_server_of_all_addresses_over_ipv6_is_counted_by_the_one_that_was_asked_for() -> None:
    """As Go listens: its ends are IPv6 sockets with mapped addresses, and the listener serves every address."""
    sockets = Sockets(HERE)
    with ExitStack() as stack:
        listener = stack.enter_context(
            socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=32)
        )
        port = listener.getsockname()[1]
        for host in ["127.0.7.3"] * 5 + ["127.0.7.4"]:
            stack.enter_context(socket.create_connection((host, port)))
        queues, tally = sockets.queues("127.0.7.3", port), sockets.connections("127.0.7.3", port)

    assert [(6, 32)] == [(one.queued, one.limit) for one in queues]
    assert {"established": 5} == tally.states
    sockets.close()


@root
def test_only_the_families_that_somebody_listens_in_are_dumped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another family's dump would go through every socket of the namespace in one call, for nothing."""
    dumped: list[socket.AddressFamily] = []
    question = diag.question

    def note(family: socket.AddressFamily, states: int, *rest: object, **more: bool) -> bytes:
        if states == diag.CONNECTED:
            dumped.append(family)
        return question(family, states, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(diag, "question", note)
    sockets = Sockets(HERE)
    with socket.create_server(("127.0.7.6", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address):
            sockets.connections(*address)
    sockets.connections(*address)  # who stopped listening may have connections of either family still
    sockets.close()

    assert [socket.AF_INET, socket.AF_INET, socket.AF_INET6] == dumped


@root
def test_a_dump_takes_breaks_and_is_broken_off_by_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small a piece may be it goes on after each, and whoever forgets the target does not wait for the rest."""
    sockets = Sockets(HERE)
    breaks: list[float] = []
    monkeypatch.setattr(namespace, "AT_ONCE_S", 0.0)
    monkeypatch.setattr(namespace, "BREAK_S", 0.0)
    clock = SimpleNamespace(thread_time=time.thread_time, sleep=breaks.append)
    monkeypatch.setattr(namespace, "time", clock)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.7.5", 0), backlog=512))
        address = listener.getsockname()
        for _ in range(500):
            stack.enter_context(socket.create_connection(address))
        assert {"established": 500} == sockets.connections(*address).states
        pieces = len(breaks)
        assert pieces >= 2  # 500 messages of 164 bytes are three datagrams of 32 KiB

        clock.sleep = lambda _: sockets.__setattr__("_is_closed", True)
        with pytest.raises(Absent, match="forgotten"):
            sockets.connections(*address)


ELSEWHERE = """
import os, sys
print(os.readlink("/proc/self/ns/net"), flush=True)
sys.stdin.readline()
"""


@root
def test_a_socket_is_made_where_it_was_asked_for_and_nobody_stays_there() -> None:
    """It belongs to the other namespace; the thread that asked is in its own as before."""
    here = HERE.readlink()
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", ELSEWHERE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as away:
        assert away.stdout
        there = away.stdout.readline().strip()
        made = open_within(Path(f"/proc/{away.pid}/ns/net"), lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        with made, pytest.raises(OSError, match="unreachable"):
            made.connect(("127.0.0.1", 9))  # in a new namespace even loopback is down

    assert str(here) != there
    assert here == HERE.readlink()


def test_a_namespace_that_cannot_be_entered_says_what_it_takes(tmp_path: Path) -> None:
    """A plain file is no namespace; the reason names the file and the capability."""
    (tmp_path / "net").write_text("")

    with pytest.raises(OSError, match="CAP_SYS_ADMIN"):
        open_within(tmp_path / "net", socket.socket)
