"""Bring up the whole lab and leave it standing; say what of it stands.

Control plane and arena; a second call finds everything running and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.arena import VariantState, ensure_arena, is_standing
from orchestrator.containers.clear import clear_abandoned, standing_containers
from orchestrator.containers.control import ControlPlane
from orchestrator.containers.engine import Say, find_engine
from orchestrator.containers.labels import STANDING, current_owner, lab_id
from orchestrator.errors import BadInput
from orchestrator.grafana import grafana_page
from orchestrator.guests import check_guests, forget_guests, keep_guests, with_guests
from orchestrator.lock import only_one
from orchestrator.model import Lab
from orchestrator.report.progress import Progress
from orchestrator.report.text import PageRow, VariantRow
from orchestrator.units import shown
from orchestrator.up import Ground, bring_up_control, make_site, prepare, state_folder, wait_scraped


@dataclass(frozen=True, slots=True)
class Standing:
    """A lab that is up."""

    lab: Lab  # as declared, and with the arena's guests
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


def build(lab: Lab, progress: Progress, say: Say, variants: Sequence[str] = ()) -> Ground:
    """Find an engine and build the images that are missing: the lab's own, and these variants' (none: the arena's).

    Raises BadInput for a name that is no variant.
    """
    for name in variants:
        if name not in lab.variants:
            raise BadInput(f"{lab.path}: {shown(name)} is not a variant; write one of: {', '.join(lab.variants)}")
    wanted = variants or lab.arena.variants
    return prepare(lab, lab.arena.profile, current_owner("build"), progress, say, wanted)


def bring_up(lab: Lab, progress: Progress, say: Say, more: Sequence[str] = ()) -> Standing:
    """Bring up control plane and arena, wait until everything answers, and return where it is.

    more: variants that join the arena until `lab down`. Raises BadInput for one that cannot.
    """
    state = state_folder(lab.root)
    check_guests(lab, more)
    with only_one(state, "up"):
        client = find_engine()
        if client is None or not is_standing(client, lab_id(lab.root)):
            forget_guests(state)  # of an arena that went without `lab down`
        guested = with_guests(lab, state, more)
        check_guests(lab, [name for name in guested.arena.variants if name not in lab.arena.variants])
        return _bring_up(guested, progress, say, guested.arena.variants[len(lab.arena.variants) :])


def _bring_up(lab: Lab, progress: Progress, say: Say, guests: Sequence[str]) -> Standing:
    owner = current_owner(STANDING)
    limits = current_owner("limits")
    ground = prepare(lab, lab.arena.profile, limits, progress, say, lab.arena.variants, with_grafana=True)
    keep_guests(state_folder(lab.root), guests)
    cleared = clear_abandoned(ground.client, ground.lab_id)
    if cleared.containers:
        say(f"an earlier command was killed: {cleared.sentence()}")
    control = bring_up_control(lab, ground, owner, say)
    states = {s.name: s for s in ensure_arena(lab, make_site(ground, owner, keep=True), control)}
    wait_scraped(control)
    return Standing(
        lab=lab,
        ground=ground,
        control=control,
        pages=[
            *_pages(control.master_url, control.prometheus_url, control.exporter_url, "ready"),
            *grafana_page(lab, state_folder(lab.root), None),
        ],
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
    rows = [PageRow(p.page, p.address, state) for p, state in zip(pages, states, strict=True)]
    own = _state_of(containers, "grafana")
    return Seen([*rows, *grafana_page(lab, state_folder(lab.root), own)], containers)


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
