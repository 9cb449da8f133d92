"""A blocking HTTP/1.1 client for the contract probe: standard library only, one connection, in the order of the wire.

It sends what it is told, right or wrong, and hands back answers as http1.py reads them.
"""

from __future__ import annotations

import socket

from swarm.http1 import Answer, AnswerReader


class Client:
    """One connection to the server under test; speaks HTTP/1.1 well enough to be strict about it."""

    def __init__(self, host: str, port: int, patience_s: float):
        self._sock = socket.create_connection((host, port), timeout=patience_s)
        self._rest = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def answer(self) -> Answer:
        """Return the next answer, in the order of the connection."""
        reader = AnswerReader()
        data, self._rest = self._rest, b""
        while True:
            answer = reader.feed(data) if data else None
            if answer is not None:
                self._rest = reader.rest
                return answer
            data = self._sock.recv(65536)
            if not data:
                return reader.end()

    def ask(self, path: str, method: str = "GET", headers: str = "", body: bytes = b"", version: str = "1.1") -> Answer:
        self.send(render(path, method, headers, body, version))
        return self.answer()

    def drain(self) -> bytes:
        """Return everything up to the end of the connection."""
        data = self._rest
        while piece := self._sock.recv(65536):
            data += piece
        return data


def render(path: str, method: str = "GET", headers: str = "", body: bytes = b"", version: str = "1.1") -> bytes:
    """Return a request; a body gets its Content-Length. headers: whole lines, each with its CRLF."""
    if body:
        headers += f"Content-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/{version}\r\nHost: probe\r\n{headers}\r\n".encode() + body
