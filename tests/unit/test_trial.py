"""What a load phase brought back becomes a result: void or not, with its notes, counters and arrivals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.config.load import load_lab
from orchestrator.load.master import Row, Window
from orchestrator.model import Gate, Kind, Scenario, TrialResult, TrialSpec
from orchestrator.observe.exporter_client import Reading
from orchestrator.offer import Load
from orchestrator.run import with_variants
from orchestrator.trial import busiest, grown, judge_load
from orchestrator.verdicts.measured import SOCKETS_BY_DIAG
from orchestrator.verdicts.reconcile import Parties
from orchestrator.verdicts.validity import CLOSED_LOOP, GENERATOR_LIMITED, OPENING_LIMITED, OPENING_UNKNOWN

CLOSED = Scenario("x", "", "closed", "/plain", 50, 0.0, 2.0, 6.0, 10.0)
HOLD = Scenario("x", "", "hold", "/delay", 100, 5.0, 0.0, 0.0, 10.0)
VALUES = {"cpu_s": 1.0, "context_switches_voluntary": 10.0, "cgroup_memory_bytes": 9.0, "threads_peak": 1.0}
SOUND = Row("c-epoll", "/plain", 600, {500_000: 600}, {}, 50)
HELD = Row("c-epoll", "/delay", 100, {5_000_100: 100}, {}, 100)


def reading(**troubles: float) -> Reading:
    return Reading(1.0, VALUES, {"tcp_ext_troubles": troubles, "tcp_troubles": {"OutRsts": 4.0}}, {}, {})


def load(*rows: Row, **changes: Any) -> Load:
    """A sound load of two workers, but for the changes; 50 users, half a second each answer, 100/s."""
    workers = {"w0": True, "w1": True}
    window = Window(workers, {"w0": 0.2, "w1": 0.3}, rows, {"w0": 0.1, "w1": 0.25}, {})
    made = Load(window, 6.0, 50, reading(ListenOverflows=3.0), None, None, reading(ListenOverflows=3.0), 9.0)
    return replace(made, **changes)


def judged(
    seen: Load,
    scenario: Scenario = CLOSED,
    own: Path | None = None,
    ends: tuple[str, ...] = (),
    declares: dict[str, Any] | None = None,
    gate: Gate | None = None,
    cpus: tuple[str, str] = ("2", "0-1"),
    **spec: Any,
) -> TrialResult:
    variant = type("V", (), {"specimen": False, "connections_most": None, "answers": "", **(declares or {})})
    bench: Any = type("B", (), {"locustfile": own})
    bench.lab = type("L", (), {"scenarios": {"x": scenario}, "variants": {"c-epoll": variant}, "gate": gate or Gate()})
    bench.site = type("S", (), {"server_cpus": cpus[0], "load_cpus": cpus[1]})
    kind: Kind = scenario.kind
    made = replace(TrialSpec(0, 0, "c-epoll", "x", kind, "default", 1, 2, "why", "engine"), **spec)
    return judge_load(bench, made, seen, list(ends))


def test_a_sound_load_is_valid_and_says_that_it_was_a_closed_loop() -> None:
    """Another variant's rows are not this one's."""
    result = judged(load(SOUND, replace(SOUND, variant="seed-go", errors={"timeout in connect": 7})))

    assert result.void is None
    assert (600, {}, {500_000: 600}) == (result.metrics.requests, result.metrics.errors, result.histogram_us)
    assert CLOSED_LOOP in result.notes


def test_sockets_that_no_cgroup_accounts_are_told_with_their_source() -> None:
    """Summed over the dump's kinds, and only where the dump saw all that were open."""
    memory = {"cgroup_memory_bytes": 9e6, "cgroup_kernel_memory_bytes": 3e6}
    dump = {"tcp_states": {"established": 600.0}, "tcp_socket_memory_bytes": {"send": 100.0, "forward": 23.0}}
    scenario = replace(CLOSED, kind="hold", connections=600, delay_s=0.5)
    held = Reading(1.0, {**VALUES, **memory}, dump, {}, {})
    by_diag = judged(load(SOUND, established=600, held=held), scenario)
    unseen = judged(load(SOUND, established=601, held=held), scenario)

    assert (123.0, True) == (by_diag.metrics.memory_socket_bytes, SOCKETS_BY_DIAG in by_diag.notes)
    assert (None, False) == (unseen.metrics.memory_socket_bytes, SOCKETS_BY_DIAG in unseen.notes)


def test_a_refused_target_voids_the_trial_wherever_it_was_counted() -> None:
    """In the window, before it, or inside what a person's client made of it."""
    refused = "target refused: 192.0.2.1:80 is no checked target of this lab"
    counted = judged(load(replace(SOUND, errors={refused: 3})))
    before = judged(load(complaints=(f"TargetRefused: {refused}",)))

    assert (refused, refused) == (counted.void, before.void)


def test_a_load_that_never_began_has_its_reason() -> None:
    """Nothing was answered, nothing failed in the window; Locust had counted why."""
    result = judged(load(complaints=("the engine needs cffi",)))

    assert "not one right answer in the window (0 wrong or missing: the engine needs cffi)" == result.void


def test_a_server_that_ended_voids_the_trial_and_keeps_its_figures() -> None:
    """The figures up to then are kept with the reason."""
    result = judged(load(SOUND), ends=("s0 ended during the trial with exit code 137",))

    assert "s0 ended during the trial with exit code 137" == result.void
    assert 600 == result.metrics.requests


def test_a_persons_users_may_wait_between_requests() -> None:
    """Fifty users that are busy a tenth of the time break no law, and theirs is no closed loop of ours."""
    idle = replace(SOUND, answered=60, histogram_us={500_000: 60})
    theirs = judged(load(idle, replace(idle, name="/b"), established=None), own=Path("mine.py"))

    assert "Little's law" in str(judged(load(idle)).void)
    assert theirs.void is None
    assert ("answers by name: 60 right and 0 wrong /plain, 60 right and 0 wrong /b",) == theirs.notes[:1]
    assert "the swarm does not know how many are open" == theirs.missing["connections_held"]


def test_workers_that_fill_all_their_cpus_are_the_limit() -> None:
    """1.9 of 2 CPUs, though no thread of them is full."""
    full = load(SOUND)
    full = replace(full, window=replace(full.window, worker_cpu_ratio={"w0": 0.95, "w1": 0.95}))

    assert GENERATOR_LIMITED in judged(full).notes
    assert GENERATOR_LIMITED not in judged(load(SOUND)).notes


def test_where_server_and_load_share_cpus_a_trial_says_so() -> None:
    """Its CPU cannot tell whether the generator was the limit."""
    found = judged(load(SOUND), cpus=("0-2", "0-1")).notes

    assert (CLOSED_LOOP, "server and load share CPU 0-1: whether the load was the limit is not known") == found[:2]


def test_a_hold_that_filled_the_load_while_it_opened_says_so() -> None:
    """Over the whole hold the same generator was at 0.3 of a core; a short opening cannot be told, and says that."""
    held = load(HELD, established=100, held=reading(), established_s=4.0)
    engine = Window({}, {"w0": 0.97, "w1": 0.4}, (), {"w0": 0.93, "w1": 0.3})
    shared = Window({}, {"w0": 0.95, "w1": 0.95}, (), {"w0": 0.7, "w1": 0.7})
    idle = Window({}, {"w0": 0.7, "w1": 0.4}, (), {"w0": 0.6, "w1": 0.3})

    assert [(OPENING_LIMITED,), (OPENING_LIMITED,), (), (OPENING_UNKNOWN,)] == [
        tuple(n for n in judged(replace(held, opening=seen), HOLD).notes if n.startswith("time to establish"))
        for seen in (engine, shared, idle, None)
    ]
    assert GENERATOR_LIMITED not in judged(replace(held, opening=engine), HOLD).notes


def test_what_the_hypervisor_took_in_the_window_voids_a_trial() -> None:
    """Between the reading at the window's beginning and the one at its end: 1 of 12 CPU-seconds, then 0.06."""

    def at(cpu_s: float, steal_s: float) -> Reading:
        return replace(reading(), values={**VALUES, "machine_cpu_s": cpu_s, "machine_steal_s": steal_s})

    taken = load(SOUND, idle=at(0.0, 0.0), first=at(88.0, 4.0), last=at(100.0, 5.0))

    assert "the hypervisor took 8.3% of the machine's CPU time; gate.stolen in lab.yaml allows 5%" == judged(taken).void
    assert judged(taken, gate=Gate(stolen_ratio=0.09)).void is None
    assert judged(load(SOUND, idle=at(0.0, 0.0), first=at(88.0, 4.0), last=at(100.0, 4.06))).void is None


def test_other_programs_on_the_trials_cpus_void_it_or_are_a_remark() -> None:
    """Between the same two readings: 1.5 of six seconds on the server's CPU, half of one of twelve on the load's."""

    def at(at_s: float, server_s: float, beside_s: float, asker_s: float, **ran_s: float) -> Reading:
        values = {**VALUES, "cpu_s": server_s, "beside_cpu_s": beside_s}
        ran = {name.removeprefix("cpu"): seconds for name, seconds in ran_s.items()}
        return replace(reading(), at_s=at_s, values=values, grouped={"cpus_ran_s": ran}, asker_cpu_s=asker_s)

    idle = at(1.0, 0.0, 0.0, 0.0, cpu0=0.0, cpu1=0.0, cpu2=0.0)
    first = at(10.0, 5.0, 9.0, 1.0, cpu0=50.0, cpu1=60.0, cpu2=70.0)
    last = at(16.0, 9.0, 20.0, 1.5, cpu0=56.0, cpu1=66.0, cpu2=76.0)
    noted = judged(load(SOUND, idle=idle, first=first, last=last), gate=Gate(others_ratio=0.3))
    void = judged(load(SOUND, idle=idle, first=first, last=last))
    unknown = judged(load(SOUND, first=replace(first, values=VALUES), last=last))

    assert noted.void is None
    assert "other programs took at least 25.0% of the server's CPUs; gate.others in lab.yaml allows 10%" == void.void
    assert ["other programs took at least 25.0% of the server's CPUs"] == [n for n in noted.notes if "other" in n]
    assert not [note for note in unknown.notes if "other" in note]


def test_parties_that_disagree_void_a_trial_but_not_an_ablations() -> None:
    """Without one of its settings a server may lose connections: that is what was asked."""
    seen = load(HELD, parties=Parties(100, 64, 100.0), established=100, held=reading())
    sentence = "the swarm counts 100, the servers' /stats 64, the kernel's sockets 100"

    assert f"connections open at the same time: {sentence}" == judged(seen, HOLD).void
    without = judged(seen, HOLD, reverted="nofile=64")
    assert without.void is None
    assert sentence in without.notes


SELECT = {"wall": "FD_SETSIZE: descriptors stay below 1,024", "connections_most": 60}


def test_a_variant_at_its_wall_is_valid_and_says_so() -> None:
    """Clients behind it are the kernel's, who counts them: that is no disagreement, and memory is of those held."""
    errors = {"timeout in first byte": 36}
    row = replace(HELD, answered=64, histogram_us={5_000_100: 64}, errors=errors)
    idle = replace(reading(), values={**VALUES, "cgroup_memory_bytes": 5.0})
    held = replace(reading(), values={**VALUES, "cgroup_memory_bytes": 5.0 + 6000.0})
    seen = load(row, parties=Parties(100, None, 164.0), established=100, held=held, idle=idle)
    result = judged(seen, HOLD, declares=SELECT)

    assert (None, 64, 36) == (result.void, result.metrics.connections_held, result.metrics.connections_failed)
    assert "wall: FD_SETSIZE: descriptors stay below 1,024: 64 of 100 connections held" in result.notes
    assert 100.0 == result.metrics.memory_bytes_per_connection
    assert "not all were open: see the wall" == result.missing["established_s"]


def test_a_wall_that_was_not_met_is_not_mentioned() -> None:
    """All held, or no more asked for than it has room for; and an ablation meets other walls."""
    whole = load(HELD, parties=Parties(100, 64, 100.0), established=100, held=reading())

    for result in (
        judged(load(HELD, established=100, held=reading()), HOLD, declares=SELECT),
        judged(load(HELD, established=100, held=reading()), HOLD, declares={**SELECT, "connections_most": 100}),
        judged(whole, HOLD, declares=SELECT, reverted="nofile=64"),
    ):
        assert not [note for note in result.notes if note.startswith("wall")]
    assert "connections open at the same time" in str(judged(whole, HOLD, declares=SELECT).void)


def test_what_the_server_counted_stands_beside_a_shortfall() -> None:
    """A server that ran out of threads says so itself."""
    row = replace(HELD, answered=64, histogram_us={5_000_100: 64}, errors={"timeout in first byte": 36})
    result = judged(load(row, established=100, held=reading(), server_errors={"EMFILE": 2, "EAGAIN": 36}), HOLD)

    assert "the server's own errors by then: 36 EAGAIN, 2 EMFILE" in result.notes


def test_only_what_grew_is_among_the_counters() -> None:
    """By the kernel's names; what stood still, and what one reading lacks, is left out."""
    before = reading(ListenOverflows=3.0, TCPTimeouts=1.0)
    after = reading(ListenOverflows=9.0, TCPTimeouts=1.0, New=5.0)

    assert {"ListenOverflows": 6.0} == grown(before, after)
    assert {"ListenOverflows": 6.0} == judged(load(SOUND, idle=before, last=after)).counters


def test_the_busiest_is_an_engines_thread_where_there_is_one() -> None:
    """A worker's own share includes Python's; without an engine it is all there is."""
    window = load(SOUND).window

    assert 0.25 == busiest(window)
    assert 0.3 == busiest(replace(window, engine_cpu_ratio={}))


def test_the_master_is_told_of_variants_beyond_the_arena() -> None:
    """The arena's own keep their addresses; a lab whose arena has them all stays as it is."""
    lab = load_lab(Path(__file__).resolve().parents[2] / "lab.yaml")
    small = replace(lab, arena=replace(lab.arena, variants=("c-epoll",)))

    assert ("c-epoll", "seed-go") == with_variants(small, ["seed-go", "c-epoll"]).arena.variants
    assert lab is with_variants(lab, lab.arena.variants)
