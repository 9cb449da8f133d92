"""FastHttpUser's pool keeps a connection whose descriptor is 1024 or more."""

from __future__ import annotations

import fcntl
import socket

from geventhttpclient.connectionpool import ConnectionPool

import swarm.fasthttp  # noqa: F401 - importing it is the fix


def test_idle_connection_above_descriptor_1023_is_alive() -> None:
    """Alive while idle, dead once the peer closed or sent unasked; stock geventhttpclient 2.6.1 says dead at once."""
    pool = ConnectionPool("127.0.0.1", 1, "127.0.0.1", 1)
    ours, theirs = socket.socketpair()
    high = socket.socket(fileno=fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD, 1024))
    ours.close()
    with high, theirs:
        assert high.fileno() >= 1024
        assert pool._is_socket_alive(high)
        theirs.send(b"x")
        assert not pool._is_socket_alive(high)
        high.recv(1)
        assert pool._is_socket_alive(high)
        theirs.close()
        assert not pool._is_socket_alive(high)
    assert not pool._is_socket_alive(high)
    assert not pool._is_socket_alive(None)
