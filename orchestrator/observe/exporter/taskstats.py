"""Ask the kernel for a whole process's context switches and run-queue wait, over generic netlink.

TASKSTATS by TGID sums over all live threads in one call (11 µs for one thread here, 0.1 ms for 2,000), where walking
/proc/P/task costs 40 µs per thread. Needs CAP_NET_ADMIN in the host's user namespace and the host's pid namespace;
any network namespace will do (the family is netnsok).

What TGID answers keep of threads that exited: the run-queue counts (`cpu_count`, `cpu_delay_total`) always; `nvcsw` and
`nivcsw` only on newer kernels (6.18.44 keeps them, older ones drop them). switches.py makes both kinds of kernel agree.
Sources: Documentation/accounting/taskstats.rst, kernel/taskstats.c fill_stats_for_tgid and fill_tgid_exit,
kernel/delayacct.c delayacct_add_tsk, include/uapi/linux/taskstats.h (fields were only ever
appended, but for version 15: see below).
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import Unavailable

_NETLINK_GENERIC = 16
_NLMSG_ERROR = 2
_NLM_F_REQUEST = 1
_CTRL_ID, _CTRL_GETFAMILY, _CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
_CMD_GET, _ATTR_TGID, _TYPE_STATS, _TYPE_AGGR_TGID = 1, 2, 3, 5
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_GENERIC = struct.Struct("=BBH")  # command, version, reserved
_ATTR = struct.Struct("=HH")  # length with this header, type
# Offsets in struct taskstats, printed with offsetof from include/uapi/linux/taskstats.h.
_VERSION_AT, _CPU_COUNT_AT, _CPU_DELAY_AT, _NVCSW_AT, _NIVCSW_AT = 0, 16, 24, 272, 280
# Version 15 (Linux 6.14, 6.15) put new fields in the middle; 16 moved them to the end again.
_SHIFTED_VERSION = 15
_ANSWER_WITHIN_S = 1.0  # the kernel answers inside send(); this only bounds a surprise


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """One process's scheduling counts since it started."""

    voluntary: int
    involuntary: int
    timeslices: int | None  # times a thread was put on a CPU, exited threads included; None: not kept here
    wait_s: float | None  # time threads were ready and had no CPU, exited threads included


class Taskstats:
    """One netlink socket, opened at first use; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._family = 0
        self._sequence = 0

    def read(self, tgid: int) -> TaskCounts:
        """Return the counts of process `tgid`.

        Raises ProcessLookupError when it is gone, PermissionError without CAP_NET_ADMIN, Unavailable when the kernel
        lacks TASKSTATS or lays it out in a way this decoder does not know.
        """
        with self._lock:
            if self._socket is None:
                self._open()
            answer = self._ask(self._family, _CMD_GET, _attribute(_ATTR_TGID, struct.pack("=I", tgid)))
        return decode(answer)

    def close(self) -> None:
        """Close the socket; the next read opens another."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _open(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)
        self._socket.settimeout(_ANSWER_WITHIN_S)
        self._socket.bind((0, 0))
        try:
            answer = self._ask(_CTRL_ID, _CTRL_GETFAMILY, _attribute(_CTRL_ATTR_FAMILY_NAME, b"TASKSTATS\0"))
            self._family = struct.unpack("=H", dict(_attributes(answer))[_CTRL_ATTR_FAMILY_ID])[0]
        except FileNotFoundError:
            self._socket.close()
            self._socket = None
            raise Unavailable("this kernel has no TASKSTATS (CONFIG_TASKSTATS)") from None

    def _ask(self, family: int, command: int, payload: bytes) -> bytes:
        """Send one request and return its answer's attributes; the caller holds the lock."""
        assert self._socket is not None
        self._sequence += 1
        length = _HEADER.size + _GENERIC.size + len(payload)
        header = _HEADER.pack(length, family, _NLM_F_REQUEST, self._sequence, 0)
        self._socket.send(header + _GENERIC.pack(command, 1, 0) + payload)
        while True:
            message = self._socket.recv(65536)
            length, kind, _, sequence, _ = _HEADER.unpack_from(message)
            if sequence != self._sequence:
                continue  # the late answer to a request that timed out
            if kind == _NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", message, _HEADER.size)
                raise OSError(-code, f"TASKSTATS: {os.strerror(-code)}")
            return message[_HEADER.size + _GENERIC.size : length]


def decode(attributes: bytes) -> TaskCounts:
    """Decode the attributes of a TASKSTATS answer about a TGID."""
    nested = dict(_attributes(attributes)).get(_TYPE_AGGR_TGID, b"")
    stats = dict(_attributes(nested)).get(_TYPE_STATS, b"")
    if len(stats) < _NIVCSW_AT + 8:
        raise Unavailable(f"TASKSTATS: expected at least {_NIVCSW_AT + 8} bytes about the process, saw {len(stats)}")
    (version,) = struct.unpack_from("=H", stats, _VERSION_AT)
    if version == _SHIFTED_VERSION:
        raise Unavailable("TASKSTATS version 15 (Linux 6.14 and 6.15) has its fields at other offsets")
    timeslices, wait_ns, voluntary, involuntary = (
        int(struct.unpack_from("=Q", stats, at)[0]) for at in (_CPU_COUNT_AT, _CPU_DELAY_AT, _NVCSW_AT, _NIVCSW_AT)
    )
    # A process that switched was on a CPU: zero means CONFIG_TASK_DELAY_ACCT is off, not that it never ran.
    kept = timeslices > 0
    return TaskCounts(voluntary, involuntary, timeslices if kept else None, wait_ns / 1e9 if kept else None)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTR.pack(_ATTR.size + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTR.size <= len(data):
        length, kind = _ATTR.unpack_from(data, at)
        if length < _ATTR.size:
            return
        yield kind & 0x3FFF, data[at + _ATTR.size : at + length]
        at += (length + 3) & ~3
