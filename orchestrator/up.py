"""Bring up the lab: from whatever machine this is to a control plane that answers and an arena to load.

Engine, base image, images, limits read back, control plane, arena; each step finds its work done where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import docker

from dashboards import provisioning
from orchestrator.containers.control import (
    PROMETHEUS_PORT,
    ControlPlane,
    control_network,
    ensure_control,
    pod_network,
    scrape_jobs,
    seldom_jobs,
)
from orchestrator.containers.engine import Say, ensure_engine
from orchestrator.containers.grafana import Found, find_official, read_password
from orchestrator.containers.granted import read_granted
from orchestrator.containers.images import build, ensure_base, find_existing, missing
from orchestrator.containers.labels import Owner, lab_id
from orchestrator.containers.nonce import arena_nonce
from orchestrator.containers.pods import Site
from orchestrator.containers.recipes import describe, grafana_recipe, service_recipes, variant_recipes
from orchestrator.grafana import settle
from orchestrator.hosts.facts import host_facts
from orchestrator.hosts.limits import keep_granted, keep_sysctls
from orchestrator.load.master import Master
from orchestrator.load.told import arena_addresses, swarm_settings
from orchestrator.model import Lab
from orchestrator.observe.exporter_client import Exporter
from orchestrator.observe.prometheus import render_config, wait_up
from orchestrator.past import show_past
from orchestrator.planning.cpus import CpuSets, format_cpu_list, parse_cpu_list, split_cpus
from orchestrator.report.progress import Progress
from orchestrator.report.remaining import Step

_READY_S = 60.0  # for each service; seen: 2 to 4 s, longer while images of another clone build


@dataclass(frozen=True, slots=True)
class Ground:
    """What the lab stands on: an engine, images, and the limits the engine grants."""

    client: docker.DockerClient
    lab_id: str
    images: Mapping[str, str]
    nofile: int
    cpus: CpuSets
    facts: Mapping[str, object]
    grafana_missing: str = ""  # why there is no Grafana of the lab's own, where one was asked for


def state_folder(root: Path) -> Path:
    """Return the folder of the lab's own records: engine, lock, downloaded wheels. root: the lab file's folder."""
    return root / ".lab"


def prepare(
    lab: Lab,
    profile: str,
    owner: Owner,
    progress: Progress,
    say: Say,
    variants: Iterable[str],
    *,
    with_grafana: bool = False,
) -> Ground:
    """Find or start an engine, build the images that are missing, read the limits back.

    variants: whose images are wanted; the catalogue has many, and building all of them takes minutes.
    with_grafana: also one for the lab's own Grafana, where lab.yaml wants one; it may be pulled.
    """
    wanted_variants = [lab.variants[name] for name in dict.fromkeys(variants)]
    client = ensure_engine(state_folder(lab.root), say)
    info = client.info()
    architecture = str(info.get("Architecture"))
    base_id = ensure_base(client, say)
    config = render_config(scrape_jobs(), lab.observability.interval_s, seldom_jobs())
    recipes = {
        **service_recipes(architecture, config, state_folder(lab.root) / "wheels"),
        **variant_recipes(wanted_variants),
    }
    found = Found("")
    if with_grafana and lab.grafana.is_own:
        found = find_official(client, lab.grafana, state_folder(lab.root), say)
    if found.image_id:
        files = provisioning.files(f"http://prometheus:{PROMETHEUS_PORT}", lab.observability.interval_s)
        recipes["grafana"] = grafana_recipe(lab.grafana.image, found.image_id, files)
    existing = find_existing(client, wanted_variants)  # before minutes of building
    names = missing(client, recipes, base_id)
    with progress.stage("building images", [Step(name) for name in names]) if names else nullcontext() as stage:
        images = existing | build(client, recipes, base_id, names, finished=stage.complete if stage else _nothing)
    images |= {variant.name: images[variant.same_as] for variant in wanted_variants if variant.same_as}
    ident = lab_id(lab.root)
    wanted = lab.profiles[profile]
    granted = read_granted(client, ident, owner, wanted.nofile)
    keep_granted(
        state_folder(lab.root),
        nofile=granted.nofile,
        wanted=wanted.nofile,
        engine=str(info.get("ServerVersion")),
        container=granted.limits,
        pods_tracked=pod_network(client, control_network(ident)) == control_network(ident),
    )
    keep_sysctls(state_folder(lab.root), {(name, ""): seen for name, seen in granted.sysctls.items()})
    cpus = split_cpus(parse_cpu_list(granted.cpus), wanted.server_cpus, wanted.load_cpus)
    if cpus.note:
        say(cpus.note)
    made_with = {name: image for name, image in images.items() if name != "grafana"}  # it has no part in any figure
    digests = {"base": base_id.removeprefix("sha256:")[:12], **describe(made_with)}
    facts = host_facts(info, digests, granted.nofile, granted.cpus)
    return Ground(client, ident, images, granted.nofile, cpus, facts, found.missing)


def make_site(ground: Ground, owner: Owner, *, keep: bool) -> Site:
    """Return where pods are made. keep: leave containers alone that already run as wanted."""
    return Site(
        client=ground.client,
        lab=ground.lab_id,
        owner=owner,
        network=pod_network(ground.client, control_network(ground.lab_id)),
        images=ground.images,
        server_cpus=format_cpu_list(ground.cpus.server),
        load_cpus=format_cpu_list(ground.cpus.load),
        nofile=ground.nofile,
        keep=keep,
    )


def bring_up_control(lab: Lab, ground: Ground, owner: Owner, say: Say) -> ControlPlane:
    """Start what is missing of master, exporter, Prometheus and Grafana, wait until each answers, show the past runs.

    A Grafana that does not answer, or takes nothing, is said and recorded; the lab works without it.
    """
    arena = [lab.variants[name] for name in lab.arena.variants]
    nonce = arena_nonce(state_folder(lab.root))
    swarm = swarm_settings(lab.scenarios.values(), arena_addresses(arena), once=False, nonce=nonce)
    control = ensure_control(
        ground.client,
        ground.lab_id,
        owner,
        ground.images,
        lab.observability,
        swarm,
        format_cpu_list(ground.cpus.load),
        lab.grafana,
        read_password(state_folder(lab.root)) if lab.grafana.is_own else "",
    )
    Master(control.master_url).wait_ready(_READY_S)
    exporter = Exporter(control.exporter_url)
    exporter.wait_ready(_READY_S)
    if trouble := show_past(lab.root / "results", state_folder(lab.root), exporter):
        say(trouble)
    missing = ground.grafana_missing or control.grafana_missing
    settle(lab, control.grafana_url, missing, state_folder(lab.root), say)
    return control


def wait_scraped(control: ControlPlane) -> None:
    """Wait until Prometheus has scraped every target at least once."""
    wait_up(control.prometheus_url, list(scrape_jobs()), _READY_S)


def _nothing(_name: str, _took_s: float) -> None:
    """Show nothing, where nothing is built."""
