"""What a bound is computed from: one pairing, what it is granted, and the machine it would run on. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model import Profile, Scenario, Users, Variant
from orchestrator.planning.capacity import Limit
from orchestrator.planning.costs import Costs
from orchestrator.planning.hostlimits import HostLimits

SOURCES_EACH = 16  # source addresses of one worker where the scenario does not say (swarm/client.py)


@dataclass(frozen=True, slots=True)
class Ask:
    """One trial, as far as its limits go."""

    scenario: Scenario
    variant: Variant
    profile: Profile  # with the trial's own setting taken back, in an ablation
    users: Users
    server_processes: int
    workers: int
    limit: Limit  # descriptors of one process
    host: HostLimits
    costs: Costs
    load_cpus: int  # that the workers have for themselves; of shared ones half

    @property
    def connections(self) -> float:
        return float(self.scenario.connections)

    @property
    def sources(self) -> int:
        """Source addresses of the whole swarm."""
        shared = self.scenario.sources if self.users == "engine" else 0
        return shared or self.workers * SOURCES_EACH

    @property
    def queue(self) -> int:
        """The accept queue of one listener, which is told LAB_BACKLOG = somaxconn."""
        return int(self._sysctl("net.core.somaxconn", "4096"))

    @property
    def ports(self) -> int:
        """Source ports of one address, towards one address and port."""
        first, last = self._sysctl("net.ipv4.ip_local_port_range", "32768 60999").split()
        return max(int(last) - int(first) + 1, 0)

    def assumed(self, name: str) -> str:
        """Return what to say of a bound that rests on a namespace's setting: "" where a pod's was read back."""
        return "" if self._key(name) in self.host.sysctls else f"; {name.rpartition('.')[2]} assumed, not read back yet"

    def _sysctl(self, name: str, given: str) -> str:
        """Return what a pod had when a profile asked for this, else what it asks for. given: by the kernel."""
        return self.host.sysctls.get(self._key(name)) or self.profile.sysctls.get(name, given)

    def _key(self, name: str) -> str:
        return f"{name}={' '.join(self.profile.sysctls.get(name, '').split())}"

    @property
    def base_bytes(self) -> float:
        """What all processes take before the first connection."""
        return self.workers * self.costs.generator.base_bytes + self.server_processes * SERVER_BASE_BYTES


# RSS of c-epoll, go-nethttp and py-asyncio at rest: 1 to 20 MB; a few dozen processes in C are the usual case.
SERVER_BASE_BYTES = 5e6
