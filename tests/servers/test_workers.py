"""What distinguishes c-threadpool and c-prefork: a limit on who is served at once, and what happens there.

The contract, which they share with all others, is `lab verify`'s work. Compiled here and run on loopback.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.test_event_loops import HOLD, PLAIN, SERVERS, children, connect, read_body, read_stats, wait_for

LIMITS = {"c-threadpool": "LAB_THREADS", "c-prefork": "LAB_PROCESSES_MOST"}
SPARE = 8  # SPARE_LEAST of c-prefork/server.c
PATIENCE_S = 30.0
LONG = b"GET /delay?ms=120000 HTTP/1.1\r\nHost: x\r\n\r\n"
RELEASE = b"POST /release HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name in LIMITS:
        folder = tmp_path_factory.mktemp(name)
        (folder / "shared").symlink_to(SERVERS / "_shared-c")
        files = [*sorted((SERVERS / name).glob("*.c")), *sorted((SERVERS / "_shared-c").glob("*.c"))]
        command = ["gcc", "-O1", "-std=gnu17", "-pthread", f"-I{SERVERS / name}", f"-I{folder}"]
        made[name] = folder / "server"
        done = subprocess.run([*command, "-o", made[name], *files], capture_output=True, text=True, timeout=300)
        assert 0 == done.returncode, done.stderr[-4000:]
    return made


@contextmanager
def serving(program: Path, **told: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a server; return it and its port once it listens. Ended by SIGTERM, or by SIGKILL at the latest."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port = int(asked.getsockname()[1])
    environment = os.environ | {"LAB_HOST": "127.0.0.1", "LAB_PORT": str(port), "LAB_DRAIN_S": "0.2"} | told
    server = subprocess.Popen([program], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        assert "listening" in server.stderr.readline()
        yield server, port
        server.terminate()
        assert 0 == server.wait(PATIENCE_S)
    finally:
        server.kill()
        server.wait(PATIENCE_S)
        assert server.stderr is not None
        server.stderr.close()


@pytest.mark.parametrize("name", LIMITS)
def test_the_last_worker_stays_out_of_hold_and_hears_the_release(programs: dict[str, Path], name: str) -> None:
    """Of 3 workers 2 hold; the third client gets 503, and POST /release frees the two, whatever process they are in."""
    with serving(programs[name], **{LIMITS[name]: "3"}) as (_, port):
        held = [connect(port, HOLD) for _ in range(2)]
        with connect(port) as third:
            wait_for(lambda: read_stats(third)["held"] == 2)
            third.sendall(HOLD)

            assert third.recv(4096).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")

            third.sendall(RELEASE)

            assert {"released": 2} == json.loads(read_body(third))
        assert [b"Hello, world!"] * 2 == [read_body(client) for client in held]
        for client in held:
            client.close()


@pytest.mark.parametrize("name", LIMITS)
def test_with_all_workers_waiting_the_next_client_waits_too(programs: dict[str, Path], name: str) -> None:
    """Two of two in /delay: the third is accepted by the kernel and not answered, until one of the two leaves."""
    with serving(programs[name], **{LIMITS[name]: "2"}) as (_, port):
        first, second = connect(port, LONG), connect(port, LONG)
        with connect(port, PLAIN) as third:
            third.settimeout(0.5)
            with pytest.raises(TimeoutError):
                third.recv(1)
            third.settimeout(PATIENCE_S)
            first.close()

            assert b"Hello, world!" == read_body(third)
        second.close()


@pytest.mark.parametrize("name", LIMITS)
def test_who_is_idle_makes_room_for_who_waits(programs: dict[str, Path], name: str) -> None:
    """One worker waits in /delay, the other for an idle client: that one is hung up on when a third comes."""
    with serving(programs[name], **{LIMITS[name]: "2"}) as (_, port):
        busy = connect(port, LONG)
        with connect(port, PLAIN) as idle:
            assert b"Hello, world!" == read_body(idle)  # before anybody waits: its reply does not say close

            with connect(port, PLAIN) as third:
                assert b"Hello, world!" == read_body(third)

            assert b"" == idle.recv(1)
        busy.close()


def test_processes_come_with_the_crowd_and_go_with_it(programs: dict[str, Path]) -> None:
    """30 held clients have a process each, and 8 are ready; afterwards there are 8 again."""
    with serving(programs["c-prefork"]) as (server, port):
        wait_for(lambda: len(children(server.pid)) == SPARE)
        held = [connect(port, HOLD) for _ in range(30)]
        wait_for(lambda: len(children(server.pid)) >= 30 + SPARE)
        with connect(port, RELEASE) as other:
            read_body(other)
        for client in held:
            read_body(client)
            client.close()
        wait_for(lambda: len(children(server.pid)) == SPARE)


def test_a_process_that_is_killed_takes_one_client_with_it(programs: dict[str, Path]) -> None:
    """Three hold, one's process is killed: two are counted and released, and another process takes its place."""
    with serving(programs["c-prefork"]) as (server, port):
        held = [connect(port, HOLD) for _ in range(3)]
        with connect(port) as other:
            wait_for(lambda: read_stats(other)["held"] == 3)
            port_of_first = held[0].getsockname()[1]
            os.kill(process_of(server.pid, port_of_first), signal.SIGKILL)
            assert b"" == held[0].recv(1)
            wait_for(lambda: read_stats(other)["active"] == 3)

            assert 2 == read_stats(other)["held"]

            other.sendall(RELEASE)

            assert {"released": 2} == json.loads(read_body(other))
        assert [b"Hello, world!"] * 2 == [read_body(client) for client in held[1:]]
        wait_for(lambda: len(children(server.pid)) >= SPARE)
        for client in held:
            client.close()


def process_of(parent: int, client_port: int) -> int:
    """Return the child that has the connection from there, by the socket's inode in /proc/net/tcp."""
    remote = f":{client_port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = (row[9] for row in rows if row[2].endswith(remote) and row[3] == "01")
    for pid in children(parent):
        links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        if f"socket:[{inode}]" in links:
            return pid
    raise AssertionError(f"no process of {parent} has the connection from port {client_port}")
