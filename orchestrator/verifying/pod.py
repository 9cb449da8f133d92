"""The pod in which one variant is verified: the trial's own holder and servers, and containers that talk to them.

No worker, no master, no way out: the holder has its loopback alone. A talker is of the swarm image; one that looks at
threads and descriptors shares the server's processes too, and ends with it, so it is never the one that sees it stop.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.containers.launch import Running, Spec, remove, run_inside, unsupported
from orchestrator.containers.pods import Site, start_holder, start_server
from orchestrator.containers.talk import End, Job, log_of
from orchestrator.errors import NotReady, Unsupported
from orchestrator.model import Profile, Variant

READY_S = 40.0  # for a server to listen: several pods share one CPU, and a JVM takes a second of it
ACT_S = 240.0  # for one act; seen: up to a minute


@dataclass(slots=True)
class ContractPod:
    """One variant's pod. Not shared between variants; its own acts may use it from several threads."""

    site: Site
    name: str
    variant: Variant
    nonce: str
    holder: Running
    servers: list[Running] = field(default_factory=list)
    talkers: list[Running] = field(default_factory=list)

    def start(self, label: str, host: str, told: Mapping[str, str], nofile: int | None = None) -> Running:
        """Start a server on a loopback address of its own and wait until it listens.

        Raises Unsupported, or NotReady with its last words.
        """
        site = self.site if nofile is None else replace(self.site, nofile=nofile)
        server = start_server(
            site, f"{self.name}-{label}", self.holder, self.variant, host=host, environment=told, nonce=self.nonce,
            instance=0,
        )  # fmt: skip
        self.servers.append(server)
        return server

    def await_listening(self, server: Running, talker: Running, host: str) -> None:
        """Wait until something listens on the variant's port at this address. Raises Unsupported, or NotReady.

        Source of the format: /proc/net/tcp, state 0A is LISTEN; an IPv4 address in tcp6 is its last word.
        """
        client = self.site.client
        word = f"{int.from_bytes(ipaddress.IPv4Address(host).packed, 'little'):08X}:{self.variant.port:04X}"
        end_s = time.monotonic() + READY_S
        while True:
            _, output = run_inside(client, talker.id, ["cat", "/proc/net/tcp", "/proc/net/tcp6"])
            rows = [line.split() for line in output.splitlines()]
            if any(len(row) > 3 and row[3] == "0A" and row[1].endswith(word) for row in rows):
                return
            if (words := unsupported(client, server)) is not None:
                raise Unsupported(words)
            if time.monotonic() > end_s or self.ended(server) is not None:
                last = (log_of(client, server).strip().splitlines() or ["nothing"])[-1]
                raise NotReady(f"{server.name}: no listener on {host}; its last line: {last[:300]!r}")
            time.sleep(0.05)

    def talker(self, label: str, beside: Running | None = None) -> Running:
        """Start a container that talks to servers. beside: the server whose processes it shares as well."""
        spec = Spec(
            role="talker",
            name=self.site.container_name(f"{self.name}-{label}"),
            image=self.site.images["swarm"],
            entrypoint=("sleep",),
            command=("infinity",),
            join=self.holder.id,
            join_pids=beside.id if beside is not None else None,
            nofile=self.site.nofile,
            cpus=self.site.load_cpus,
            tmpfs={"/tmp": "size=64m"},
        )
        started = self.site.start(spec)
        self.talkers.append(started)
        return started

    def ask(self, talker: Running, module: str, told: Mapping[str, object]) -> Iterator[dict[str, object]]:
        """Run a module of the swarm image beside the server and yield the JSON objects it says, as they come.

        Raises NotReady with its last words when it ends with another exit code than 0 or 1 (1: a check failed), says
        what is no JSON, or takes longer than ACT_S.
        """
        job = Job(self.site.client, talker, ["python3", "-m", module, json.dumps(told)], deadline_s=ACT_S)
        for line in job.lines():
            try:
                said = json.loads(line)
            except ValueError:
                raise NotReady(f"{talker.name}: {module} said {line[:200]!r}, which is no JSON") from None
            if not isinstance(said, dict):
                raise NotReady(f"{talker.name}: {module} said {line[:200]!r}, which is no JSON object")
            yield said
        if job.code not in (0, 1):
            last = (job.words.strip().splitlines() or ["nothing"])[-1]
            raise NotReady(f"{talker.name}: {module} ended with {job.code}; its last words: {last[:300]!r}")

    def ended(self, server: Running) -> End | None:
        """Return how a server ended, or None while it runs."""
        state = self.site.client.api.inspect_container(server.id)["State"]
        return None if state["Running"] else End(int(state["ExitCode"]), bool(state.get("OOMKilled")), 0.0)

    def close(self) -> None:
        """Take the pod down."""
        for container in (*self.talkers, *self.servers, self.holder):
            remove(self.site.client, container.id)


def open_pod(site: Site, name: str, variant: Variant, profile: Profile, nonce: str) -> ContractPod:
    """Make a pod without servers. The caller closes it."""
    alone = replace(site, network="none")
    holder = start_holder(alone, name, profile)
    return ContractPod(replace(alone, nofile=min(site.nofile, profile.nofile)), name, variant, nonce, holder)
