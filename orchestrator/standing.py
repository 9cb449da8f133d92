"""Bring up the whole lab and leave it standing; say what of it stands.

Control plane and arena; a second call finds everything running and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.arena import VariantState, ensure_arena
from orchestrator.containers.clear import clear_abandoned, standing_containers
from orchestrator.containers.control import ControlPlane
from orchestrator.containers.engine import Say, find_engine
from orchestrator.containers.labels import STANDING, current_owner, lab_id
from orchestrator.model import Lab
from orchestrator.report.progress import Progress
from orchestrator.report.text import PageRow, VariantRow
from orchestrator.run import only_one
from orchestrator.up import Ground, bring_up_control, make_site, prepare, state_folder, wait_scraped


@dataclass(frozen=True, slots=True)
class Standing:
    """A lab that is up."""

    ground: Ground
    control: ControlPlane
    pages: list[PageRow]
    variants: list[VariantRow]


@dataclass(frozen=True, slots=True)
class Seen:
    """What of the lab is running, as `lab status` shows it."""

    pages: list[PageRow]
    containers: Mapping[str, str]  # name -> the engine's word for its state

    def document(self) -> dict[str, object]:
        """Return the same as plain values."""
        return {
            "pages": [{"page": p.page, "address": p.address, "state": p.state} for p in self.pages],
            "containers": dict(self.containers),
        }


def build(lab: Lab, progress: Progress, say: Say) -> Ground:
    """Find an engine and build every image that is missing."""
    return prepare(lab, lab.arena.profile, current_owner("build"), progress, say)


def bring_up(lab: Lab, progress: Progress, say: Say) -> Standing:
    """Bring up control plane and arena, wait until everything answers, and return where it is."""
    with only_one(state_folder(lab.root), "up"):
        return _bring_up(lab, progress, say)


def _bring_up(lab: Lab, progress: Progress, say: Say) -> Standing:
    owner = current_owner(STANDING)
    ground = prepare(lab, lab.arena.profile, current_owner("limits"), progress, say)
    cleared = clear_abandoned(ground.client, ground.lab_id)
    if cleared.containers:
        say(f"an earlier command was killed: {cleared.sentence()}")
    control = bring_up_control(lab, ground, owner)
    states = {s.name: s for s in ensure_arena(lab, make_site(ground, owner, keep=True), control)}
    wait_scraped(control)
    return Standing(
        ground=ground,
        control=control,
        pages=_pages(control.master_url, control.prometheus_url, control.exporter_url, "ready"),
        variants=[_row(lab, states[name]) for name in lab.arena.variants],
    )


def look(lab: Lab) -> Seen:
    """Return what of this lab exists on the engine; nothing where no engine runs."""
    client = find_engine()
    containers = standing_containers(client, lab_id(lab.root)) if client else {}
    at = lab.observability
    urls = [f"http://127.0.0.1:{port}" for port in (at.web_port, at.prometheus_port, at.exporter_port)]
    states = [_state_of(containers, role) for role in ("master", "prometheus", "exporter")]
    pages = _pages(*(urls[0], urls[1], urls[2]), "")
    return Seen([PageRow(p.page, p.address, state) for p, state in zip(pages, states, strict=True)], containers)


def _pages(web: str, prometheus: str, exporter: str, state: str) -> list[PageRow]:
    return [
        PageRow("Locust: start a swarm, watch it", web, state),
        PageRow("Prometheus: every metric", prometheus, state),
        PageRow("exporter: raw kernel readings", f"{exporter}/metrics", state),
    ]


def _row(lab: Lab, state: VariantState) -> VariantRow:
    return VariantRow(lab.variants[state.name], state.address, state.state)


def _state_of(containers: Mapping[str, str], role: str) -> str:
    return next((state for name, state in containers.items() if name.endswith(f"-{role}")), "not running")
