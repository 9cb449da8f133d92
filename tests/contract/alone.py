"""Run one act of the contract against the planted server, alone in a network namespace of its own.

`python -m tests.contract.alone '{"act": "wire", "planted": "date-advances", ...}'` prints the suite's lines. Where no
namespace may be made it prints {"shared": true} first; the namespace's counters mean nothing then.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

from orchestrator.contract.kernel import listeners
from orchestrator.contract.run import run
from orchestrator.contract.told import read_told
from tests.contract.planted import Server, Settings

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
READY_S = 20.0


def leave_the_network() -> bool:
    """Move this process to a network namespace of its own with the loopback up; return whether that was allowed."""
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    own = f"0 {os.getuid()} 1"
    if unshare(CLONE_NEWNET) != 0:
        if unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
            return False
        Path("/proc/self/uid_map").write_text(own)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    return True


def start_server(settings: Settings, nofile: int | None) -> int:
    """Return the pid of a planted server that listens."""
    pid = os.fork()
    if pid == 0:
        if nofile is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
        try:
            asyncio.run(Server(settings).run())
        finally:
            os._exit(1)
    deadline_s = time.monotonic() + READY_S
    while not listeners("127.0.0.1", settings.port):
        if time.monotonic() > deadline_s:
            raise SystemExit(f"the planted server does not listen within {READY_S:g} s")
        time.sleep(0.01)
    return pid


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def main(asked: dict[str, Any]) -> None:
    is_alone = leave_the_network()
    if not is_alone:
        print(json.dumps({"shared": True}), flush=True)
    names = {field.name for field in fields(Settings)} - {"variant", "port"}
    port = 8080 if is_alone else free_port()
    settings = Settings(port=port, **{name: asked.pop(name) for name in list(asked) if name in names})
    pid = start_server(settings, asked.pop("server_nofile", asked.get("nofile")))
    told = {
        "host": "127.0.0.1", "port": settings.port, "variant": settings.variant, "nonce": settings.nonce,
        "backlog": settings.backlog, "drain_s": settings.drain_s, "head_timeout_s": settings.head_timeout_s,
        "body_timeout_s": settings.body_timeout_s, "linger_s": settings.linger_s, "pid": pid,
    }  # fmt: skip
    try:
        for line in run(read_told(json.dumps(told | asked))):
            print(json.dumps(line), flush=True)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # a check that never ended may still have its thread
