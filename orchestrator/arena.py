"""Keep the arena: the shared pod of `lab up`, every variant on a loopback address of its own, one worker.

While a scripted run measures, the arena stands still: its workers are taken away, so that the master commands the
trial's alone, and its servers are paused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from orchestrator.containers.control import ControlPlane
from orchestrator.containers.labels import LAB, ROLE
from orchestrator.containers.launch import Running, ended, remove, stop, unsupported
from orchestrator.containers.nonce import arena_nonce
from orchestrator.containers.pods import Site, start_holder, start_server, start_worker
from orchestrator.errors import EnvironmentMissing, LabError, NotReady, Unsupported
from orchestrator.load.master import Master
from orchestrator.load.told import arena_addresses, swarm_settings
from orchestrator.model import Lab, Variant
from orchestrator.observe.exporter_client import Exporter
from orchestrator.up import state_folder
from orchestrator.verify import questions, verify

RUN = "arena"  # the run_id of what is loaded by hand; also the scenario of the servers' own series then
_HOLDER = "arena"
_WORKERS_S = 60.0


@dataclass(frozen=True, slots=True)
class VariantState:
    """One variant in the arena: where it listens and whether it passed verification."""

    name: str
    address: str
    state: str  # "verified", or why not


def fixed_delay_s(lab: Lab) -> float:
    """Return the delay of the variants with a fixed one in the arena: the shortest hold of lab.yaml, else 2 s."""
    return min((s.delay_s for s in lab.scenarios.values() if s.kind == "hold"), default=2.0)


def ensure_arena(lab: Lab, site: Site, control: ControlPlane) -> list[VariantState]:
    """Bring up whatever of the arena is missing, verify every variant in it, and return their states."""
    wake(site.client, site.lab)
    profile = lab.profiles[lab.arena.profile]
    addresses = arena_addresses(lab.variants[name] for name in lab.arena.variants)
    holder = start_holder(site, _HOLDER, profile)
    exporter = Exporter(control.exporter_url)
    _remove_strangers(site, exporter, set(addresses))
    nonce = arena_nonce(state_folder(lab.root))
    settings = swarm_settings(lab.scenarios.values(), addresses, once=False, nonce=nonce)
    backlog = profile.sysctls.get("net.core.somaxconn", "4096")

    def serve(entry: tuple[Variant, str]) -> Running | str:
        variant, host = entry
        told = {"LAB_BACKLOG": backlog}
        if variant.fixed_delay:
            told["LAB_DELAY_MS"] = str(round(fixed_delay_s(lab) * 1000))
        try:
            return start_server(
                site, f"{_HOLDER}-{variant.name}", holder, variant, host=host, environment=told, nonce=nonce
            )
        except (NotReady, Unsupported) as error:  # one that cannot start here is no reason to have none of them
            return str(error)

    with ThreadPoolExecutor(max_workers=8) as pool:
        worker = pool.submit(start_worker, site, f"{_HOLDER}-worker-0", holder, control.master_ip, settings)
        servers = dict(zip(addresses, pool.map(serve, addresses.values()), strict=True))
        inside = worker.result()
        for name, server in servers.items():
            if isinstance(server, str):
                continue
            labels = {"run_id": RUN, "scenario": RUN, "variant": name}
            try:
                variant, host = addresses[name]
                exporter.register(
                    f"arena-{name}",
                    labels,
                    [(server.id, server.pid)],
                    shared_namespace=True,
                    listens=(host, variant.port),
                    stats="always" if variant.tells_runtime else "never",
                )
            except NotReady:
                if ended(site.client, server) is None:
                    raise
                # It ended meanwhile: its state below says why, and the others stand.
        states = list(pool.map(lambda name: _state(lab, site, inside, *addresses[name], servers[name]), addresses))
    master = Master(control.master_url)
    master.wait_workers(_HOLDER, 1, _WORKERS_S)
    master.label(RUN, "")  # a run that was killed left its own
    return states


def _remove_strangers(site: Site, exporter: Exporter, variants: set[str]) -> None:
    """Remove the servers of variants that lab.yaml no longer names."""
    for container in _members(site.client, site.lab):
        name = str(container.name).removeprefix(site.container_name(f"{_HOLDER}-"))
        if container.labels.get(ROLE) == "server" and name not in variants:
            remove(site.client, str(container.id))
            exporter.forget(f"arena-{name}")


def _state(lab: Lab, site: Site, inside: Running, variant: Variant, host: str, server: Running | str) -> VariantState:
    address = f"{host}:{variant.port}"
    if isinstance(server, str):
        return VariantState(variant.name, address, server)
    try:
        nonce = arena_nonce(state_folder(lab.root))
        verify(site, inside, questions(variant, host, fixed_delay_s(lab), None, nonce))
    except LabError as error:
        return VariantState(variant.name, address, unsupported(site.client, server) or str(error))
    return VariantState(variant.name, address, "verified")


@contextlib.contextmanager
def standstill(lab: Lab, site: Site, control: ControlPlane) -> Iterator[None]:
    """Keep the arena out of the way while a run measures; afterwards it is as it was.

    Raises EnvironmentMissing when somebody's swarm is running in the web UI: a run would end it.
    """
    client = site.client
    wake(client, site.lab)  # a run that was killed left it paused, and what is paused cannot be paused again
    members = _members(client, site.lab)
    master = Master(control.master_url)
    seen = master.state() if members else None
    if seen is not None and seen.state in ("spawning", "running"):
        if any(name.startswith(_HOLDER) and state != "missing" for name, state in seen.workers.items()):
            raise EnvironmentMissing(
                f"a swarm started in the web UI ({control.master_url}) is running; a scripted run would end it. "
                "Stop it there, then try again"
            )
        with contextlib.suppress(NotReady):  # a killed run's swarm: its workers are gone, and Locust waits for them
            master.stop()
    try:
        workers = [c for c in members if c.labels.get(ROLE) == "worker"]
        for container in workers:
            stop(client, str(container.id), 3)
        master.forget([str(c.name).removeprefix(site.container_name("")) for c in workers])
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(_pause, [c for c in members if c.labels.get(ROLE) == "server"]))
        yield
    finally:
        wake(client, site.lab)
        return_worker(lab, site, control)  # also the one that a killed run took
        with contextlib.suppress(NotReady):  # a master that is gone labels nothing
            master.label(RUN, "")  # what is loaded from the page is no part of this run


def return_worker(lab: Lab, site: Site, control: ControlPlane) -> None:
    """Give a standing arena its worker back, or one of its master's present address; without an arena do nothing.

    site: one that leaves alone what runs as wanted.
    """
    if not _members(site.client, site.lab):
        return
    holder = start_holder(site, _HOLDER, lab.profiles[lab.arena.profile])
    addresses = arena_addresses(lab.variants[name] for name in lab.arena.variants)
    nonce = arena_nonce(state_folder(lab.root))
    settings = swarm_settings(lab.scenarios.values(), addresses, once=False, nonce=nonce)
    start_worker(site, f"{_HOLDER}-worker-0", holder, control.master_ip, settings)


def is_standing(client: docker.DockerClient, lab: str) -> bool:
    """Return whether there is an arena, running or paused. lab: its id."""
    return bool(_members(client, lab))


def wake(client: docker.DockerClient, lab: str) -> None:
    """Let paused servers of the arena go on, also after a run that was killed."""
    for container in _members(client, lab):
        if container.status == "paused":
            with _unless_ended(container):
                container.unpause()


def _pause(container: Container) -> None:
    with _unless_ended(container):
        container.pause()


@contextlib.contextmanager
def _unless_ended(container: Container) -> Iterator[None]:
    """Let the engine refuse what it is asked of a server that has ended meanwhile; any other refusal is raised."""
    try:
        yield
    except APIError:
        with contextlib.suppress(NotFound):
            container.reload()
            if container.status in ("running", "paused"):
                raise


def _members(client: docker.DockerClient, lab: str) -> list[Container]:
    prefix = f"netpoll-lab-{lab}-{_HOLDER}"
    found = client.containers.list(filters={"label": f"{LAB}={lab}"}, ignore_removed=True)
    return [c for c in found if str(c.name) == prefix or str(c.name).startswith(prefix + "-")]
