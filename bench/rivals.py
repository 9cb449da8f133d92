"""Is each variant within 20 % of the fastest of its own model and language? wrk against it and against a bare server.

In each round each pair gets a fresh pod with both servers in it, on addresses of their own; wrk loads them in turns of
a second, and who is first changes: a core that is slower for some seconds is so for both. Rates are wrk's own count,
and what an answer costs is the processor time of the server's cgroup: where wrk is what limits, both servers answer as
many, and only the second figure tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from docker.errors import APIError
from requests import RequestException

from bench.lines import median
from bench.outcome import Outcome
from bench.pairs import PAIRS, Pair
from bench.stand import HERE, ROOT, Stand, wrk_image
from bench.witness import Ordered
from bench.wrk import command, first_fault, read_report, start_tools
from orchestrator.config.faults import bad_input
from orchestrator.config.manifest import read_variant
from orchestrator.containers.images import build, ensure_base, missing, reference
from orchestrator.containers.launch import Running, remove, run_inside
from orchestrator.containers.pods import Site, start_holder, start_server, wait_listening
from orchestrator.containers.recipes import variant_recipes
from orchestrator.errors import LabError, NotReady
from orchestrator.model import Variant
from orchestrator.report.remaining import Step
from orchestrator.verify import READY_S, questions, verify

OURS, THEIRS = "127.0.0.1", "127.0.0.2"
CONNECTIONS = 50  # as everywhere beside wrk
_WARM_S = 2  # for a compiler that compiles what is hot
_TURN_S = 1  # the least that wrk knows
_TURNS = 4


@dataclass(frozen=True, slots=True)
class Turn:
    """What wrk drew from one server, in one turn or in all turns of one pod."""

    per_s: float | None  # answers
    cpu_us: float | None  # of the server, for each answer
    wrong: int = 0
    missing: str = ""


def measure(stand: Stand, rounds: int) -> Outcome:
    """Run the rounds and return each pair's line."""
    outcome = Outcome()
    image, variants, site = wrk_image(stand), _variants(), stand.bench(Ordered(stand.control.master_url)).site
    site = replace(site, network="none", images={**site.images, **_images(stand, variants)})
    turns: dict[Pair, list[tuple[Turn, Turn]]] = {pair: [] for pair in PAIRS}
    steps = [Step(f"round {n + 1}: {pair.variant}") for n in range(rounds) for pair in PAIRS]
    with stand.progress.stage("rivals", steps) as stage:
        for n in range(rounds):
            for place, pair in enumerate(PAIRS):
                stage.begin()
                ours, theirs = _one_pod(stand, site, image, variants, pair, n, ours_first=(n + place) % 2 == 0)
                turns[pair].append((ours, theirs))
                outcome.rounds.append({"round": n, "pair": pair.line, "ours": asdict(ours), "theirs": asdict(theirs)})
                stage.end(ours.missing or theirs.missing or f"{ours.per_s:,.0f}/s beside {theirs.per_s:,.0f}/s")
    for pair, found in turns.items():
        value, told = compare(found)
        outcome.add(pair.line, [compare([one])[0] for one in found], value, spoilt_by(found))
        outcome.remarks.append(f"{pair.variant} beside {pair.rival}: {told}")
    return outcome


def compare(turns: Sequence[tuple[Turn, Turn]]) -> tuple[float | None, str]:
    """Return the worse of two ratios of medians, answers per second and answers per CPU second, and both in words.

    turns: (ours, theirs) of each round.
    """
    ours, theirs = [pair[0] for pair in turns], [pair[1] for pair in turns]
    rates = [median(t.per_s for t in side) for side in (ours, theirs)]
    costs = [median(t.cpu_us for t in side) for side in (ours, theirs)]
    if None in rates or None in costs:
        return None, "not measured"
    (our_rate, their_rate), (our_cost, their_cost) = ([v or 0.0 for v in side] for side in (rates, costs))
    if not their_rate or not our_cost:
        return None, "no answers"
    by_rate, by_cost = our_rate / their_rate, their_cost / our_cost
    told = (
        f"{by_rate:.2f} of its answers/s ({our_rate:,.0f} of {their_rate:,.0f}), "
        f"{by_cost:.2f} of its answers per CPU second ({our_cost:.2f} and {their_cost:.2f} us each)"
    )
    return min(by_rate, by_cost), told


def spoilt_by(turns: Sequence[tuple[Turn, Turn]]) -> str:
    """Return why a pair's rounds must not count, or an empty string."""
    return first_fault(
        (f"round {n}, {who}", turn)
        for n, pair in enumerate(turns, start=1)
        for who, turn in zip(("variant", "rival"), pair, strict=True)
    )


def _variants() -> dict[str, Variant]:
    """Return everybody who is compared, by name."""
    folders = [ROOT / "servers" / pair.variant for pair in PAIRS] + [HERE / "bare" / pair.bare for pair in PAIRS]
    found: dict[str, Variant] = {}
    for folder in dict.fromkeys(folders):
        read = read_variant(folder / "variant.toml")
        if isinstance(read, list):
            raise bad_input(read)
        found[read.name] = read
    return found


def present_images(stand: Stand) -> dict[str, str]:
    """Return what everybody's image is called now, built or not: a figure stands as long as these stay the same.

    No part of the benchmark's lab, because no other figure depends on them.
    """
    recipes, base_id = variant_recipes(_variants().values()), ensure_base(stand.ground.client, stand.say)
    return {name: reference(recipe, recipes, base_id) for name, recipe in sorted(recipes.items())}


def _images(stand: Stand, variants: Mapping[str, Variant]) -> dict[str, str]:
    """Build what is missing; return everybody's image."""
    client = stand.ground.client
    base_id = ensure_base(client, stand.say)
    recipes = variant_recipes(variants.values())
    names = missing(client, recipes, base_id)
    if names:
        stand.say(f"building {', '.join(names)}")
    return build(client, recipes, base_id, names, finished=lambda *_: None)


def _one_pod(
    stand: Stand, site: Site, image: str, variants: Mapping[str, Variant], pair: Pair, number: int, *, ours_first: bool
) -> tuple[Turn, Turn]:
    """Measure a variant and its rival, one after the other."""
    turns: dict[str, list[Turn]] = {OURS: [], THEIRS: []}
    try:
        with _pod(stand, site, image, variants, pair, number) as (tools, servers):
            order = (OURS, THEIRS) if ours_first else (THEIRS, OURS)
            for host in order:
                _draw(site, tools, host, _WARM_S)
            for n in range(_TURNS):
                for host in order if n % 2 == 0 else reversed(order):
                    turns[host].append(_turn(site, tools, servers[host], host))
    except LabError as error:
        return (Turn(None, None, missing=str(error)),) * 2
    return together(turns[OURS]), together(turns[THEIRS])


def together(turns: Sequence[Turn]) -> Turn:
    """Return what one server did in all turns of a pod; each took as long as the others."""
    missing = next((turn.missing for turn in turns if turn.missing), "")
    wrong = sum(turn.wrong for turn in turns)
    rates = [turn.per_s for turn in turns if turn.per_s is not None]
    used = [turn.per_s * turn.cpu_us for turn in turns if turn.per_s is not None and turn.cpu_us is not None]
    if missing or not rates or len(used) < len(turns):
        return Turn(None, None, wrong, missing or "not measured")
    return Turn(sum(rates) / len(rates), sum(used) / sum(rates), wrong)


@contextmanager
def _pod(
    stand: Stand, site: Site, image: str, variants: Mapping[str, Variant], pair: Pair, number: int
) -> Iterator[tuple[Running, dict[str, Running]]]:
    """Bring up both servers and the tools beside them, both asked once whether they answer as the contract has it."""
    profile = stand.lab.profiles["bench"]
    site = replace(site, nofile=min(site.nofile, profile.nofile))
    name = f"{stand.run_id.rsplit('-', 1)[-1]}-rivals-{pair.variant}-{number}"
    ours, bare = variants[pair.variant], variants[pair.bare]
    told = {"LAB_BACKLOG": profile.sysctls["net.core.somaxconn"]}
    made = [start_holder(site, name, profile)]
    try:
        tools = start_tools(image, site, name, made[0])
        made.append(tools)
        servers = {}
        # A bare server needs whatever sandbox its rival's technique needs.
        for host, variant, more in (
            (OURS, ours, {}),
            (THEIRS, replace(bare, seccomp=ours.seccomp), {"BARE_MODEL": pair.model}),
        ):
            servers[host] = start_server(
                site, f"{name}-{variant.name}", made[0], variant, host=host, environment={**told, **more},
                nonce=stand.nonce, instance=0,
            )  # fmt: skip
            made.append(servers[host])
        wait_listening(site, tools, ours.port, READY_S, len(servers))
        for host, variant in ((OURS, ours), (THEIRS, bare)):
            verify(site, tools, questions(variant, host, 0.0, None, stand.nonce))
        yield tools, servers
    finally:
        for container in reversed(made):
            remove(site.client, container.id)


def _turn(site: Site, tools: Running, server: Running, host: str) -> Turn:
    """Count what wrk draws from one server in one turn, and what that takes."""
    before_us = _cpu_us(site, server)
    seen = _draw(site, tools, host, _TURN_S)
    after_us = _cpu_us(site, server)
    requests = int(seen["requests"])
    if not requests or before_us is None or after_us is None:
        why = "the engine tells no processor time of the server" if requests else "wrk got no answer"
        return Turn(None, None, int(seen["wrong"]), why)
    return Turn(requests / seen["duration_us"] * 1e6, (after_us - before_us) / requests, int(seen["wrong"]))


def _draw(site: Site, tools: Running, host: str, for_s: int) -> dict[str, Any]:
    """Let wrk load a server; return what it told. Raises NotReady when it failed."""
    words = command(host, CONNECTIONS, for_s)
    code, output = run_inside(site.client, tools.id, words)
    if code != 0:
        raise NotReady(f"'{' '.join(words)}' ended with {code}: {output[-200:]!r}")
    return read_report(output)


def _cpu_us(site: Site, server: Running) -> float | None:
    """Return the processor time of a server's cgroup so far, those of its processes that have ended included."""
    with suppress(APIError, RequestException):
        told = site.client.api.stats(server.id, stream=False, one_shot=True)
        used_ns = told.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
        return used_ns / 1000 if used_ns else None
    return None
