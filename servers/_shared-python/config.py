"""The environment, checked, and the listening socket."""

import ipaddress
import os
import re
import socket
import sys


def refuse(name: str, expected: str) -> None:
    print(f"{name}: expected {expected}, got {os.environ[name]!r}", file=sys.stderr)
    sys.exit(2)


def read_number(name: str, fallback: float, least: float, most: float, form: str = r"\d{1,9}") -> float:
    text = os.environ.get(name, str(fallback))
    if not re.fullmatch(form, text, re.ASCII) or not least <= float(text) <= most:
        refuse(name, f"a number from {least} to {most}")
    return float(text)


class Config:
    """A bad value: one line on stderr, exit 2."""

    def __init__(self) -> None:
        self.host = os.environ.get("LAB_HOST", "0.0.0.0")
        try:
            ipaddress.IPv4Address(self.host)
        except ValueError:
            refuse("LAB_HOST", "an IPv4 address")
        self.port = int(read_number("LAB_PORT", 8080, 1, 65535))
        self.backlog = int(read_number("LAB_BACKLOG", 4096, 1, 1 << 20))
        self.drain_s = read_number("LAB_DRAIN_S", 5, 0, 3600, r"\d{1,4}(\.\d{1,6})?")
        self.reuseport = read_number("LAB_REUSEPORT", 0, 0, 1) == 1
        self.nonce = os.environ.get("LAB_NONCE")
        if self.nonce is not None and not re.fullmatch("[0-9a-f]{16,64}", self.nonce):
            refuse("LAB_NONCE", "16 to 64 hex digits in lower case")
        self.instance = int(read_number("LAB_INSTANCE", 0, 0, 9999)) if "LAB_INSTANCE" in os.environ else None


def listen(config: Config, variant: str) -> socket.socket:
    """Open the socket, non-blocking, and say so on stderr. A failure: one line, exit 1."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if config.reuseport:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Linux hands it down to accepted sockets
        listener.bind((config.host, config.port))
        listener.listen(config.backlog)  # the kernel cuts it to net.core.somaxconn in silence
    except OSError as error:
        print(f"{variant}: cannot listen: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"{variant}: listening on {config.host}:{config.port}, backlog {config.backlog}", file=sys.stderr)
    return listener
