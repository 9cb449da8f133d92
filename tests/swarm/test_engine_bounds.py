"""What the engine refuses and where it ends: loopback alone, descriptors, ports, groups that make no sense."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.swarm.loose import (
    CLOSED,
    FIRST_BYTE,
    HOLD,
    OPEN,
    ROOT,
    SOCKET,
    STORM,
    UNANSWERED,
    Loose,
    Serve,
    eventually,
    silence,
)


def test_connections_come_from_all_source_addresses_in_turn(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Whom the server sees: each address that was given as often as the others, and no other."""
    peers: list[str] = []

    def serve(connection: socket.socket) -> None:
        peers.append(connection.getpeername()[0])
        silence(connection)

    row = engine.row(by_start=True)
    sources = ["127.64.0.1", "127.64.0.2", "127.65.3.4", "127.255.255.254"]
    engine.group(row, HOLD, server(serve), 12, once=1, sources=" ".join(sources).encode())
    eventually(lambda: len(peers) == 12)

    assert dict.fromkeys(sources, 3) == Counter(peers)


FEW_PORTS = """
import fcntl, socket, struct, sys
from pathlib import Path
from tests.swarm.loose import HOLD, Loose, eventually

with socket.socket() as probe:
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP: a new namespace's lo is down
Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("30000 30003")
engine = Loose(Path(sys.argv[1]))
row = engine.row(by_start=True)
listeners = [socket.create_server(("127.0.0.1", port)) for port in (2001, 2002)]
for port in (2001, 2002):
    engine.group(row, HOLD, port, 4, once=1, sources=b"127.64.0.1")
eventually(lambda: engine.counts(row)["established"] + engine.counts(row)["failed"] == 8)
print(engine.counts(row)["established"], engine.take(row)["errors"])
"""


def test_a_source_address_has_all_its_ports_for_each_target(library: Path) -> None:
    """Four ports, one address, two targets: eight connections. A port chosen at bind() would do for one target only."""
    namespace = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace of its own: unshare is refused")
    done = subprocess.run(
        [*namespace, sys.executable, "-c", FEW_PORTS, str(library)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert ("8 {}\n", 0) == (done.stdout, done.returncode), done.stderr


def test_only_loopback_is_ever_loaded(engine: Loose) -> None:
    """Neither a foreign address nor a name nor a foreign source, whoever asks."""
    row = engine.row()
    for host in (b"10.0.0.1", b"128.0.0.1", b"126.255.255.255", b"localhost", b"::1", b""):
        assert -errno.EACCES == engine.group(row, CLOSED, 80, 1, host=host), host
    assert -errno.EACCES == engine.group(row, CLOSED, 80, 1, sources=b"127.0.0.1 10.0.0.1")


@pytest.mark.parametrize(
    "wrong",
    [{"port": 0}, {"port": 65536}, {"kind": 4}, {"kind": -1}, {"connections": 0}, {"patience_ns": 0}, {"row": 5},
     {"row": -1}, {"kind": OPEN, "rate_per_s": 0.0}, {"kind": OPEN, "rate_per_s": float("nan")}, {"request": b""},
     {"kind": STORM, "every_ns": 0}, {"sources": b"127.0.0.1 nonsense"}, {"sample": -1}],
)  # fmt: skip
def test_nonsense_is_refused(engine: Loose, wrong: dict[str, Any]) -> None:
    """EINVAL, and nothing begins."""
    engine.row()
    told = {"row": 0, "kind": CLOSED, "port": 80, "connections": 1} | wrong
    assert -errno.EINVAL == engine.group(**told)


def test_descriptors_run_out(engine: Loose, server: Callable[[Serve], int]) -> None:
    """EMFILE is an error of its phase; the others are held, and the loop goes on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    row = engine.row(by_start=True)
    port = server(silence)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, hard))
    try:
        engine.group(row, HOLD, port, 200, once=1)
        eventually(lambda: engine.counts(row)["failed"] + engine.counts(row)["established"] == 200)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {(SOCKET, errno.EMFILE)} == set(engine.take(row)["errors"])


def test_the_largest_hold_one_process_may_have_leaves_nothing_behind(engine: Loose) -> None:
    """Ended at once with all connections under way: every descriptor comes back."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = len(list(Path("/proc/self/fd").iterdir()))
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        row = engine.row(by_start=True)
        group = engine.group(row, HOLD, listener.getsockname()[1], 2000, once=1)
        eventually(lambda: engine.counts(row)["established"] == 2000)
        engine.end(group, count_unanswered=True)
        assert {(FIRST_BYTE, UNANSWERED): 2000} == engine.take(row)["errors"]
        eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before + 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
