"""A server that gives everybody the same bytes and leaves: what a check does that meets one sort of answer only."""

from __future__ import annotations

import socket
import threading


class Answering:
    """A server of one sort of bytes: reads something, answers `reply`, closes."""

    def __init__(self, reply: bytes):
        self.reply = reply
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                client.sendall(self.reply)

    def close(self) -> None:
        self.listener.close()


HELLO = (
    b"HTTP/1.1 200 OK\r\nServer: one\r\nDate: x\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"
)
