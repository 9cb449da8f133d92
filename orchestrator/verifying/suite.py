"""Verify variants: bring up what is missing, a pod for each of them, several at a time; judge, keep, clear up.

Correctness, not speed: pods share the CPUs, and nothing here is a measurement. The lab's lock is held, so that no run
measures beside it; a standing lab is left alone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from threading import BoundedSemaphore

from docker.errors import APIError
from requests import RequestException

from orchestrator.containers.clear import clear_abandoned, clear_owned
from orchestrator.containers.engine import Say
from orchestrator.containers.images import build, ensure_base, missing
from orchestrator.containers.labels import Owner, current_owner
from orchestrator.containers.nonce import new_nonce
from orchestrator.containers.pods import Site
from orchestrator.containers.recipes import variant_recipes
from orchestrator.containers.talk import log_of
from orchestrator.contract.table import ITEMS
from orchestrator.errors import BadInput, NotReady, Unsupported
from orchestrator.hosts.facts import kernel_version
from orchestrator.lock import only_one
from orchestrator.model import Lab, Profile, Variant
from orchestrator.report.progress import Progress
from orchestrator.report.remaining import Step
from orchestrator.units import shown
from orchestrator.up import Ground, make_site, prepare, state_folder
from orchestrator.verdicts.conformance import CheckResult, Conformance, judged
from orchestrator.verifying import sanitizers
from orchestrator.verifying.acts import Asked, perform
from orchestrator.verifying.kept import keep, suite_digest
from orchestrator.verifying.limited import ACT as LIMITED
from orchestrator.verifying.limited import OWN_BYTES, OWN_BYTES_TITLE, perform_limited
from orchestrator.verifying.outside import ACT as OUTSIDE
from orchestrator.verifying.outside import CHECKS
from orchestrator.verifying.pod import open_pod
from orchestrator.verifying.sanitizers import Sanitizer

PROFILE = "default"
AT_ONCE = 12  # pods, of seven containers each: for two thirds of their time they wait for limits of seconds
CROWDS = 3  # of them with their crowd at once, which computes all the time: more would only slow each other down


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of it. suite: the digest of the suite's sources."""

    found: tuple[Conformance, ...]
    suite: str
    is_kept: bool  # in the lab's records: every check was made


@dataclass(frozen=True, slots=True)
class _Job:
    """One variant to verify, as it is or with a sanitizer."""

    variant: Variant
    image: str
    sanitizer: Sanitizer | None

    @property
    def name(self) -> str:
        return self.variant.name if self.sanitizer is None else f"{self.variant.name} ({self.sanitizer.name})"


def all_checks() -> list[tuple[str, str, str, str]]:
    """Return (act, id, title, the contract's sentence) of every check there is."""
    rows = [(item.act, item.id, item.title, item.sentence) for item in ITEMS]
    rows += [(OUTSIDE, check.id, check.title, check.sentence) for check in CHECKS]
    rows.append((LIMITED, OWN_BYTES, OWN_BYTES_TITLE, "raw: one message in, its first 13 bytes out."))
    return rows + [(sanitizers.ACT, ident, title, "--sanitize only") for ident, title in sanitizers.sanitizer_checks()]


def chosen(lab: Lab, names: Sequence[str], every: bool, sanitize: bool = False) -> list[Variant]:
    """Return the variants to verify, in the lab's order: all but existing images. Raises BadInput.

    sanitize: all means those that have sanitizers.
    """
    if every == bool(names):
        what = "--all and names exclude each other; leave one out" if every else "name a variant, or write --all"
        raise BadInput(f"lab verify: {what}. Known: {', '.join(lab.variants)}")
    for name in names:
        if name not in lab.variants:
            raise BadInput(f"{lab.path}: {shown(name)} is not a variant; write one of: {', '.join(lab.variants)}")
        if lab.variants[name].image:
            raise BadInput(
                f"lab verify: {name} is an existing image, which never promised the contract; each of its trials "
                f"begins with a look at its mapped routes. Try: lab run plain@{name}"
            )
    found = [variant for name, variant in lab.variants.items() if not variant.image and (every or name in names)]
    return [variant for variant in found if sanitizers.sanitizers_of(variant)] if every and sanitize else found


def require_checks(only: Collection[str]) -> None:
    """Raise BadInput for a check that there is not."""
    known = {row[1] for row in all_checks()}
    for name in only:
        if name not in known:
            raise BadInput(f"--only: {shown(name)} is no check. Try: lab verify --list")


def verify_variants(
    lab: Lab,
    variants: Sequence[Variant],
    progress: Progress,
    say: Say,
    *,
    only: Collection[str] = (),
    sanitize: bool = False,
) -> Verified:
    """Verify these variants and keep what was found. only: these checks alone, and nothing is kept."""
    require_checks(only)
    if sanitize:
        sanitizers.require_sanitizers(variants)
    with only_one(state_folder(lab.root), "verify"):
        token = secrets.token_hex(3)
        owner = current_owner(f"verify-{token}")
        name = PROFILE if PROFILE in lab.profiles else lab.arena.profile
        ground = prepare(lab, name, owner, progress, say, () if sanitize else [v.name for v in variants])
        cleared = clear_abandoned(ground.client, ground.lab_id)
        if cleared.containers:
            say(f"an earlier command was killed: {cleared.sentence()}")
        jobs = _sanitized(ground, variants, progress, say) if sanitize else _plain(ground, variants)
        asked = Asked(only=frozenset(only) or None)
        found = _carry_out(ground, owner, lab.profiles[name], jobs, asked, f"verify-{token}", progress)
        suite, is_whole = suite_digest(), not only and not sanitize
        if is_whole:
            keep(lab, found, suite)
        return Verified(tuple(found), suite, is_whole)


def _plain(ground: Ground, variants: Sequence[Variant]) -> list[_Job]:
    return [_Job(variant, ground.images[variant.name], None) for variant in variants]


def _sanitized(ground: Ground, variants: Sequence[Variant], progress: Progress, say: Say) -> list[_Job]:
    """Build each variant with each of its sanitizers; return them all."""
    recipes = {**variant_recipes(variants)}
    ways = [(variant, way) for variant in variants for way in sanitizers.sanitizers_of(variant)]
    for variant, way in ways:
        recipe = sanitizers.sanitized_recipe(recipes[variant.name], way)
        recipes[recipe.name] = recipe
    for variant in variants:
        del recipes[variant.name]
    base_id = ensure_base(ground.client, say)
    names = missing(ground.client, recipes, base_id)
    with progress.stage("building images", [Step(name) for name in names]) if names else nullcontext() as stage:
        finished = stage.complete if stage else _nothing
        images = build(ground.client, recipes, base_id, names, finished=finished)
    return [_Job(variant, images[f"{variant.name}-{way.name}"], way) for variant, way in ways]


def _carry_out(
    ground: Ground, owner: Owner, profile: Profile, jobs: Sequence[_Job], asked: Asked, prefix: str, progress: Progress
) -> list[Conformance]:
    """Verify several at a time; whatever happens, nothing of it is left running."""
    kernel = kernel_version(str(ground.facts.get("kernel")))
    site = make_site(ground, owner, keep=False)
    crowded = BoundedSemaphore(CROWDS)
    pool = ThreadPoolExecutor(max_workers=AT_ONCE)
    found: dict[str, Conformance] = {}
    try:
        futures: dict[Future[Conformance], _Job] = {
            pool.submit(_verify, site, profile, job, asked, prefix, kernel, crowded): job for job in jobs
        }
        with progress.stage("verifying", [Step(job.name) for job in jobs]) as stage:
            for done in as_completed(futures):
                one = done.result()
                found[one.variant] = one
                stage.complete(one.variant, one.took_s, one.state if one.state == "kept" else one.reason())
    except BaseException:
        # Threads wait for containers: with those gone they end, complaining about what nobody wants to know any more.
        pool.shutdown(wait=False, cancel_futures=True)
        with suppress(APIError, RequestException):
            clear_owned(ground.client, ground.lab_id, owner)
        raise
    finally:
        pool.shutdown(wait=True)
        clear_owned(ground.client, ground.lab_id, owner)
    return [found[job.name] for job in jobs]


def _verify(
    site: Site,
    profile: Profile,
    job: _Job,
    asked: Asked,
    prefix: str,
    kernel: tuple[int, int] | None,
    crowded: AbstractContextManager[object],
) -> Conformance:
    """Verify one variant in a pod of its own."""
    began_s = time.monotonic()
    variant, sanitizer = job.variant, job.sanitizer
    order = {row[1]: place for place, row in enumerate(all_checks())}

    def conformance(results: Sequence[CheckResult], unsupported: str = "") -> Conformance:
        took_s = time.monotonic() - began_s
        deviations = variant.deviations if sanitizer is None else ()
        ordered = sorted(results, key=lambda one: order.get(one.id, len(order)))
        return Conformance(job.name, job.image, tuple(ordered), unsupported, took_s, deviations)

    if kernel is not None and kernel < variant.kernel_least:
        needed, here = (".".join(map(str, version)) for version in (variant.kernel_least, kernel))
        return conformance((), f"needs Linux {needed} or newer; this kernel is {here}")
    if sanitizer is not None and (why := sanitizers.why_not_here(sanitizer)):
        return conformance((), why)
    if sanitizer is not None:
        asked = replace(
            asked, acts=sanitizers.ACTS, patience=sanitizers.PATIENCE, connections=sanitizers.CONNECTIONS,
            environment=dict(sanitizer.environment), ends=True,
        )  # fmt: skip
    images: Mapping[str, str] = {**site.images, variant.name: job.image}
    name = f"{prefix}-{variant.name}" + (f"-{sanitizer.name}" if sanitizer is not None else "")
    pod = open_pod(replace(site, images=images), name, variant, profile, new_nonce())
    try:
        try:
            if variant.has_contract_routes:
                results = perform(pod, profile, asked, crowded)
            else:
                results = perform_limited(pod, asked)
        except NotReady as error:
            results = [_not_started(variant, str(error), time.monotonic() - began_s)]
        if sanitizer is not None:
            log = "\n".join(log_of(site.client, server) for server in pod.servers)
            results.append(sanitizers.judge_log(sanitizer, variant, log, 0.0))
        return conformance(results)
    except Unsupported as error:
        return conformance((), str(error).removeprefix("unsupported: "))
    finally:
        pod.close()


def _not_started(variant: Variant, why: str, took_s: float) -> CheckResult:
    return judged(
        "starts", "starts and listens", OUTSIDE, is_kept=False, is_declared="starts" in variant.lacks,
        expected="a listener", seen=why, took_s=took_s,
    )  # fmt: skip


def _nothing(_name: str, _took_s: float) -> None:
    """Show nothing, where nothing is built."""
