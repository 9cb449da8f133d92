"""Importing this keeps FastHttpUser's connections alive above descriptor 1023.

geventhttpclient 2.6.1 (connectionpool.py, `_is_socket_alive`) tests a pooled socket with select(2), which cannot take
descriptors from 1024 on; the ValueError is swallowed as "dead", so every request reconnects. poll(2) has no limit.
"""

from __future__ import annotations

import select
from typing import Any

from gevent import monkey
from geventhttpclient.connectionpool import ConnectionPool

# The real one: gevent's replacement makes watchers and yields, and nothing here waits.
_poll = monkey.get_original("select", "poll")


def is_socket_alive(pool: ConnectionPool, sock: Any) -> bool:
    """Return whether an idle pooled socket may be used again: open, and with nothing to read.

    Something to read on an idle connection is the peer's FIN or bytes nobody asked for.
    """
    if sock is None:
        return False
    try:
        descriptor = sock.fileno()
        if descriptor < 0:
            return False
        poller = _poll()
        poller.register(descriptor, select.POLLIN)
        return not poller.poll(0)
    except OSError:
        return False


ConnectionPool._is_socket_alive = is_socket_alive  # type: ignore[method-assign,assignment]  # patched on purpose
