"""What distinguishes the event loops of servers/c-*: the contract, which they share, is `lab verify`'s work.

Compiled here and run on loopback, each on a port that the kernel chose.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SERVERS = Path(__file__).resolve().parents[2] / "servers"
PATIENCE_S = 30.0  # for a machine busy with other things; a right answer takes a millisecond
PLAIN = b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"
HOLD = b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
OWN_PROCESSES = ["c-epoll-reuseport", "c-epoll-exclusive"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that compiles a variant as its README says; each once."""
    made: dict[str, Path] = {}

    def build(name: str) -> Path:
        if name not in made:
            source = tmp_path_factory.mktemp(name)
            for file in (SERVERS / name).glob("*.[ch]"):
                (source / file.name).symlink_to(file)
            (source / "shared").symlink_to(SERVERS / "_shared-c")
            files = [*sorted(source.glob("*.c")), *sorted((source / "shared").glob("*.c"))]
            command = ["gcc", "-O1", "-std=gnu17", "-pthread", f"-I{source}", "-o", str(source / "server")]
            done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=300)
            assert 0 == done.returncode, done.stderr[-4000:]
            made[name] = source / "server"
        return made[name]

    return build


@contextmanager
def serving(program: Path, processes: int = 2) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a server; return it and its port once it listens. Ended by SIGKILL at the latest."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port = int(asked.getsockname()[1])
    told = {"LAB_HOST": "127.0.0.1", "LAB_PORT": str(port), "LAB_PROCESSES": str(processes), "LAB_DRAIN_S": "2"}
    server = subprocess.Popen([program], env=os.environ | told, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        assert "listening" in server.stderr.readline()
        yield server, port
    finally:
        server.kill()
        server.wait(PATIENCE_S)
        assert server.stderr is not None
        server.stderr.close()


def connect(port: int, sent: bytes = b"") -> socket.socket:
    """Return a connection on which `sent` was sent."""
    client = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    client.sendall(sent)
    return client


def read_stats(client: socket.socket) -> dict[str, Any]:
    """Ask over a connection that is open already."""
    client.sendall(b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n")
    said = b""
    while not said.endswith(b"}"):
        said += client.recv(65536)
    stats: dict[str, Any] = json.loads(said.partition(b"\r\n\r\n")[2])
    return stats


def read_body(client: socket.socket) -> bytes:
    """Return the body of the one answer that comes."""
    said = b""
    while b"\r\n\r\n" not in said:
        said += client.recv(65536)
    head, _, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length is not None
    while len(body) < int(length[1]):
        piece = client.recv(65536)
        assert piece
        body += piece
    return body


def count_unacknowledged(client: socket.socket) -> int:
    """Bytes sent that the other side's kernel has not taken yet: SIOCOUTQ, tcp(7)."""
    return int.from_bytes(fcntl.ioctl(client, termios.TIOCOUTQ, b"\0" * 4), sys.byteorder)


def wait_for(fact: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def sockets(pid: int) -> int:
    return sum(str(entry.readlink()).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir())


def sleeps(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize("name", OWN_PROCESSES)
def test_a_process_that_dies_ends_the_server_with_one_line(built: Any, name: str) -> None:
    """The others drain, so none is left; the parent says who it was."""
    with serving(built(name), processes=3) as (server, _):
        family = children(server.pid)
        os.kill(family[1], signal.SIGKILL)
        code = server.wait(PATIENCE_S)
        assert server.stderr is not None
        said = server.stderr.read()

    assert 1 == code
    assert re.fullmatch(rf"{name}: process 1 \(pid {family[1]}\) was killed by signal 9; the server ends\n", said)
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)


@pytest.mark.parametrize("name", OWN_PROCESSES)
def test_one_release_reaches_the_clients_of_every_process(built: Any, name: str) -> None:
    """Whichever process is asked, it counts and frees all, and the gauges of all return to where they were."""
    with serving(built(name)) as (server, port), connect(port) as asking:
        before = read_stats(asking)
        waiting: list[socket.socket] = []
        family = children(server.pid)
        for _ in range(40):
            wait_for(lambda: all(sleeps(pid) for pid in family))
            waiting.append(connect(port, HOLD))
            wait_for(lambda: read_stats(asking)["held"] == len(waiting))
        shares = [sockets(pid) for pid in family]
        asking.sendall(b"POST /release HTTP/1.1\r\nHost: x\r\n\r\n")
        released = asking.recv(4096)
        answers = [client.recv(4096) for client in waiting]
        for client in waiting:
            client.close()
        wait_for(lambda: read_stats(asking)["active"] == 1)
        after = read_stats(asking)

    assert released.endswith(b'{"released": 40}')
    assert all(answer.endswith(b"Hello, world!") for answer in answers)
    assert min(shares) > 2  # a listener, and clients: the release had somebody to reach in both
    assert [before[key] for key in ("held", "open_fds", "threads")] == [
        after[k] for k in ("held", "open_fds", "threads")
    ]
    assert 3 == after["threads"]


def test_a_port_that_is_taken_is_noticed_although_it_could_be_shared(built: Any) -> None:
    """With SO_REUSEPORT a second server would take its share of the first one's clients."""
    program = built("c-epoll-reuseport")
    with serving(program) as (_, port):
        told = os.environ | {"LAB_HOST": "127.0.0.1", "LAB_PORT": str(port), "LAB_PROCESSES": "2"}
        second = subprocess.run([program], env=told, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    assert (1, "bind: Address already in use\n") == (second.returncode, second.stderr)


def test_exclusive_wakes_take_turns(built: Any) -> None:
    """Whoever has accepted waits at the end of the row; left alone, one process would get every client."""
    with serving(built("c-epoll-exclusive")) as (server, port):
        clients = []
        family = children(server.pid)
        for _ in range(60):
            wait_for(lambda: all(sleeps(pid) for pid in family))  # a process too busy to sleep is not woken
            clients.append(connect(port, PLAIN))
            clients[-1].recv(4096)
        shares = [sockets(pid) for pid in family]
        for client in clients:
            client.close()

    assert min(shares) > 20


def test_what_a_turn_leaves_is_not_forgotten(built: Any) -> None:
    """A request longer than a turn may read lies in the socket, whole: no further event will tell of the rest."""
    pieces = 46_000  # of one byte: a long request with a short answer, which fits a socket and so makes no event either
    request = (
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * pieces + b"0\r\n\r\n"
    )
    with serving(built("c-epoll-et")) as (server, port), connect(port) as client:
        for _ in range(100):  # the kernel makes room in a socket that is read from fast
            os.kill(server.pid, signal.SIGSTOP)
            client.sendall(request)
            time.sleep(0.05)
            is_whole = count_unacknowledged(client) == 0  # all of it is on the server's side
            os.kill(server.pid, signal.SIGCONT)
            assert b"x" * pieces == read_body(client)
            if is_whole:
                break

    assert is_whole


def read_or_end(client: socket.socket) -> bytes:
    """Return what comes. A request that is there before the server closes makes the end a reset (resets.md)."""
    try:
        return client.recv(4096)
    except ConnectionResetError:
        return b""


def test_select_stops_at_the_wall_and_serves_on(built: Any) -> None:
    """Who does not fit the set sees the end; all others are served, and nothing is written beyond it."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    least = 4096
    assert limits[1] == resource.RLIM_INFINITY or limits[1] >= least, f"needs a hard limit of {least} descriptors"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], least), limits[1]))
    try:
        with serving(built("c-select")) as (_, port), connect(port) as asking:
            read_stats(asking)
            clients = [connect(port, PLAIN) for _ in range(1200)]
            answers = [read_or_end(client) for client in clients]
            stats = read_stats(asking)
            for client in clients:
                client.close()
            wait_for(lambda: read_stats(asking)["active"] == 1)
            with connect(port, PLAIN) as late:
                served_after = late.recv(4096)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    served = sum(answer.endswith(b"Hello, world!") for answer in answers)
    assert 1000 <= served < 1024
    assert {"ERANGE": 1200 - served} == stats["errors"]
    assert 1024 == stats["open_fds"]
    assert served_after.endswith(b"Hello, world!")
