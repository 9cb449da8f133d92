"""Who may be connected to: the judge, and the hook in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarm.guard import Guard, TargetRefused
from swarm.settings import Target

ROOT = Path(__file__).resolve().parents[2]
INET = SimpleNamespace(family=socket.AF_INET)
UNIX = SimpleNamespace(family=socket.AF_UNIX)
SWARM = json.dumps({
    "scenarios": {"plain": {"kind": "closed", "users": "locust"}},
    "targets": {"v": {"host": "127.0.0.1", "port": 8080, "speaks": "http", "fixed_delay": False, "nonce": "5eed" * 8}},
    "once": False,
    "opening": 128,
})  # fmt: skip


def make_guard(listener: socket.socket) -> Guard:
    """A guard that has checked one target without a nonce, and knows its master."""
    guard = Guard()
    host, port = listener.getsockname()
    guard.allow_master("10.1.2.3", 5557)
    guard.check(Target("v", host, port, "http", False))
    return guard


@pytest.mark.parametrize(
    ("event", "sock", "address", "is_refused"),
    [
        ("socket.connect", INET, ("10.1.2.3", 5557), False),
        ("socket.connect", INET, ("10.1.2.3", 80), True),
        ("socket.connect", INET, ("93.184.216.34", 80), True),
        ("socket.connect", INET, ("localhost", 80), True),
        ("socket.sendto", INET, ("8.8.8.8", 53), True),
        ("socket.sendmsg", INET, None, False),
        ("socket.connect", UNIX, "/dev/log", False),
        ("socket.bind", INET, ("0.0.0.0", 80), False),
    ],
)
def test_only_checked_targets_and_the_master_are_reached(event: str, sock: Any, address: Any, is_refused: bool) -> None:
    """By literal address and port; sockets that go nowhere else are left alone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        guard = make_guard(listener)
        guard.judge("socket.connect", (INET, listener.getsockname()))
        if not is_refused:
            guard.judge(event, (sock, address))
            return
        with pytest.raises(TargetRefused, match="target refused: "):
            guard.judge(event, (sock, address))


@pytest.mark.parametrize(("host", "is_refused"), [("127.0.0.1", False), ("::1", False), (None, False), ("web", True)])
def test_no_name_is_looked_up(host: str | None, is_refused: bool) -> None:
    """Literal addresses and listening on all pass; until the master is known, its name may be looked up."""
    guard = Guard()
    guard.judge("socket.getaddrinfo", ("master", 5557, 0, 0, 0))
    guard.allow_master("master", 5557)
    guard.judge("socket.getaddrinfo", ("master", 5557, 0, 0, 0))
    if not is_refused:
        guard.judge("socket.getaddrinfo", (host, 80, 0, 0, 0))
        return
    with pytest.raises(TargetRefused, match="web is a name"):
        guard.judge("socket.getaddrinfo", (host, 80, 0, 0, 0))


def test_a_new_test_must_check_anew() -> None:
    """What was allowed in the last test is not in the next one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        guard = make_guard(listener)
        guard.forget()
        with pytest.raises(TargetRefused, match="none yet"):
            guard.judge("socket.connect", (INET, listener.getsockname()))


def test_a_port_that_closed_is_refused() -> None:
    """The kernel is asked who listens; nothing is connected to for that."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TargetRefused, match="nothing listens there"):
        Guard().check(Target("v", "127.0.0.1", port, "http", False))


HOOKED = """
import socket, sys
import gevent.monkey
gevent.monkey.patch_all()
import _socket
from swarm.guard import Guard, install
install(Guard())
port = int(sys.argv[1])
for make in (socket.socket, _socket.socket):
    for connect in ("connect", "connect_ex"):
        sock = make(socket.AF_INET, socket.SOCK_STREAM)
        try:
            getattr(sock, connect)(("127.0.0.1", port))
        except PermissionError as error:
            print(error)
        else:
            print("CONNECTED")
"""


def test_every_python_socket_of_the_process_is_under_the_hook() -> None:
    """gevent's and the bare ones, connect and connect_ex; the listener sees nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", HOOKED, str(port)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()

    assert [f"target refused: 127.0.0.1:{port} is no checked target of this lab: none yet"] * 4 == (
        done.stdout.splitlines()
    )


def test_a_host_on_the_masters_command_line_is_refused() -> None:
    """Exit code 2, one line that says what and why, no traceback, and nothing is served."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        rpc, web = one.getsockname()[1], other.getsockname()[1]
    command = [sys.executable, "-m", "swarm", "-f", "swarm/locustfile.py", "--master", "--host", "http://192.0.2.1"]
    bind = ["--master-bind-host", "127.0.0.1", "--master-bind-port", str(rpc)]
    done = subprocess.run(
        [*command, *bind, "--web-host", "127.0.0.1", "--web-port", str(web)],
        cwd=ROOT, env=os.environ | {"LAB_SWARM": SWARM}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "INFO" not in line]
    line = "swarm: target refused: --host 'http://192.0.2.1'; only the targets in LAB_SWARM are loaded"

    assert ([line], 2, "") == (said, done.returncode, done.stdout)


STARTING = """
import os, sys
if sys.argv[1] == "gevent":
    import gevent.monkey
    gevent.monkey.patch_all()
import subprocess
from swarm.guard import Guard, install
install(Guard())
touch, mark = "/bin/touch", sys.argv[2]
for start in (
    lambda: subprocess.run([touch, mark]),
    lambda: os.system(f"{touch} {mark}"),
    lambda: os.popen(f"{touch} {mark}").close(),
    lambda: os.posix_spawn(touch, [touch, mark], {}),
    lambda: os.fork() or os._exit(0),
    lambda: os.forkpty()[0] or os._exit(0),
    lambda: os.execv(touch, [touch, mark]),
):
    try:
        start()
    except PermissionError as error:
        print(str(error).partition(": a worker")[0].replace("subprocess.Popen", "os.fork"))
    else:
        print("STARTED")
"""


@pytest.mark.parametrize("patched", ["gevent", "bare"])
def test_no_other_process_is_started(patched: str, tmp_path: Path) -> None:
    """It would be under no hook: not by subprocess, gevent's or the bare one, nor by what lies below it."""
    mark = tmp_path / "started"
    done = subprocess.run(
        [sys.executable, "-c", STARTING, patched, str(mark)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    events = ["os.fork", "os.system", "os.fork", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec"]

    assert [f"target refused: {event}" for event in events] == done.stdout.splitlines()
    assert not mark.exists()
