"""Bring up the fresh pod of one trial, verified and with its workers ready; take it down afterwards.

A variant with a fixed delay is verified with a short one and then started anew with the scenario's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.containers.control import ControlPlane
from orchestrator.containers.launch import Running, remove, stop, unsupported
from orchestrator.containers.pods import (
    Site,
    read_process_limits,
    read_sysctls,
    require_taken,
    start_holder,
    start_server,
    start_worker,
    wait_listening,
)
from orchestrator.containers.watch import fallen, last_words
from orchestrator.errors import Lost, NotReady, Refused, Unsupported
from orchestrator.hosts.limits import keep_sysctls
from orchestrator.load.master import Master
from orchestrator.load.told import LOOPBACK, opening_each, swarm_settings, worker_share
from orchestrator.model import Lab, ReadBack, TrialSpec
from orchestrator.observe.exporter_client import Exporter
from orchestrator.observe.marks import Marks
from orchestrator.planning.ablation import profile_of
from orchestrator.units import parse_cpu_list
from orchestrator.up import state_folder
from orchestrator.verify import READY_S, questions, verify

_VERIFY_DELAY_S = 0.2  # what a variant with a fixed delay is given while it is verified
_WORKERS_S = 30.0
_WORKER_EACH_S = 2.0  # importing Locust takes 0.7 s of CPU, and all workers of a pod may share one


@dataclass(frozen=True, slots=True)
class Bench:
    """What every trial of a run needs at hand."""

    lab: Lab
    site: Site
    control: ControlPlane
    master: Master
    exporter: Exporter
    run_id: str
    nonce: str  # this run's servers answer with it, so that its workers know them
    locustfile: Path | None = None  # a person's own, instead of the lab's users; nobody but the lab writes its folder
    marks: Marks = field(default_factory=lambda: Marks(None))  # of the run's times, in Grafana's charts


@dataclass(frozen=True, slots=True)
class Pod:
    """One trial's containers."""

    name: str
    holder: Running
    servers: tuple[Running, ...]
    workers: tuple[Running, ...]


@contextlib.contextmanager
def pod_for(bench: Bench, spec: TrialSpec, read_backs: list[ReadBack]) -> Iterator[Pod]:
    """Bring up a verified pod with its workers ready; take it down on leaving."""
    lab = bench.lab
    profile, variant, scenario = profile_of(lab, spec), lab.variants[spec.variant], lab.scenarios[spec.scenario]
    site = replace(bench.site, nofile=min(bench.site.nofile, profile.nofile))
    name = f"{bench.run_id.rsplit('-', 1)[-1]}-t{spec.index:03d}"
    backlog = int(profile.sysctls.get("net.core.somaxconn", "4096"))
    settings = swarm_settings(
        [scenario],
        {variant.name: (variant, LOOPBACK)},
        once=True,
        users=spec.users,
        nonce=bench.nonce,
        opening=opening_each(backlog, spec.workers),
    )
    told = {"LAB_BACKLOG": str(backlog)}
    if spec.server_processes > 1:
        told["LAB_REUSEPORT"] = "1"
    if variant.processes == "own":
        told["LAB_PROCESSES"] = str(max(spec.own_processes, len(parse_cpu_list(site.server_cpus))))
    made: list[Running] = []
    pool = ThreadPoolExecutor(max_workers=16)
    holder: Running | None = None
    workers: list[Running] = []
    try:
        holder = start_holder(site, name, profile)

        def worker(n: int) -> Running:
            share = worker_share(n, spec.workers)
            started = start_worker(
                site,
                f"{name}-worker-{n}",
                holder,
                bench.control.master_ip,
                settings,
                share=share,
                locustfile=bench.locustfile,
            )
            workers.append(started)
            return started

        def server(n: int, delay_s: float, label: str) -> Running:
            extra = {"LAB_DELAY_MS": str(round(delay_s * 1000))} if variant.fixed_delay else {}
            started = start_server(
                site,
                f"{name}-{label}-{n}",
                holder,
                variant,
                host=LOOPBACK,
                environment={**told, **extra},
                nonce=bench.nonce,
                instance=n,
            )
            made.append(started)
            return started

        starting = [pool.submit(worker, n) for n in range(spec.workers)]
        sysctls = pool.submit(read_sysctls, site, holder, profile)
        first = server(0, _VERIFY_DELAY_S, "verify") if variant.fixed_delay else server(0, 0.0, "server")
        rest = range(1, 1 if variant.fixed_delay else spec.server_processes)
        others = [pool.submit(server, n, 0.0, "server") for n in rest]
        running_workers = [w.result() for w in starting]
        servers = [first, *(s.result() for s in others)]
        asked = questions(variant, LOOPBACK, _VERIFY_DELAY_S, backlog, bench.nonce, spec.server_processes)
        verify(site, running_workers[0], asked)
        if variant.fixed_delay:
            remove(site.client, first.id)
            servers = [server(n, scenario.delay_s, "server") for n in range(spec.server_processes)]
        # The probe meets whichever process the kernel picks; the others must listen as well before the load comes.
        wait_listening(site, running_workers[0], variant.port, READY_S + len(servers), len(servers))
        processes = [("server", s, site.server_cpus) for s in servers]
        processes += [("worker", w, site.load_cpus) for w in running_workers]
        wanted = profile.nofile
        limits = [pool.submit(read_process_limits, site, where, c, wanted, cpus) for where, c, cpus in processes]
        taken = sysctls.result()
        keep_sysctls(state_folder(bench.lab.root), {(b.what.removeprefix("sysctl "), b.wanted): b.seen for b in taken})
        read_backs += taken + [back for found in limits for back in found.result()]
        require_taken(read_backs, profile)
        _wait_workers(bench, name, running_workers)
        bench.exporter.register(
            name,
            {"run_id": bench.run_id, "scenario": scenario.name, "variant": variant.name},
            [(s.id, s.pid) for s in servers],
            listens=(LOOPBACK, variant.port),
            stats="told" if variant.tells_runtime else "never",
            beside=[(other.id, other.pid) for other in (holder, *running_workers, *bench.control.services)],
        )
        yield Pod(name, holder, tuple(servers), tuple(running_workers))
    except (NotReady, Refused) as error:
        words = next((said for s in made if (said := unsupported(site.client, s)) is not None), None)
        if words is None:
            raise
        raise Unsupported(words) from error
    finally:
        pool.shutdown(wait=True)
        _take_down(bench, name, holder, made, workers)


def _wait_workers(bench: Bench, name: str, workers: list[Running]) -> None:
    """Wait until the master sees all workers ready. Raises Lost with the last words of one that ended instead."""
    client = bench.site.client
    ends_s = time.monotonic() + _WORKERS_S + _WORKER_EACH_S * len(workers)
    while True:
        try:
            bench.master.wait_workers(name, len(workers), 1.0)
            return
        except NotReady:
            for gone in fallen(client, bench.site.lab, workers):
                raise Lost(f"a worker ended before the load began: {last_words(client, gone)}") from None
            if time.monotonic() > ends_s:
                raise


def _take_down(bench: Bench, name: str, holder: Running | None, servers: list[Running], workers: list[Running]) -> None:
    """Remove a pod: workers say goodbye to the master first, so that the next trial finds it alone."""
    client = bench.site.client
    with contextlib.suppress(NotReady):
        bench.exporter.forget(name)
    with ThreadPoolExecutor(max_workers=16) as pool:
        for work in [
            *(pool.submit(stop, client, w.id, 3) for w in workers),
            *(pool.submit(remove, client, s.id) for s in servers),
        ]:
            work.result()
    with contextlib.suppress(NotReady):
        bench.master.forget([w.name.removeprefix(bench.site.container_name("")) for w in workers])
    if holder is not None:
        remove(client, holder.id)
