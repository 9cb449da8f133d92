"""Read what the kernel knows: listening sockets, TCPAbortOn*, and the server's processes where they can be seen.

Sources: sock_diag(7), linux/inet_diag.h; proc_net_netstat; proc_pid_stat(5), proc_pid_fd(5).
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

DIAG_PROTOCOL, BY_FAMILY, DUMP_REQUEST = 4, 20, 0x301
ERROR, DONE, LISTEN = 2, 3, 10
MESSAGE_HEAD = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
QUESTION = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states; then an empty socket id
# family, state, timer, retransmits, source port, other port, source, other, interface, cookie, expires, rqueue, wqueue,
# uid, inode; of a listener rqueue is the accept queue's length and wqueue the backlog in force.
SOCKET = struct.Struct("=BBBB2s2s16s16sI8sIIIII")
CPU_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Listener(NamedTuple):
    """One listening TCP socket of this network namespace."""

    address: str
    port: int
    queued: int
    backlog: int
    inode: int


def listeners(host: str, port: int) -> list[Listener]:
    """Return the listeners that serve a host and port, one for each socket. Raises OSError where netlink is refused."""
    mine = (host, "0.0.0.0", "::", f"::ffff:{host}")
    found: list[Listener] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, DIAG_PROTOCOL) as netlink:
        netlink.settimeout(2.0)
        for family in (socket.AF_INET, socket.AF_INET6):
            body = QUESTION.pack(family, socket.IPPROTO_TCP, 0, 1 << LISTEN)
            netlink.send(MESSAGE_HEAD.pack(MESSAGE_HEAD.size + len(body), BY_FAMILY, DUMP_REQUEST, 1, 0) + body)
            is_last = False
            while not is_last:
                some, is_last = parse_dump(netlink.recv(65536))
                found += [one for one in some if one.port == port and one.address in mine]
    return found


def parse_dump(data: bytes) -> tuple[list[Listener], bool]:
    """Return one datagram's listeners, and whether the dump ends with it. Raises OSError for an error of the kernel."""
    found: list[Listener] = []
    while len(data) >= MESSAGE_HEAD.size:
        length, kind = MESSAGE_HEAD.unpack_from(data)[:2]
        if kind == DONE:
            return found, True
        if kind == ERROR:
            raise OSError(-struct.unpack_from("=i", data, MESSAGE_HEAD.size)[0], "sock_diag refused the question")
        family, state, _, _, port, _, source, *_, queued, backlog, _, inode = SOCKET.unpack_from(
            data, MESSAGE_HEAD.size
        )
        if state == LISTEN:
            address = ipaddress.ip_address(source[:4] if family == socket.AF_INET else source)
            found.append(Listener(str(address), int.from_bytes(port, "big"), queued, backlog, inode))
        data = data[(length + 3) & ~3 :]
    return found, False


def read_aborts() -> dict[str, int]:
    """Return the TCPAbortOn* counters of this network namespace."""
    rows = [line.split() for line in Path("/proc/net/netstat").read_text().splitlines() if line.startswith("TcpExt:")]
    return {name: int(value) for name, value in zip(*rows[:2], strict=True) if name.startswith("TCPAbortOn")}


def server_processes(host: str, port: int) -> list[int]:
    """Return the processes that hold a listening socket of this host and port, and all that descend from them.

    Empty where they cannot be seen: another process namespace, or another user's.
    """
    links = {f"socket:[{one.inode}]" for one in listeners(host, port)}
    processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    holders = {pid for pid in processes if links & set(descriptors(pid) or ())}
    parents = {pid: parent for pid in processes if (parent := parent_of(pid)) is not None}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in holders} - holders
        holders |= more
        grown = bool(more)
    return sorted(holders - {os.getpid()})


def descriptors(pid: int) -> list[str] | None:
    """Return what a process has open, None when it cannot be seen."""
    found = []
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found.append(str(path.readlink()))
            except FileNotFoundError:  # closed meanwhile
                continue
    except OSError:
        return None
    return found


def parent_of(pid: int) -> int | None:
    fields = read_stat(pid)
    return int(fields[1]) if fields else None


def read_stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the third on, None when it has gone. The name may hold spaces."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def cpu_s(pids: list[int]) -> float:
    """Return the processor time of these processes so far; resolution 10 ms."""
    stats = [fields for pid in pids if (fields := read_stat(pid))]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / CPU_TICKS_PER_S


def runnable_s(pids: list[int]) -> dict[str, float]:
    """Return how long each thread of these processes has run or waited to: of a loop that spins that is all the time,
    however busy the machine is. Source: /proc/PID/task/TID/schedstat (sched-stats.rst); empty where there is none.
    """
    found = {}
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                ran_ns, waited_ns = path.read_text().split()[:2]
            except (OSError, ValueError):  # ended meanwhile
                continue
            found[path.parent.name] = (int(ran_ns) + int(waited_ns)) / 1e9
    return found


def thread_count(pids: list[int]) -> int:
    """Return how many threads these processes have."""
    return sum(int(fields[17]) for pid in pids if (fields := read_stat(pid)))


def descriptor_count(pids: list[int]) -> int:
    """Return how many descriptors these processes have open."""
    return sum(len(descriptors(pid) or ()) for pid in pids)
