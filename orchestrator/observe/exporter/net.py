"""The sources about a target's network namespace and the server's sockets in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .diag import MEMORY
from .errors import Absent, Malformed, Unavailable
from .files import read_text
from .look import Look, Value
from .pace import Budget
from .parse import parse_net, parse_sockstat
from .source import Source
from .target import Address


def _net(look: Look, file: str) -> Path:
    """Return a file about the first container's network namespace."""
    pid = look.watched.target.containers[0].pid
    if pid not in look.members:
        raise Unavailable(f"its first process, {pid}, is not alive")
    return look.watched.proc / str(pid) / "net" / file


def _snmp(look: Look) -> dict[str, Value]:
    tcp = _table(parse_net(read_text(_net(look, "snmp"))), "Tcp")
    values: dict[str, Value] = {name: _counter(tcp, key) for name, key in _SNMP.items()}
    values["tcp_troubles"] = {key: float(tcp[key]) for key in _SNMP_TROUBLES if key in tcp}
    return values


def _netstat(look: Look) -> dict[str, Value]:
    ext = _table(parse_net(read_text(_net(look, "netstat"))), "TcpExt")
    values: dict[str, Value] = {name: _counter(ext, key) for name, key in _NETSTAT.items()}
    aborts = {key: float(count) for key, count in ext.items() if key.startswith("TCPAbort")}
    values["tcp_aborts"] = aborts
    values["tcp_ext_troubles"] = aborts | {key: float(ext[key]) for key in _EXT_TROUBLES if key in ext}
    return values


def _sockstat(look: Look) -> dict[str, Value]:
    """Count the namespace's TCP sockets, both ends of what stays in it; `mem`, `alloc` and `orphan` are host-wide."""
    tcp = parse_sockstat(read_text(_net(look, "sockstat")))["TCP"]
    tcp6 = parse_sockstat(read_text(_net(look, "sockstat6"))).get("TCP6", {}) if _has_ipv6(look) else {}
    return {"tcp_sockets": tcp["inuse"] + tcp6.get("inuse", 0), "tcp_time_wait": tcp["tw"]}


def _accept_queue(look: Look) -> dict[str, Value]:
    at = _address(look)
    found = look.watched.sockets.queues(at.host, at.port)
    if not found:
        raise Unavailable(f"nothing listens on {at.host}:{at.port}")
    port = str(at.port)
    return {
        "accept_queue_length": {port: float(sum(one.queued for one in found))},
        "accept_queue_limit": {port: float(sum(one.limit for one in found))},
    }


def _tcp_sockets(look: Look) -> dict[str, Value]:
    """Count the server's ends by state; those it has none of are 0, as far as a server can be in them."""
    at = _address(look)
    tally = look.watched.dumps.connections(at.host, at.port)
    return {
        "tcp_states": dict.fromkeys(_SERVER_STATES, 0.0) | {state: float(n) for state, n in tally.states.items()},
        "tcp_socket_memory_bytes": {kind: float(tally.memory_bytes[kind]) for kind in MEMORY},
    }


def _address(look: Look) -> Address:
    """Return where the server listens, having made sure that its namespace is still there."""
    at = look.watched.target.listens
    if at is None:
        raise Absent("the registration does not say where it listens")
    if look.watched.target.containers[0].pid not in look.members:
        look.watched.sockets.rest()
        look.watched.dumps.rest()
        raise Unavailable("its first process is not alive")
    return at


def _has_ipv6(look: Look) -> bool:
    return _net(look, "sockstat6").exists()  # absent where the host booted with ipv6.disable=1


def _table(tables: Mapping[str, Mapping[str, int]], name: str) -> Mapping[str, int]:
    if name not in tables:
        raise Malformed(f"/proc/P/net: no {name} lines, saw {', '.join(tables)}")
    return tables[name]


def _counter(table: Mapping[str, int], key: str) -> int:
    if key not in table:
        raise Malformed(f"/proc/P/net: no {key} among {len(table)} counters")
    return table[key]


_SNMP = {
    "tcp_retransmits": "RetransSegs",
    "tcp_resets_sent": "OutRsts",
    "tcp_established_resets": "EstabResets",
    "tcp_passive_opens": "PassiveOpens",
    "tcp_attempt_fails": "AttemptFails",
}
_NETSTAT = {
    "tcp_listen_overflows": "ListenOverflows",
    "tcp_listen_drops": "ListenDrops",
    "tcp_syncookies_sent": "SyncookiesSent",
}
# What grows in a trial when connections are lost, refused or repeated, by the kernel's own names (nstat(8)). A kernel
# that does not know one leaves it out.
_SNMP_TROUBLES = ("OutRsts", "RetransSegs", "EstabResets", "AttemptFails", "InErrs")
_EXT_TROUBLES = (
    "ListenOverflows", "ListenDrops", "SyncookiesSent", "SyncookiesRecv", "SyncookiesFailed", "EmbryonicRsts",
    "TCPReqQFullDrop", "TCPReqQFullDoCookies", "TCPTimeouts", "TCPSynRetrans", "TCPLostRetransmit", "TCPBacklogDrop",
    "TCPTimeWaitOverflow", "TCPMemoryPressures", "PruneCalled", "RcvPruned", "TCPRcvQDrop", "TCPZeroWindowDrop",
    "TCPMigrateReqSuccess", "TCPMigrateReqFailure",
)  # fmt: skip
_SERVER_STATES = ("syn_recv", "established", "close_wait", "last_ack", "fin_wait1", "fin_wait2", "closing", "time_wait")
_DUMP_BUDGET = Budget(share=0.005, least_s=1.0, is_apart=True)

NET_SOURCES = (
    Source("snmp", (*_SNMP, "tcp_troubles"), _snmp),
    Source("netstat", (*_NETSTAT, "tcp_aborts", "tcp_ext_troubles"), _netstat),
    Source("sockstat", ("tcp_sockets", "tcp_time_wait"), _sockstat),
    Source("accept_queue", ("accept_queue_length", "accept_queue_limit"), _accept_queue),
    Source("tcp_sockets", ("tcp_states", "tcp_socket_memory_bytes"), _tcp_sockets, _DUMP_BUDGET),
)
