"""A server in Python threads that answers in one of several moods: what the engine has to live through."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

BODY = b"Hello, world!"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nHello\r\n8\r\n, world!\r\n0\r\nX: y\r\n\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST


def requests(connection: socket.socket) -> Iterator[None]:
    """Yield once for each request, until the client leaves; requests are not pipelined."""
    data = b""
    while piece := connection.recv(4096):
        data += piece
        if data.endswith(b"\r\n\r\n"):
            data = b""
            yield


def rightly(connection: socket.socket) -> None:
    for _ in requests(connection):
        connection.sendall(ANSWER)


def in_cuts(connection: socket.socket) -> None:
    """Every answer in two pieces, cut at another place each time; chunked and plain in turn."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for turn, _ in enumerate(requests(connection)):
        answer = (ANSWER, CHUNKED)[turn % 2]
        place = 1 + turn * 7 % (len(answer) - 1)
        connection.sendall(answer[:place])
        connection.sendall(answer[place:])


def garbage(connection: socket.socket) -> None:
    for _ in requests(connection):
        connection.sendall(b"\x00\xff 200 \r\r\n" * 50)


def too_much(connection: socket.socket) -> None:
    for _ in requests(connection):
        connection.sendall(ANSWER * 3)


def out_of_turn(connection: socket.socket) -> None:
    """Speaks before it is asked, and once more after every answer."""
    connection.sendall(ANSWER)
    for _ in requests(connection):
        connection.sendall(ANSWER)
        connection.sendall(b"more")


def wrong_body(connection: socket.socket) -> None:
    for turn, _ in enumerate(requests(connection)):
        body = (b"Hello, World!", b"Hello", b"Hello, world! And more.")[turn % 3]
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def redirect(connection: socket.socket) -> None:
    for _ in requests(connection):
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n")


def close_early(connection: socket.socket) -> None:
    """Half an answer, then the end."""
    for _ in requests(connection):
        connection.sendall(ANSWER[:45])
        return


def close_at_once(connection: socket.socket) -> None:
    del connection


def reset(connection: socket.socket) -> None:
    for _ in requests(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        return


def never(connection: socket.socket) -> None:
    for _ in requests(connection):
        pass


WRONG = (garbage, too_much, out_of_turn, wrong_body, redirect, close_early, close_at_once, reset, never)
MOODS: dict[str, Callable[[socket.socket], None]] = {mood.__name__: mood for mood in (rightly, in_cuts, *WRONG)}


@contextlib.contextmanager
def serve(mood: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve in a mood on a free port of 127.0.0.1, one thread for each connection; the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:

        def attend(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):  # the client may leave at any time
                mood(connection)

        def accept() -> None:
            with contextlib.suppress(OSError):  # how the end of the listener is told
                while True:
                    threading.Thread(target=attend, args=(listener.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)
