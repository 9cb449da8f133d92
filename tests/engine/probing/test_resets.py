"""Resets and silences provoked one way after another: the client's errno, the namespace's counters, the probes.

Each row is one of ../shared/reference/resets.md, provoked K times in a namespace that nobody else uses; whatever is not
in a row must not have happened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.engine.probing.pod import Ground, start_clients, start_holder

K = 5  # times that each way is provoked
# net.ipv4.*: what some rows need another namespace for. tcp_syncookies=1 is the default.
STRICT = {"net.ipv4.tcp_abort_on_overflow": "1", "net.ipv4.tcp_migrate_req": "1"}
# What must have grown as a row says, and not at all where it says nothing.
COUNTERS = (
    "TCPAbortOnClose", "TCPAbortOnData", "TCPAbortOnLinger", "TCPAbortOnTimeout", "TCPAbortOnMemory", "AttemptFails",
    "EstabResets", "EmbryonicRsts", "ListenOverflows", "ListenDrops", "SyncookiesSent", "SyncookiesRecv",
    "SyncookiesFailed",
)  # fmt: skip
CALLS = ("connect", "accept", "sendto", "recvfrom")  # what a way uses of the network


@dataclass(frozen=True)
class Way:
    """What is to be seen of one way, everywhere."""

    seen: Mapping[str, int]  # by the client, in words and errnos
    counters: Mapping[str, int] = field(default_factory=dict)  # of the namespace, of those in COUNTERS
    reasons: Mapping[str, int] = field(default_factory=dict)  # of the resets sent, by eBPF
    arrived: int | None = None  # resets that found a socket; None: all of them
    errnos: Mapping[str, int] | None = None  # of the calls, by eBPF; None: those in `seen`
    times: int = K
    strict: bool = False


E2 = 2 * K  # both ends of a connection were established, or had received a FIN, when it was reset
WAYS: Mapping[str, Way] = {
    "close-unread": Way(
        {"sent": K, "ECONNRESET": K, "EPIPE": K}, {"TCPAbortOnClose": K, "EstabResets": E2}, {"TCP_ABORT_ON_CLOSE": K},
    ),
    "killed-unread": Way(
        {"sent": K, "ECONNRESET": K}, {"TCPAbortOnClose": K, "EstabResets": E2}, {"TCP_ABORT_ON_CLOSE": K},
    ),
    "seed-close": Way(
        {"bytes": K, "ECONNRESET": K}, {"TCPAbortOnClose": K, "EstabResets": E2}, {"TCP_ABORT_ON_CLOSE": K},
    ),
    "linger-zero": Way({"ECONNRESET": K}, {"TCPAbortOnData": K, "EstabResets": E2}, {"TCP_STATE": K}),
    "linger2-unacknowledged": Way(
        {"EOF": K, "EPIPE": K}, {"TCPAbortOnData": K, "EstabResets": K}, {"TCP_ABORT_ON_DATA": K},
    ),
    "linger2-acknowledged": Way(
        {"EOF": K, "EPIPE": K}, {"TCPAbortOnLinger": K, "EstabResets": K}, {"TCP_ABORT_ON_LINGER": K},
    ),
    "listener-closed": Way({"ECONNRESET": K}, {"EstabResets": E2}, {"TCP_STATE": K}),
    "port-closed": Way({"ECONNREFUSED": K}, {"AttemptFails": K}, {"NO_SOCKET": K}),
    "reuse-after-close": Way({"EOF": K, "sent": K, "EPIPE": K}, {"EstabResets": K}, {"TCP_TIMEWAIT_SOCKET": K}),
    # What arrives at a socket that is shut both ways goes through tcp_reset() there too, where the tracepoint is.
    "shutdown-both": Way(
        {"EOF": K, "sent": K, "EPIPE": K}, {"TCPAbortOnData": K, "EstabResets": K}, {"TCP_ABORT_ON_DATA": K},
        arrived=2 * K,
    ),
    "destroyed": Way({"ECONNABORTED": K, "ECONNRESET": K}, {"EstabResets": E2}, {"TCP_STATE": K}),
    "peer-vanished": Way({"sent": K, "ECONNRESET": K}, {"EstabResets": E2}, {"TCP_FLAGS": K}),
    "user-timeout": Way({"sent": K, "ETIMEDOUT": K}, {"TCPAbortOnTimeout": K, "EstabResets": E2}),
    "keepalive-timeout": Way(
        {"ETIMEDOUT": K}, {"TCPAbortOnTimeout": K, "EstabResets": E2}, {"TCP_KEEPALIVE_TIMEOUT": K},
        arrived=0,
    ),
    # Two queue; the third's SYN finds no place, and none a second later. The four ends that queue are taken away.
    **{
        f"accept-queue-full{' strict' if strict else ''}": Way(
            {"ETIMEDOUT": K},
            {"TCPAbortOnTimeout": K, "AttemptFails": K, "ListenOverflows": 2 * K, "ListenDrops": 2 * K,
             "EstabResets": 4 * K},
            errnos={"EINPROGRESS": K}, strict=strict,
        )
        for strict in (False, True)
    },
    # Sixteen clients, of whom nine get into the queue and are reset with it, after they are gone.
    "final-ack-overflow": Way(
        {"sent": 16, "EAGAIN": 8}, {"ListenOverflows": 7, "ListenDrops": 7, "EstabResets": 16 + 9}, {"TCP_STATE": 9},
        arrived=0, times=1,
    ),
    "final-ack-overflow strict": Way(
        {"sent": 16, "EAGAIN": 1, "ECONNRESET": 7},
        {"EmbryonicRsts": 7, "ListenOverflows": 7, "ListenDrops": 7, "EstabResets": 16 + 9},
        {"TCP_STATE": 9, "INVALID_SYN": 7}, arrived=7, times=1, strict=True,
    ),
    "accept-emfile": Way({"EMFILE": K, "EAGAIN": K, "EOF": K}),
    "cookie-returned": Way(
        {"sent": K, "bytes": 2 * K}, {"SyncookiesSent": K, "SyncookiesRecv": K, "EstabResets": 2 * K},
    ),
    "cookie-wrong": Way(
        {"sent": 2 * K, "bytes": 2 * K, "ECONNRESET": K},
        {"SyncookiesSent": K, "SyncookiesRecv": K, "SyncookiesFailed": K, "EstabResets": 4 * K}, {"TCP_FLAGS": K},
    ),
    "cookies-overflow": Way(
        {"sent": 40, "accepted": 17},
        {"SyncookiesSent": 23, "SyncookiesRecv": 23, "ListenOverflows": 23, "ListenDrops": 23, "EstabResets": 40 + 17},
        errnos={"EAGAIN": 1}, times=1,
    ),
    "segment-dropped": Way({"sent": K, "bytes": K}),
    "lingering-close": Way({"sent": K, "EOF": K}),
}  # fmt: skip
OTHERS = {"reuseport-closed": False, "reuseport-closed strict": True}  # where the kernel's hash decides who is whose


@dataclass(frozen=True)
class Provoked:
    """One way, as the client, the namespace and the probes saw it."""

    seen: Mapping[str, int]
    grown: Mapping[str, int]
    reasons: Mapping[str, int]
    errnos: Mapping[str, int]
    tcp: Mapping[str, int]
    drops: Mapping[str, int]


@pytest.fixture(scope="module")
def namespaces(ebpf: Ground) -> Mapping[bool, Ground]:
    """By whether it is strict: a namespace whose TCP is counted, and the clients, who are the tasks that are."""
    image = ebpf.images["ground"]
    holder = start_holder(ebpf.client, ebpf.owner, image, role="strict-holder", sysctls=STRICT)
    clients = start_clients(ebpf.client, ebpf.owner, image, role="strict-worker", join=holder.id)
    return {
        False: replace(ebpf, server=ebpf.clients),
        True: replace(ebpf, holder=holder, clients=clients, server=clients),
    }


@pytest.fixture(scope="module")
def provoked(namespaces: Mapping[bool, Ground]) -> Iterator[Mapping[str, Provoked | str]]:
    """Provoke every way once, each with a reading before and after; a text is why one cannot be provoked here."""
    found: dict[str, Provoked | str] = {}
    for is_strict, ground in namespaces.items():
        name = f"ways-{is_strict}"
        ground.begin(name)
        before = ground.counts(name)
        every = {way: (one.times, one.strict) for way, one in WAYS.items()}
        for way, (times, strict) in {**every, **{way: (1, strict) for way, strict in OTHERS.items()}}.items():
            if strict != is_strict:
                continue
            told = json.loads(ground.inside("provoke", way.removesuffix(" strict"), str(times)))
            after = ground.counts(name)
            found[way] = told["cannot"] if "cannot" in told else _between(told, before, after)
            before = after
        ground.ask("DELETE", f"/targets/{name}")
    yield found


def _between(told: Any, before: Any, after: Any) -> Provoked:
    return Provoked(
        told["seen"],
        told["grown"],
        _grown(before["tcp"]["reset_sent"], after["tcp"]["reset_sent"]),
        _grown(_errnos(before), _errnos(after)),
        {name: after["tcp"][name] - before["tcp"][name] for name in after["tcp"] if name != "reset_sent"},
        _grown(before["drops"], after["drops"]),
    )


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: n - before.get(name, 0) for name, n in after.items() if n > before.get(name, 0)}


def _errnos(counts: Any) -> dict[str, int]:
    summed: dict[str, int] = {}
    for call in CALLS:
        for errno, count in counts["errors"].get(call, {}).items():
            summed[errno] = summed.get(errno, 0) + count
    return summed


@pytest.fixture
def one(way: str, provoked: Mapping[str, Provoked | str]) -> Provoked:
    found = provoked[way]
    if isinstance(found, str):
        pytest.skip(f"{way} cannot be provoked here: {found}")
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_provoked_way_shows_its_errno_its_counters_and_its_reason(way: str, one: Provoked) -> None:
    """As ../shared/reference/resets.md has it: K times each, and nothing else besides."""
    wanted = WAYS[way]

    assert wanted.seen == one.seen
    assert wanted.counters == {name: n for name, n in one.grown.items() if name in COUNTERS}
    assert wanted.reasons == one.reasons
    assert sum(wanted.reasons.values()) == one.grown.get("OutRsts", 0)
    assert (sum(wanted.reasons.values()) if wanted.arrived is None else wanted.arrived) == one.tcp["reset_received"]


@pytest.mark.parametrize("way", WAYS)
def test_the_probes_count_the_errnos_that_the_client_saw(way: str, one: Provoked) -> None:
    """lab_bpf_syscall_errors_total: as many failed calls to the network with each errno as there were."""
    wanted = WAYS[way].errnos
    seen = {name: n for name, n in one.seen.items() if name[0] == "E" and name != "EOF"} if wanted is None else wanted

    assert seen == one.errnos


@pytest.mark.parametrize("way", [*WAYS, *OTHERS])
def test_tracepoints_and_the_namespaces_counters_agree(way: str, one: Provoked) -> None:
    """Whatever happens: resets sent are OutRsts, opened are ActiveOpens less failures, sent again is RetransSegs."""
    assert one.grown.get("OutRsts", 0) == sum(one.reasons.values())
    assert one.grown.get("ActiveOpens", 0) - one.grown.get("AttemptFails", 0) == one.tcp["opened_active"]
    assert one.grown.get("PassiveOpens", 0) == one.tcp["opened_passive"]
    assert one.grown.get("RetransSegs", 0) == one.tcp["retransmit"]


@pytest.mark.parametrize("way", ["segment-dropped"])
def test_a_lost_segment_is_sent_again_once(way: str, one: Provoked) -> None:
    """K lost, K sent again: by the namespace's counter, by the tracepoint, and as drops with their reason."""
    assert K == one.grown["RetransSegs"] == one.tcp["retransmit"] == one.drops["SOCKET_FILTER"]
    assert 0 == one.tcp["retransmit_failed"]


# What the kernel calls the acknowledgement that finds the accept queue full; a cookie has no socket to speak of.
OVERFLOWS = {
    "final-ack-overflow": "TCP_LISTEN_OVERFLOW",
    "final-ack-overflow strict": "TCP_LISTEN_OVERFLOW",
    "cookies-overflow": "NO_SOCKET",
}


@pytest.mark.parametrize("way", OVERFLOWS)
def test_an_overflow_at_the_final_ack_is_a_drop_with_its_reason(way: str, one: Provoked) -> None:
    """A full accept queue drops; each drop is one ListenOverflows, whether the client is reset for it or not."""
    assert one.grown["ListenOverflows"] == one.drops[OVERFLOWS[way]]


@pytest.mark.parametrize("way", ["accept-queue-full", "accept-queue-full strict"])
def test_a_syn_that_finds_no_place_is_no_drop_to_the_kernel(way: str, one: Provoked) -> None:
    """It is consumed like one that was answered: only the namespace's counter tells."""
    assert {} == one.drops


@pytest.mark.parametrize("way", ["reuseport-closed"])
def test_a_listener_that_goes_resets_those_that_queued_at_it(way: str, one: Provoked) -> None:
    """Two share the port, one closes: some of twenty clients are reset, the others are not."""
    assert 20 == sum(one.seen.values())
    assert {"ECONNRESET", "EAGAIN"} == set(one.seen)


@pytest.mark.parametrize("way", ["reuseport-closed strict"])
def test_with_migration_they_go_over_to_the_other(way: str, one: Provoked) -> None:
    """net.ipv4.tcp_migrate_req=1: nobody is reset, and those who queued at it are counted as having gone over."""
    assert {"EAGAIN": 20} == one.seen
    assert 0 < one.grown["TCPMigrateReqSuccess"] < 20
