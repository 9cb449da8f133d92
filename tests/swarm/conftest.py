"""The engine of these tests, compiled once, and servers that end with their test."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.swarm.loose import ENGINE, Loose, Serve


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("engine")
    subprocess.run(["make", "-s", "-C", str(ENGINE), f"OUT={out}", "WERROR=-Werror"], check=True, timeout=120)
    return out / "libengine.so"


@pytest.fixture
def engine(library: Path) -> Iterator[Loose]:
    loose = Loose(library)
    yield loose
    loose.lib.engine_free(loose.engine)


@pytest.fixture
def server() -> Iterator[Callable[[Serve], int]]:
    """Return a function that serves each connection in a thread with the given function, and returns the port."""
    listeners: list[socket.socket] = []

    def start(serve: Serve) -> int:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listeners.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_serve_quietly, args=(serve, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _serve_quietly(serve: Serve, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):  # the client left first
        serve(connection)
