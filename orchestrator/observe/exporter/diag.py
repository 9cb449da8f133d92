"""Turn the kernel's answers about TCP sockets into counts by state, sums of their memory, and accept queues.

Asking is pure bytes here (`question`), and so is reading an answer (`Tally.take`); who sends and where is namespace.py.
A dump of 100,000 sockets is 15 MB in some 500 datagrams. Nearly always all messages of a datagram are of one length:
then the states are every n-th byte and each kind of memory every n-th number of it, which Python slices and adds up
without a step for each socket (0.1 µs for each instead of 3). Others are gone through one by one.
Sources: sock_diag(7), netlink(7), linux/inet_diag.h, net/ipv4/inet_diag.c inet_sk_diag_fill and inet_diag_bc_run. The
swarm and the contract suite read listeners with a decoder of their own: they live in other images.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field

from .errors import Malformed

PROTOCOL = 4  # NETLINK_SOCK_DIAG
STATES = {
    1: "established", 2: "syn_sent", 3: "syn_recv", 4: "fin_wait1", 5: "fin_wait2", 6: "time_wait", 7: "close",
    8: "close_wait", 9: "last_ack", 10: "listen", 11: "closing",
}  # fmt: skip
LISTEN = 10
CONNECTED = sum(1 << number for number in STATES if number != LISTEN)
# Of INET_DIAG_SKMEMINFO's nine numbers: received and not read, queued to be sent, set aside ahead, behind a busy lock.
MEMORY = {"receive": 0, "send": 5, "forward": 4, "backlog": 7}
_BY_FAMILY, _REQUEST_AND_DUMP = 20, 0x301
_ERROR, _DONE = 2, 3
_BYTECODE, _SKMEMINFO = 1, 7
_LOCAL_IS = 7  # INET_DIAG_BC_S_COND
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
# family, protocol, extensions, states; source port, other port, source, other, interface, cookie (none: all ones)
_QUESTION = struct.Struct("=BBBxI2s2s16s16sI8s")
# family, state, timer, retransmits, source port, other port, source, other, interface, cookie, expires, rqueue, wqueue,
# uid, inode; of a listener rqueue is the accept queue's length and wqueue the backlog in force.
_MESSAGE = struct.Struct("=BBBB2s2s16s16sI8sIIIII")
_ATTR = struct.Struct("=HH")
_STATE_AT = _HEADER.size + 1
_ATTRS_AT = _HEADER.size + _MESSAGE.size


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket. queued: connections waiting for accept; limit: how many may."""

    family: socket.AddressFamily
    address: str
    port: int
    queued: int
    limit: int


@dataclass(slots=True)
class Tally:
    """What the datagrams taken so far hold."""

    states: Counter[str] = field(default_factory=Counter)
    memory_bytes: Counter[str] = field(default_factory=Counter)
    listeners: list[Listener] = field(default_factory=list)

    def take(self, data: bytes) -> bool:
        """Take one datagram in; return whether the dump ends with it.

        Raises OSError for an error of the kernel's own, Malformed for what has not the documented shape.
        """
        at = self._take_alike(data)
        while at + _HEADER.size <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if kind == _DONE:
                return True
            if kind == _ERROR:
                code = -struct.unpack_from("=i", data, at + _HEADER.size)[0]
                raise OSError(code, f"sock_diag: {os.strerror(code)}")
            if length < _ATTRS_AT or at + length > len(data):
                raise Malformed(f"sock_diag: expected a message of {_ATTRS_AT} bytes or more, saw {length}")
            self._take_one(data, at, length)
            at += (length + 3) & ~3
        return False

    def _take_alike(self, data: bytes) -> int:
        """Take the whole datagram at once where all its messages are alike; return how far that reached."""
        if len(data) < 2 * _ATTRS_AT:
            return 0
        length, kind, *_ = _HEADER.unpack_from(data)
        if kind != _BY_FAMILY or length < _ATTRS_AT or length % 4 or len(data) % length:
            return 0
        count = len(data) // length
        step = length // 4
        numbers = memoryview(data).cast("I")
        if numbers[::step].tolist() != [length] * count or data[4::length].count(_BY_FAMILY) != count:
            return 0
        states = data[_STATE_AT::length]
        if LISTEN in states:
            return 0
        memory_at = _find(data, _ATTRS_AT, length, _SKMEMINFO)
        if memory_at is not None:
            # One in TIME_WAIT has no attributes; of one length and with this one in its place, all are alike.
            head = memory_at - _ATTR.size
            if numbers[head // 4 :: step].tolist() != [numbers[head // 4]] * count:
                return 0
            for name, index in MEMORY.items():
                self.memory_bytes[name] += sum(numbers[memory_at // 4 + index :: step].tolist())
        for number in set(states):
            self.states[_name(number)] += states.count(number)
        return len(data)

    def _take_one(self, data: bytes, at: int, length: int) -> None:
        family, state, _, _, port, _, source, *_, queued, limit, _, _ = _MESSAGE.unpack_from(data, at + _HEADER.size)
        if state == LISTEN:
            address = ipaddress.ip_address(source[:4] if family == socket.AF_INET else source)
            own_port = int.from_bytes(port, "big")
            self.listeners.append(Listener(socket.AddressFamily(family), str(address), own_port, queued, limit))
            return
        self.states[_name(state)] += 1
        memory_at = _find(data, at + _ATTRS_AT, at + length, _SKMEMINFO)
        if memory_at is not None:
            for name, index in MEMORY.items():
                self.memory_bytes[name] += struct.unpack_from("=I", data, memory_at + 4 * index)[0]


def question(family: socket.AddressFamily, states: int, port: int, host: str = "", *, memory: bool = False) -> bytes:
    """Return the request for a dump of one family's TCP sockets.

    states: bits of STATES' numbers. port: their own. host: their own address, IPv4; "": whatever. The kernel compares
    both itself, so that the other ends of loopback connections are not copied. memory: tell SKMEMINFO of each.
    """
    extensions = 1 << (_SKMEMINFO - 1) if memory else 0
    own_port = port.to_bytes(2, "big")
    body = _QUESTION.pack(
        family, socket.IPPROTO_TCP, extensions, states, own_port, b"\0\0", b"", b"", 0, b"\xff" * 8
    )  # fmt: skip
    if host:
        body += _own_address_is(host)
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST_AND_DUMP, 1, 0) + body


def serving(listeners: list[Listener], host: str) -> list[Listener]:
    """Return those that take connections to an IPv4 address: its own, else those of any address."""
    exact = [one for one in listeners if one.address in (host, f"::ffff:{host}")]
    return exact or [one for one in listeners if one.address in ("0.0.0.0", "::")]


def _own_address_is(host: str) -> bytes:
    """Build the one-step program that keeps the sockets of one own address, IPv4 as such or mapped into IPv6."""
    condition = struct.pack("=BBxxi4s", socket.AF_INET, 32, -1, socket.inet_aton(host))  # -1: any port
    length = 4 + len(condition)
    step = struct.pack("=BBH", _LOCAL_IS, length, length + 4)  # true: to the end, kept; false: beyond it, left out
    return _ATTR.pack(_ATTR.size + length, _BYTECODE) + step + condition


def _find(data: bytes, at: int, end: int, wanted: int) -> int | None:
    """Return where an attribute's value begins."""
    while at + _ATTR.size <= end:
        length, kind = _ATTR.unpack_from(data, at)
        if length < _ATTR.size:
            return None
        if kind == wanted and length >= _ATTR.size + 4 * (max(MEMORY.values()) + 1):
            return at + _ATTR.size
        at += (length + 3) & ~3
    return None


def _name(state: int) -> str:
    return STATES.get(state) or f"state_{state}"
