"""What every experiment stands on: engine, images, control plane of the benchmark's own lab, and how a trial is run.

The trials are the story's own (orchestrator.trial, pod, offer); only what is compared with them is added here.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.paces import with_slower
from bench.witness import Ordered, Seen, Witness
from orchestrator.config.load import load_lab
from orchestrator.containers.clear import clear_abandoned, clear_owned
from orchestrator.containers.control import ControlPlane, scrape_jobs
from orchestrator.containers.engine import Say, ensure_engine
from orchestrator.containers.images import Recipe, build, ensure_base, missing
from orchestrator.containers.labels import current_owner
from orchestrator.containers.recipes import service_recipes
from orchestrator.errors import BadInput
from orchestrator.lock import only_one
from orchestrator.model import Lab, TrialResult, TrialSpec
from orchestrator.observe.prometheus import render_config
from orchestrator.planning.cpus import split_cpus
from orchestrator.pod import Bench
from orchestrator.report.progress import Progress
from orchestrator.results.folder import write_trial
from orchestrator.run import make_bench, new_id, plan_suite
from orchestrator.trial import execute
from orchestrator.up import Ground, bring_up_control, prepare, state_folder

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = ROOT / "results"
REHEARSED_CONNECTIONS, REHEARSED_DELAY_S = 2000, 9.0  # above what the witness waits


@dataclass(slots=True)
class Stand:
    """A control plane that answers, and what trials need."""

    lab: Lab
    ground: Ground
    control: ControlPlane
    results: Path
    run_id: str
    nonce: str
    progress: Progress
    say: Say
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def spec(self, suite: str, scenario: str, variant: str) -> TrialSpec:
        """Return a new trial of a pairing, as the plan has it. Raises BadInput when the plan leaves it out."""
        plan = plan_suite(self.lab, suite, self.ground)
        for spec in plan.trials:
            if (spec.scenario, spec.variant) == (scenario, variant):
                return replace(spec, index=next(self._numbers))
        reasons = [x.reason for x in plan.left_out if (x.scenario, x.variant) == (scenario, variant)]
        why = (reasons or ["no such pairing"])[0]
        raise BadInput(f"{self.lab.path}: {variant} on {scenario} cannot be planned: {why}")

    def bench(self, master: Ordered, profile: str = "bench") -> Bench:
        """Return what the story's trials need, with a master that notes what it was told, on a profile's CPUs."""
        cpus, wanted = self.ground.cpus, self.lab.profiles[profile]
        placed = split_cpus(cpus.server | cpus.load, wanted.server_cpus, wanted.load_cpus)
        ground = replace(self.ground, cpus=placed)
        return make_bench(self.lab, ground, self.control, self.run_id, master=master, nonce=self.nonce)

    def trial(self, spec: TrialSpec, master: Ordered | None = None) -> tuple[TrialResult, Seen]:
        """Run one trial as `lab run` does, keep its result, and return it with what was seen from outside."""
        master = master or Ordered(self.control.master_url)
        scenario = self.lab.scenarios[spec.scenario]
        with Witness(self.ground.client, self.ground.lab_id, spec, scenario, master) as witness:
            result = execute(self.bench(master, spec.profile), spec)
        write_trial(self.results, self.run_id, result)
        return result, witness.seen


@contextlib.contextmanager
def standing(lab: Lab, profile: str, results: Path, progress: Progress, say: Say) -> Iterator[Stand]:
    """Bring a lab up, and leave nothing of it behind. profile: whose limits are read. results: where files go."""
    ensure_engine(state_folder(ROOT), say)  # an engine that has to be started is the clone's own, not the benchmark's
    _share_wheels(lab)
    with only_one(state_folder(lab.root), "bench"):
        run_id = new_id("bench")
        owner = current_owner(run_id)
        ground = prepare(lab, profile, owner, progress, say, lab.variants)
        clear_abandoned(ground.client, ground.lab_id)
        try:
            control = bring_up_control(lab, ground, owner, say)
            yield Stand(lab, ground, control, results, run_id, secrets.token_hex(16), progress, say)
        finally:
            clear_owned(ground.client, ground.lab_id, owner)


def own_lab(*, rehearsal: bool) -> Lab:
    """Return what bench/lab.yaml declares, and the slower pace. rehearsal: everything small."""
    lab = with_slower(load_lab(HERE / "lab.yaml"))
    return rehearsed(lab) if rehearsal else lab


def rehearsed(lab: Lab) -> Lab:
    """Return the same lab with fewer connections and shorter waits: minutes become seconds, and no figure counts."""
    small = {
        name: replace(
            s,
            connections=min(s.connections, REHEARSED_CONNECTIONS),
            delay_s=min(s.delay_s, REHEARSED_DELAY_S),
            warmup_s=min(s.warmup_s, REHEARSED_DELAY_S),
            measure_s=min(s.measure_s, REHEARSED_DELAY_S),
        )
        for name, s in lab.scenarios.items()
    }
    return replace(lab, scenarios=small)


def _share_wheels(lab: Lab) -> None:
    """Use the clone's downloaded wheels; they are pinned by hash, so one copy serves all."""
    shared, own = state_folder(ROOT) / "wheels", state_folder(lab.root) / "wheels"
    shared.mkdir(parents=True, exist_ok=True)
    own.parent.mkdir(parents=True, exist_ok=True)
    if not own.exists():
        own.symlink_to(shared)


def wrk_image(stand: Stand) -> str:
    """Return the image with wrk and the ordinary users, building it where it is absent."""
    client, lab, say = stand.ground.client, stand.lab, stand.say
    base_id = ensure_base(client, say)
    config = render_config(scrape_jobs(), lab.observability.interval_s)
    architecture = str(client.info().get("Architecture"))
    swarm = service_recipes(architecture, config, state_folder(lab.root) / "wheels")["swarm"]
    context = {name: HERE / name for name in ("users.py", "report.lua")}
    recipes = {"swarm": swarm, "bench-wrk": Recipe("bench-wrk", HERE / "wrk.Dockerfile", context, toolchain="swarm")}
    names = missing(client, recipes, base_id)
    if names:
        say(f"building {', '.join(names)}")
    return build(client, recipes, base_id, names, finished=lambda *_: None)["bench-wrk"]
