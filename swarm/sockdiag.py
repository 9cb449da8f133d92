"""Turn the kernel's answers about listening sockets into readings.

`listeners` asks over netlink (sock_diag(7)); `parse_dump` is pure. Structures: linux/inet_diag.h and linux/netlink.h.
For a socket in LISTEN, idiag_rqueue is the accept queue's length and idiag_wqueue the backlog in force.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import NamedTuple

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST_AND_DUMP = 0x301
TCP_LISTEN = 10
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
REQUEST = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states; then an empty socket id
MESSAGE = struct.Struct("=BBBB2s2s16s16sI8sIIIII")  # ..., expires, rqueue, wqueue, uid, inode


class Listener(NamedTuple):
    """One listening TCP socket. queued: connections waiting for accept; backlog: how many may."""

    address: str
    port: int
    queued: int
    backlog: int


def listeners(port: int) -> list[Listener]:
    """Return this network namespace's listeners on `port`, one per socket. Raises OSError where netlink is refused."""
    found: list[Listener] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(1.0)
        for family in (socket.AF_INET, socket.AF_INET6):
            body = REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << TCP_LISTEN)
            length = HEADER.size + len(body)
            netlink.send(HEADER.pack(length, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_AND_DUMP, 1, 0) + body)
            while True:
                some, is_last = parse_dump(netlink.recv(65536))
                found += [listener for listener in some if listener.port == port]
                if is_last:
                    break
    return found


def parse_dump(data: bytes) -> tuple[list[Listener], bool]:
    """Return the listeners of one datagram, and whether the dump ends with it. Raises OSError for the kernel's own."""
    found: list[Listener] = []
    while len(data) >= HEADER.size:
        length, kind, *_ = HEADER.unpack_from(data)
        if kind == NLMSG_DONE:
            return found, True
        if kind == NLMSG_ERROR:
            code = -struct.unpack_from("=i", data, HEADER.size)[0]
            raise OSError(code, "sock_diag refused the question")
        fields = MESSAGE.unpack_from(data, HEADER.size)
        family, state, sport, source = fields[0], fields[1], fields[4], fields[6]
        if state == TCP_LISTEN:
            raw = source[:4] if family == socket.AF_INET else source
            found.append(Listener(str(ipaddress.ip_address(raw)), int.from_bytes(sport, "big"), fields[11], fields[12]))
        data = data[(length + 3) & ~3 :]
    return found, False
