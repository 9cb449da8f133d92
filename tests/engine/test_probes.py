"""The probes against the truth: a server that counts its own calls, and resets provoked one way after another.

Exact means equal: what eBPF counts of the server is what the server counted, and what it sees of TCP is what the
namespace's own counters say. The pod has no network but its loopback, so nobody else is in these counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator.containers.clear import clear_all
from orchestrator.containers.images import Recipe, build, ensure_base, missing
from orchestrator.containers.labels import current_owner
from orchestrator.containers.launch import Running, Spec, launch, run_inside, running
from orchestrator.containers.probes import ensure_probes, probes_spec
from orchestrator.containers.recipes import IMAGES, service_recipes

HERE = Path(__file__).parent / "ground"
LAB = "testprobes"
PORT = 7000
CONNECTIONS, EXCHANGES = 10, 5000  # those of ../shared/reference/metrics.md
TIMES = 5  # each way of provoking a reset
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Ground:
    """A pod with a server that counts itself, a place for its clients, and the probes' service beside it."""

    client: docker.DockerClient
    holder: Running
    server: Running
    clients: Running
    probes: Running

    def inside(self, *command: str) -> str:
        """Run the ground's program in the clients' container."""
        code, output = run_inside(self.client, self.clients.id, ["/ground", *command])
        assert 0 == code, f"ground {' '.join(command)} ended with {code}: {output}"
        return output

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the service, as orchestrator/offer/probed.py does."""
        words = ["python3", "-m", "service.ask", method, path, *([] if body is None else [json.dumps(body)])]
        code, output = run_inside(self.client, self.probes.id, words)
        assert 0 == code, f"{method} {path} ended with {code}: {output}"
        return json.loads(output) if path != "/metrics" else output

    def begin(self, name: str, *rungs: str, **more: object) -> Any:
        labels = {"run_id": "r", "scenario": "s", "variant": name}
        told = {"labels": labels, "pids": [self.server.pid], "net": self.holder.pid, "rungs": rungs or ["ebpf"]}
        return self.ask("PUT", f"/targets/{name}", {**told, **more})

    def counts(self, name: str) -> Any:
        return self.ask("GET", f"/counts/{name}")["counts"]


@pytest.fixture(scope="module")
def ground(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    recipes = _recipes(client, tmp_path_factory.mktemp("wheels"))
    base_id = ensure_base(client, print)
    images = build(client, recipes, base_id, missing(client, recipes, base_id), finished=lambda *_: None)
    owner = current_owner("test-probes")
    clear_all(client, LAB)

    def start(role: str, image: str, **more: Any) -> Running:
        return launch(client, Spec(role=role, name=f"netpoll-lab-{LAB}-{role}", image=image, **more), LAB, owner)

    try:
        holder = start("holder", images["ground"], entrypoint=("sleep",), command=("infinity",))
        server = start("server", images["ground"], join=holder.id, command=("serve", str(PORT)))
        # TCP_REPAIR, which makes a peer vanish, is the only thing here that needs a capability.
        clients = start(
            "worker", images["ground"], join=holder.id, entrypoint=("sleep",), command=("infinity",),
            capabilities=("NET_ADMIN",), user="0:0",
        )  # fmt: skip
        yield Ground(client, holder, server, clients, _start_probes(client, images["probes"], owner))
    finally:
        clear_all(client, LAB)


def _recipes(client: docker.DockerClient, wheels: Path) -> dict[str, Recipe]:
    """Return the recipes of the probes, as the lab builds them, and of the ground truth."""
    services = service_recipes(str(client.info().get("Architecture")), "", wheels)
    return {
        "toolchain-probes": services["toolchain-probes"],
        "probes": services["probes"],
        "toolchain-c": Recipe("toolchain-c", IMAGES / "toolchain-c.Dockerfile", {}),
        "ground": Recipe("ground", HERE / "Dockerfile", {"ground.c": HERE / "ground.c"}, toolchain="toolchain-c"),
    }


def _start_probes(client: docker.DockerClient, image: str, owner: Any) -> Running:
    spec = probes_spec(f"netpoll-lab-{LAB}", image, None, None)
    assert ensure_probes(client, spec, LAB, owner)
    assert not ensure_probes(client, spec, LAB, owner), "one that runs is left alone"
    return running(client.containers.get(spec.name))


@pytest.fixture(scope="module")
def ebpf(ground: Ground) -> Ground:
    """The ground where eBPF is allowed; elsewhere these tests say why they do not run."""
    seen: Mapping[str, Any] = {}
    end_s = time.monotonic() + PATIENCE_S
    while seen.get("rung") is None and time.monotonic() < end_s:
        with suppress(AssertionError):  # it is just starting
            seen = ground.ask("GET", "/healthz")
        time.sleep(0.1)
    if seen.get("rung") != "ebpf":
        pytest.skip(f"this host allows no eBPF: {seen.get('refused')}")
    return ground


@dataclass(frozen=True)
class Counted:
    """One load, counted by the server and by the probes."""

    by_server: Mapping[str, int]
    by_probes: Mapping[str, Any]
    metrics: str


@pytest.fixture(scope="module")
def counted(ebpf: Ground) -> Counted:
    """Load the server while it is probed; it is waiting in epoll_wait before and after."""
    told = ebpf.begin("truth")
    assert "ebpf" == told["rung"], told
    ebpf.inside("load", str(PORT), str(CONNECTIONS), str(EXCHANGES))
    end_s = time.monotonic() + PATIENCE_S
    while (seen := ebpf.counts("truth"))["syscalls"].get("close", 0) < CONNECTIONS:
        assert time.monotonic() < end_s, f"the server has not closed everything: {seen['syscalls']}"
    seen = ebpf.counts("truth")
    metrics = ebpf.ask("GET", "/metrics")
    ebpf.ask("POST", "/finish/truth")
    server = ebpf.client.containers.get(ebpf.server.id)
    server.kill("SIGUSR1")
    server.wait(timeout=PATIENCE_S)
    return Counted(json.loads(server.logs(stderr=False)), seen, metrics)


def test_every_call_of_the_server_is_counted_and_no_other(counted: Counted) -> None:
    """Reads, writes, accepts, closes, epoll's calls and its events: equal to what the server counted itself."""
    calls, errors = counted.by_probes["syscalls"], counted.by_probes["errors"]
    seen = {
        **{name: calls.get(name) for name in ("accept4", "read", "write", "close", "epoll_ctl", "epoll_wait")},
        "accept4 EAGAIN": errors["accept4"]["EAGAIN"],
        "read EAGAIN": errors["read"]["EAGAIN"],
        "events": counted.by_probes["epoll"]["events"],
    }

    assert counted.by_server == seen
    assert EXCHANGES == seen["write"]
    assert CONNECTIONS == seen["close"]
    assert set(calls) == {"accept4", "read", "write", "close", "epoll_ctl", "epoll_wait"}
    assert counted.by_server["epoll_wait"] == counted.by_probes["epoll"]["returns"]
    assert {"recursion": 0, "errors": 0, "drops": 0, "woken": 0} == counted.by_probes["lost"]


def test_connections_are_those_that_were_made_and_none_was_reset(counted: Counted) -> None:
    """Both ends live in one namespace: M opened by each side, 2 M closed, no reset at all."""
    tcp = counted.by_probes["tcp"]

    assert (CONNECTIONS, CONNECTIONS) == (tcp["opened_active"], tcp["opened_passive"])
    assert ({}, 0, 0) == (tcp["reset_sent"], tcp["reset_received"], tcp["retransmit"])


def test_every_wakeup_waits_and_every_wait_has_its_place_in_the_histogram(counted: Counted) -> None:
    """A thread that was woken or preempted gets a CPU again: as many waits as times it was made ready."""
    seen = counted.by_probes
    made_ready = sum(seen["wakeups"].values()) + seen["switches"]["involuntary"]
    latency = seen["runqueue_latency"]

    assert latency["count"] == sum(latency["below_ns"].values())
    # It may be woken while it still runs, or be waiting at this instant.
    assert 0 < latency["count"] <= made_ready
    assert 0 < seen["switches"]["voluntary"] <= seen["epoll"]["returns"] + 1


def test_what_was_counted_reaches_prometheus(counted: Counted) -> None:
    """The same numbers under the names of the reference, with the target's labels."""
    labels = 'run_id="r",scenario="s",variant="truth"'

    assert f'lab_bpf_syscalls_total{{{labels},syscall="write"}} {float(EXCHANGES)}' in counted.metrics
    assert f"lab_bpf_epoll_events_total{{{labels}}} {float(counted.by_server['events'])}" in counted.metrics
    assert f'lab_bpf_tcp_events_total{{{labels},event="opened_passive",reason=""}} 10.0' in counted.metrics
    assert 'lab_probe_rung{rung="ebpf"} 1.0' in counted.metrics
    assert f'lab_probe_active{{{labels},rung="ebpf"}} 1.0' in counted.metrics


# way -> (what the client sees, the namespace's counters that grow besides OutRsts, reasons by eBPF); K stands for TIMES
K = TIMES
WAYS: Mapping[str, tuple[Mapping[str, int], Mapping[str, int], Mapping[str, int]]] = {
    "close-unread": (
        {"sent": K, "ECONNRESET": K, "EPIPE": K}, {"TCPAbortOnClose": K, "EstabResets": K}, {"TCP_ABORT_ON_CLOSE": K},
    ),
    "killed-unread": ({"sent": K, "ECONNRESET": K}, {"TCPAbortOnClose": K}, {"TCP_ABORT_ON_CLOSE": K}),
    "seed-close": ({"bytes": K, "ECONNRESET": K}, {"TCPAbortOnClose": K}, {"TCP_ABORT_ON_CLOSE": K}),
    "linger-zero": ({"ECONNRESET": K}, {"TCPAbortOnData": K}, {"TCP_STATE": K}),
    "listener-closed": ({"ECONNRESET": K}, {}, {"TCP_STATE": K}),
    "port-closed": ({"ECONNREFUSED": K}, {"AttemptFails": K}, {"NO_SOCKET": K}),
    "reuse-after-close": ({"EOF": K, "sent": K, "EPIPE": K}, {}, {"TCP_TIMEWAIT_SOCKET": K}),
    "shutdown-both": ({"EOF": K, "sent": K, "EPIPE": K}, {"TCPAbortOnData": K}, {"TCP_ABORT_ON_DATA": K}),
    "peer-vanished": ({"sent": K, "ECONNRESET": K}, {}, {"TCP_FLAGS": K}),
    "lingering-close": ({"sent": K, "EOF": K}, {}, {}),
}  # fmt: skip
ABORTS = ("TCPAbortOnClose", "TCPAbortOnData", "TCPAbortOnLinger", "TCPAbortOnTimeout", "TCPAbortOnMemory")


@dataclass(frozen=True)
class Provoked:
    """One way, as the client, the namespace and the probes saw it."""

    seen: Mapping[str, int]
    grown: Mapping[str, int]
    reasons: Mapping[str, int]
    tcp: Mapping[str, int]
    drops: Mapping[str, int]


@pytest.fixture(scope="module")
def provoked(ebpf: Ground) -> Mapping[str, Provoked]:
    """Provoke every way once, each with a reading before and after."""
    # The server is gone by now in the order of this file: the holder stands for the tasks, the namespace for TCP.
    standing = replace(ebpf, server=ebpf.holder)
    standing.begin("ways")
    found = {}
    before = standing.counts("ways")
    for way, times in [*dict.fromkeys(WAYS, TIMES).items(), ("reuseport-closed", 1), ("final-ack-overflow", 1)]:
        told = json.loads(standing.inside("provoke", way, str(times)))
        after = standing.counts("ways")
        found[way] = Provoked(
            told["seen"],
            told["grown"],
            _grown(before["tcp"]["reset_sent"], after["tcp"]["reset_sent"]),
            {name: after["tcp"][name] - before["tcp"][name] for name in after["tcp"] if name != "reset_sent"},
            _grown(before["drops"], after["drops"]),
        )
        before = after
    standing.ask("DELETE", "/targets/ways")
    return found


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: n - before.get(name, 0) for name, n in after.items() if n > before.get(name, 0)}


@pytest.mark.parametrize("way", WAYS)
def test_a_provoked_reset_shows_its_errno_its_counter_and_its_reason(
    way: str, provoked: Mapping[str, Provoked]
) -> None:
    """As ../shared/reference/resets.md has it; without a line there, nothing but OutRsts grows."""
    one = provoked[way]
    seen, counters, reasons = WAYS[way]

    assert seen == one.seen
    assert reasons == one.reasons
    assert sum(reasons.values()) == one.grown.get("OutRsts", 0)
    wanted_aborts = {name: n for name, n in counters.items() if name in ABORTS}
    assert wanted_aborts == {name: n for name, n in one.grown.items() if name in ABORTS}
    assert counters.get("AttemptFails", 0) == one.grown.get("AttemptFails", 0)


@pytest.mark.parametrize("way", [*WAYS, "reuseport-closed", "final-ack-overflow"])
def test_tracepoints_and_the_namespaces_counters_agree(way: str, provoked: Mapping[str, Provoked]) -> None:
    """Whatever happens: resets sent are OutRsts, opened are ActiveOpens less failures, sent again is RetransSegs."""
    one = provoked[way]

    assert one.grown.get("OutRsts", 0) == sum(one.reasons.values())
    # A handshake that is reset at the server's end (EmbryonicRsts) is a failed attempt too: the client's was none.
    failed = one.grown.get("AttemptFails", 0) - one.grown.get("EmbryonicRsts", 0)
    assert one.grown.get("ActiveOpens", 0) - failed == one.tcp["opened_active"]
    assert one.grown.get("PassiveOpens", 0) == one.tcp["opened_passive"]
    assert one.grown.get("RetransSegs", 0) == one.tcp["retransmit"]


def test_a_listener_that_goes_resets_those_that_queued_at_it(provoked: Mapping[str, Provoked]) -> None:
    """Two share the port, one closes: some of twenty clients are reset, the others are not."""
    seen = provoked["reuseport-closed"].seen

    assert 20 == sum(seen.values())
    assert {"ECONNRESET", "EAGAIN"} == set(seen)


def test_an_overflow_at_the_final_ack_is_a_drop_with_its_reason(provoked: Mapping[str, Provoked]) -> None:
    """A full accept queue drops quietly; each drop is one ListenOverflows."""
    one = provoked["final-ack-overflow"]

    assert one.grown["ListenOverflows"] == one.drops["TCP_LISTEN_OVERFLOW"] > 0


def test_readings_are_taken_at_the_instants_asked_for(ebpf: Ground) -> None:
    """Marks are answered in order, each with the time it was due and the time it was taken."""
    standing = replace(ebpf, server=ebpf.holder)
    told = standing.begin("marks", marks_in_s=[0.2, 0.4])
    finished = standing.ask("POST", "/finish/marks")

    assert told["marks_s"] == [mark["due_s"] for mark in finished["marks"]]
    assert all(0 <= mark["at_s"] - mark["due_s"] < 1.0 for mark in finished["marks"])
    assert pytest.approx(0.2) == told["marks_s"][1] - told["marks_s"][0]


def test_a_host_without_ebpf_is_one_rung_down_and_says_why(ebpf: Ground) -> None:
    """perf's own events count switches; what they cannot count is missing with its reason."""
    standing = replace(ebpf, server=ebpf.clients)
    told = standing.begin("lower", "perf")
    counts = standing.counts("lower")
    standing.ask("DELETE", "/targets/lower")

    assert "perf" == told["rung"]
    assert {"any"} == set(counts["switches"])
    assert "tcp" not in counts
    assert "syscalls" in counts or "tracefs" in told["missing"]["syscalls"]


def test_without_capabilities_the_ladder_ends_at_taskstats(client: docker.DockerClient, ground: Ground) -> None:
    """Nothing counts, each rung has its reason, and the service stands all the same."""
    image = client.containers.get(ground.probes.id).image
    assert image is not None
    spec = Spec(role="bare", name=f"netpoll-lab-{LAB}-bare", image=str(image.id), user="0:0", host_pids=True)
    bare = replace(ground, probes=launch(client, spec, LAB, current_owner("test-probes")), server=ground.holder)
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            told = bare.begin("bare", "ebpf", "perf")
            break
        except AssertionError:
            assert time.monotonic() < end_s
            time.sleep(0.1)

    assert "taskstats" == told["rung"]
    assert {"ebpf", "perf"} == set(told["refused"])
    assert all(told["refused"].values())
    metrics = bare.ask("GET", "/metrics")
    assert 'lab_probe_active{run_id="r",scenario="s",variant="bare",rung="taskstats"} 0.0' in metrics
