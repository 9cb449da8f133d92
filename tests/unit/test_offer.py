"""What the load phase tells the swarm, waits for and brings back, with master, exporter and engine played by the test.

Time is the test's own: `Clock` moves when the code under test sleeps.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orchestrator import offer as offering
from orchestrator.containers.launch import Running
from orchestrator.errors import Lost, NotReady
from orchestrator.load.master import Ramp, Row, SwarmState, Window
from orchestrator.model import Ramp as Stairs
from orchestrator.model import Scenario, Step, TrialSpec
from orchestrator.observe.exporter_client import Reading
from orchestrator.observe.marks import Mark, Marks
from orchestrator.offer import asked, phase, timed
from orchestrator.offer import hold as holding
from orchestrator.offer import ramp as ramping
from orchestrator.pod import Pod

WORKERS = ("t0-worker-0", "t0-worker-1")
POD = Pod("t0", Running("h", "holder", 1), (Running("s", "server", 2),), tuple(Running(w, w, 3) for w in WORKERS))
CLOSED = Scenario("plain", "", "closed", "/plain", 50, 0.0, 2.0, 6.0, 10.0)
HOLD = Scenario("hold", "", "hold", "/delay", 100, 5.0, 0.0, 0.0, 10.0)
RELEASE = replace(HOLD, path="/hold", delay_s=0.0, answer="release")
OPEN = replace(CLOSED, kind="open", rate_per_s=1000.0)
SPEC = TrialSpec(0, 0, "c-epoll", "x", "closed", "default", 1, 2, "", users="engine")


class Clock:
    """Monotonic seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += max(seconds, 0.001)


class Noted(Marks):
    """Marks by the test's clock: when each began and ended, since its start."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(None, clock.monotonic)
        self.began: list[tuple[float, tuple[str, ...]]] = []
        self.ended: list[float] = []

    def begin(self, text: str, tags: Sequence[str]) -> Mark:
        mark = super().begin(text, tags)
        self.began.append((mark.since_s - 1000.0, mark.tags))
        return mark

    def end(self, mark: Mark) -> None:
        self.ended.append(self._clock() - 1000.0)


class Swarm:
    """The master: `tell` says what the swarm's connections are at a time since the start."""

    def __init__(self, clock: Clock, tell: Callable[[float], dict[str, Any]] = lambda _: {}) -> None:
        self.clock, self.tell = clock, tell
        self.orders: list[Any] = []
        self.started_s: float | None = None
        self.ramps: list[Ramp] = []
        self.closed_after_s = 0.0
        self.answered = 1
        self.marks = Noted(clock)

    def state(self) -> SwarmState:
        since_s = -1.0 if self.started_s is None else self.clock.now_s - self.started_s
        told = {"workers": dict.fromkeys(WORKERS, "running"), "established": 0, "answered": 0, "failed": 0}
        return SwarmState(self.clock.now_s + 5000.0, user_count=2, **{"state": "running", **told, **self.tell(since_s)})

    def label(self, *words: str) -> None:
        self.orders.append(("label", *words))

    def open_window(self, name: str, start_s: float, end_s: float) -> None:
        self.orders.append(("window", name, start_s - self.clock.now_s - 5000.0, end_s - start_s))

    def start(self, *form: Any) -> None:
        self.started_s = self.clock.now_s
        self.orders.append(("start", *form))

    def stop(self) -> None:
        self.orders.append(("stop",))

    def read_window(self, name: str) -> Window:
        since_s = self.clock.now_s - (self.started_s or 0.0)
        is_closed = since_s >= self.closed_after_s
        errors = {"ECONNREFUSED in connect": 9} if name == "ramp-2" else {}
        row = Row("c-epoll", "/plain", self.answered, {10: 1} if self.answered else {}, errors, 1)
        return Window(dict.fromkeys(WORKERS, is_closed), {}, (row,), {}, dict.fromkeys(WORKERS, 40000000))

    def complaints(self) -> list[str]:
        return ["target refused: c-epoll at 127.0.0.1:8080: nothing listens there"]

    def read_ramp(self) -> Ramp:
        return self.ramps.pop(0) if len(self.ramps) > 1 else self.ramps[0]


class Exporter:
    """Readings with `sockets(now)` TCP sockets."""

    def __init__(self, clock: Clock, sockets: Callable[[], float] = lambda: 4.0) -> None:
        self.clock, self.sockets = clock, sockets
        self.asked_s: list[float] = []
        self.read_s: list[float] = []

    def ask_stats(self, name: str) -> None:
        self.asked_s.append(self.clock.now_s)

    def read(self, name: str) -> Reading:
        self.read_s.append(self.clock.now_s)
        return Reading(self.clock.now_s, {"tcp_sockets": self.sockets()}, {}, {}, {})


class Bench:
    """What a trial has at hand, with nothing real behind it."""

    def __init__(self, scenario: Scenario, master: Swarm, exporter: Exporter) -> None:
        variant = type(
            "V",
            (),
            {
                "speaks": "http",
                "has_contract_routes": True,
                "port": 8080,
                "connections_most": None,
                "lacks": (),
                "tells_runtime": True,
            },
        )
        self.lab = type("L", (), {"scenarios": {"x": scenario}, "variants": {"c-epoll": variant}})
        self.site = type("S", (), {"client": None, "lab": "0"})
        self.master, self.exporter, self.run_id = master, exporter, "r"
        self.locustfile = None
        self.marks = master.marks


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    for module in (phase, timed, holding, ramping):
        monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr(phase, "fallen", lambda *_: [])
    monkeypatch.setattr(asked, "run_inside", lambda *_: (0, answer(100)))
    yield made


def answer(active: int, released: int = 0) -> str:
    told = {"instances": {"0": {"active": active + 1, "held": 0}}, "released": released, "missing": [], "error": ""}
    return json.dumps(told)


def run(clock: Clock, scenario: Scenario, swarm: Swarm, exporter: Exporter | None = None, **spec: Any) -> offering.Load:
    bench: Any = Bench(scenario, swarm, exporter or Exporter(clock))
    load = offering.offer(bench, replace(SPEC, **spec), POD)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "_stop_quietly" in thread.name:
            thread.join()
    return load


def test_engine_users_are_one_for_each_worker_with_its_share(clock: Clock) -> None:
    """The window begins after settling and warm-up and is as long as the scenario measures."""
    swarm = Swarm(clock)
    load = run(clock, CLOSED, swarm)

    assert [
        ("label", "r", "plain"),
        ("window", "t0", 3.0, 6.0),
        ("start", 2, 2, "plain", ["c-epoll"], 0),
        ("stop",),
    ] == swarm.orders
    assert (6.0, 80_000_000) == (load.window_s, load.generator_memory_bytes)
    assert (3.0, 9.0) == (load.first.at_s - 1000.0 if load.first else None, load.last.at_s - 1000.0)
    assert [(3.0, ("netpoll-lab", "window", "r", "x", "c-epoll"))] == swarm.marks.began
    assert [9.0] == swarm.marks.ended


def test_locust_users_are_one_for_each_connection(clock: Clock) -> None:
    """As many users as the scenario has connections, and no word of connections per user."""
    swarm = Swarm(clock)
    run(clock, CLOSED, swarm, users="locust")

    assert ("start", 50, 50, "plain", ["c-epoll"]) in swarm.orders


def test_many_locust_users_are_begun_at_a_rate_that_leaves_workers_their_heartbeat(clock: Clock) -> None:
    """All at once, 100,000 silence their workers for so long that Locust ends the test."""
    swarm = Swarm(clock, lambda since_s: {"answered": 100_000} if since_s > 1.0 else {})
    run(clock, replace(HOLD, connections=100_000), swarm, users="locust")

    assert ("start", 100_000, 10_000, "hold", ["c-epoll"]) in swarm.orders


def test_an_open_load_goes_on_until_every_planned_arrival_has_its_outcome(clock: Clock) -> None:
    """Stopping at the window's end would turn what is under way into missing answers; closed loops stop there."""
    swarm = Swarm(clock)
    swarm.closed_after_s = 15.0
    stopped_s: list[float] = []
    swarm.stop = lambda: stopped_s.append(clock.now_s - 1000.0)  # type: ignore[method-assign]
    load = run(clock, OPEN, swarm)

    assert stopped_s[0] >= 15.0
    assert dict.fromkeys(WORKERS, True) == load.window.workers_closed


def test_a_hold_is_read_with_all_open_and_ends_with_the_last_answer(clock: Clock) -> None:
    """100 open after 0.3 s, answered after 5: the reading lies between, and all parties are compared there."""

    def tell(since_s: float) -> dict[str, Any]:
        if since_s < 0.3:
            return {"established": 40}
        opened = {"first_connect_s": 6000.1, "last_established_s": 6000.3}
        return {"established": 100, **opened} if since_s < 5.0 else {"answered": 100, **opened}

    swarm = Swarm(clock, tell)
    open_s = iter([4.0])
    load = run(clock, HOLD, swarm, Exporter(clock, lambda: next(open_s, 204.0)))

    assert load.held is not None
    assert 0.3 <= load.held.at_s - 1000.0 < 5.0 <= load.last.at_s - 1000.0
    assert load.parties is not None
    assert (100, 100, 100.0, True) == (
        load.parties.swarm, load.parties.servers, load.parties.kernel, load.parties.agree,
    )  # fmt: skip
    assert 100 == load.established
    assert pytest.approx(0.2) == load.established_s
    assert ("open 0.30 s after the order to start",) == load.notes


@pytest.mark.parametrize(
    ("scenario", "dump_at_s", "is_v2", "expected"),
    [(HOLD, 1.3, False, 100), (RELEASE, 2.6, False, 100), (HOLD, 9.0, False, 40), (RELEASE, 9.0, True, 40)],
)
def test_a_hold_waits_for_a_dump_of_its_sockets_with_all_open(
    clock: Clock, scenario: Scenario, dump_at_s: float, is_v2: bool, expected: int
) -> None:
    """The reading's own is of before; not beyond the first answers, and not where the cgroup tells."""

    def tell(since_s: float) -> dict[str, Any]:
        is_over = since_s >= 5.0
        return {"answered": 100} if is_over else {"established": 100 if since_s > 0.3 else 40, "waiting": 100}

    class Dumping(Exporter):
        def read(self, name: str) -> Reading:
            seen = 100.0 if self.clock.now_s - 1000.0 >= dump_at_s else 40.0
            dump = {"tcp_states": {"established": seen}, "tcp_socket_memory_bytes": {"send": 10 * seen, "forward": 1.0}}
            reading = super().read(name)
            accounted = {"cgroup_sock_bytes": 1.0} if is_v2 else {}
            return replace(reading, grouped=dump, values={**reading.values, **accounted})

    exporter = Dumping(clock, iter([4.0, *[204.0] * 99]).__next__)
    load = run(clock, scenario, Swarm(clock, tell), exporter)

    assert load.held is not None
    assert expected == load.held.grouped["tcp_states"]["established"]
    assert 10.0 * expected == load.held.grouped["tcp_socket_memory_bytes"]["send"]
    assert load.held.at_s - 1000.0 < 1.2  # memory is that of the reading before
    assert (is_v2, True) == (len([s for s in exporter.read_s if s > load.held.at_s]) <= 2, load.parties is not None)


@pytest.mark.parametrize(("rests_s", "waits_s"), [(30.0, 0.2), (2.0, 1.9)])
def test_a_hold_waits_for_no_dump_that_will_not_come(clock: Clock, rests_s: float, waits_s: float) -> None:
    """100,000 sockets are dumped twice a minute: the trial goes on at once. One that comes in time is waited for."""

    def tell(since_s: float) -> dict[str, Any]:
        return {"answered": 100} if since_s >= 5.0 else {"established": 100 if since_s > 0.3 else 40}

    class Resting(Exporter):
        def read(self, name: str) -> Reading:
            left_s = max(0.0, 1001.0 + rests_s - self.clock.now_s)
            seen = 40.0 if left_s else 100.0
            dump = {"tcp_states": {"established": seen}, "tcp_socket_memory_bytes": {"send": seen}}
            return replace(super().read(name), grouped=dump, due_in_s=dict.fromkeys(dump, left_s))

    exporter = Resting(clock, iter([4.0, *[204.0] * 99]).__next__)
    load = run(clock, HOLD, Swarm(clock, tell), exporter)

    assert load.held is not None
    assert waits_s == pytest.approx(exporter.asked_s[0] - load.held.at_s, abs=0.4)
    assert (100.0 if rests_s < 3.0 else 40.0) == load.held.grouped["tcp_states"]["established"]


def test_a_holds_opening_has_its_own_cpu(clock: Clock) -> None:
    """The middle of what each worker reported while it opened: not the report that begins it, nor the wait after it."""

    def tell(since_s: float) -> dict[str, Any]:
        busy = (0.1, 0.9, 0.94, 0.98)[min(int(since_s / 0.25), 3)] if 0 < since_s < 1.0 else 0.0
        told = {"worker_cpu_ratio": dict.fromkeys(WORKERS, busy), "engine_cpu_ratio": {WORKERS[0]: busy / 2}}
        established = min(round(max(since_s, 0.0) * 100), 100)
        return told | ({"established": established} if since_s < 5.0 else {"answered": 100})

    slow = run(clock, HOLD, Swarm(clock, tell)).opening
    at_once = {"established": 100}
    quick = run(clock, HOLD, Swarm(clock, lambda since_s: tell(since_s) | (at_once if since_s < 5 else {})))

    assert slow is not None
    assert (dict.fromkeys(WORKERS, 0.94), {WORKERS[0]: 0.47}) == (slow.worker_cpu_ratio, slow.engine_cpu_ratio)
    assert quick.opening is None


def test_parties_that_never_agree_are_brought_back_with_their_numbers(clock: Clock) -> None:
    """The kernel has ten connections more than the swarm knows of."""

    def tell(since_s: float) -> dict[str, Any]:
        return {"established": 100} if since_s < 9.0 else {"answered": 100}

    open_s = iter([4.0])
    load = run(clock, replace(HOLD, delay_s=9.0), Swarm(clock, tell), Exporter(clock, lambda: next(open_s, 224.0)))

    assert load.parties is not None
    assert (110.0, False) == (load.parties.kernel, load.parties.agree)


def test_parties_are_not_compared_once_answers_come(clock: Clock) -> None:
    """Connections close then, and three looks are never at one instant; the trial says that nobody was asked."""

    def tell(since_s: float) -> dict[str, Any]:
        return {"established": 100} if since_s < 0.2 else {"answered": 100}

    load = run(clock, replace(HOLD, delay_s=0.2), Swarm(clock, tell))

    assert load.parties is None
    assert (holding.NOT_COMPARED,) == load.notes


def test_a_hold_by_release_waits_until_all_have_asked_and_then_releases(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are open after 1 s, the last has asked after 2; nobody is let go before that, and then everybody."""
    released_s: list[float] = []

    def inside(_client: Any, _id: str, command: list[str]) -> tuple[int, str]:
        told = json.loads(command[-1])
        assert ("127.0.0.1", 8080, 3) == (told["host"], told["port"], told["instances"])
        if told["release"]:
            released_s.append(clock.now_s - 1000.0)
        return 0, answer(100, 100)

    def tell(since_s: float) -> dict[str, Any]:
        if released_s:
            return {"established": 100, "waiting": 0, "answered": 100}
        return {"established": 100 if since_s > 1 else 10, "waiting": 100 if since_s > 2 else 90}

    monkeypatch.setattr(asked, "run_inside", inside)
    run(clock, RELEASE, Swarm(clock, tell), server_processes=3)

    assert 1 == len(released_s)
    assert released_s[0] > 2.0


def test_a_hundred_thousand_get_more_time_to_open_than_a_hundred(clock: Clock) -> None:
    """A swarm that opens nothing is given up after half a minute, or after more than a minute for the many."""

    def given_up_s(connections: int) -> float:
        load = run(clock, replace(RELEASE, connections=connections), Swarm(clock))
        return load.loaded_s

    assert 30.0 < given_up_s(100) < 60.0 < given_up_s(100_000) < 200.0


def test_a_worker_that_ends_breaks_the_trial_off_within_seconds(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine says so long before Locust does; the text has the container and its exit code."""
    swarm = Swarm(clock)

    def fallen(_client: Any, _lab: str, containers: list[Running]) -> list[Running]:
        assert [*POD.workers, POD.holder] == containers
        return [POD.workers[1]] if clock.now_s > 1005.0 else []

    monkeypatch.setattr(phase, "fallen", fallen)
    monkeypatch.setattr(phase, "ended", lambda _client, one: f"{one.name} ended during the trial with exit code 137")
    with pytest.raises(Lost, match=r"^t0-worker-1 ended during the trial with exit code 137; the trial was broken off"):
        run(clock, CLOSED, swarm)

    assert clock.now_s < 1007.0
    assert ("stop",) in swarm.orders


@pytest.mark.parametrize(("silent_s", "is_lost"), [(3.0, False), (60.0, True)])
def test_a_worker_that_hangs_is_lost_and_one_that_is_late_is_not(clock: Clock, silent_s: float, is_lost: bool) -> None:
    """Locust calls a busy worker missing until its next heartbeat."""

    def tell(since_s: float) -> dict[str, Any]:
        is_silent = 1.0 < since_s < 1.0 + silent_s
        return {"workers": {WORKERS[0]: "missing" if is_silent else "running", WORKERS[1]: "running"}}

    if not is_lost:
        run(clock, CLOSED, Swarm(clock, tell))
        return
    with pytest.raises(Lost, match="1 of 2 workers have been silent"):
        run(clock, CLOSED, Swarm(clock, tell))


@pytest.mark.parametrize("scenario", [CLOSED, OPEN, HOLD, RELEASE], ids=["closed", "open", "hold", "release"])
def test_a_load_that_ends_by_itself_breaks_the_trial_off_within_seconds(clock: Clock, scenario: Scenario) -> None:
    """Locust ends a test when its last worker is silent; what the load before this one left is no end of this one."""

    def tell(since_s: float) -> dict[str, Any]:
        return {"state": "stopped" if since_s < 0.6 else "running" if since_s < 3.0 else "stopped"}

    with pytest.raises(Lost, match=r"^Locust's master says stopped though nobody told it to stop; the trial"):
        run(clock, scenario, Swarm(clock, tell))

    assert clock.now_s < 1005.0


def test_what_kept_the_load_from_beginning_is_brought_back(clock: Clock) -> None:
    """A refusal comes before the window opens; Locust's own count has it. With answers nobody asks for it."""
    swarm = Swarm(clock)
    assert () == run(clock, CLOSED, swarm).complaints
    swarm.answered = 0

    assert ("target refused: c-epoll at 127.0.0.1:8080: nothing listens there",) == run(clock, CLOSED, swarm).complaints


def test_a_hold_whose_target_is_refused_is_not_waited_out(clock: Clock) -> None:
    """Each worker has counted one error and nothing opens: after some seconds the reason is asked for, and ends it."""
    swarm = Swarm(clock, lambda since_s: {"failed": 2} if since_s > 0.5 else {})
    with pytest.raises(NotReady, match=r"^target refused: c-epoll at 127.0.0.1:8080: nothing listens there$"):
        run(clock, replace(RELEASE, connections=100_000), swarm)

    assert clock.now_s < 1010.0


STAIRS = Stairs("connections", 50.0, 200.0, 2.0, 3.0, 1.0, 0.01, 0.1)
RAMP = replace(CLOSED, kind="ramp", warmup_s=0.0, measure_s=0.0, ramp=STAIRS)
STEPS = (
    Step(50.0, 500.0, 0.001, 0.002, 0.0, 50, 0.2, ""),
    Step(100.0, 900.0, 0.001, 0.002, 0.0, 100, 0.4, ""),
    Step(200.0, 10.0, 0.001, 0.002, 0.5, 110, 0.4, "errors"),
)
NAMES = ("ramp-0", "ramp-1", "ramp-2")


def test_a_ramp_is_waited_for_and_not_mistaken_for_the_one_before(clock: Clock) -> None:
    """The master still tells of an earlier trial's ramp at first; it ends its own load; what bound is in a note."""
    before = Ramp(False, STEPS[:1], 50.0, "nothing up to 50", ("old-0",))
    swarm = Swarm(clock, lambda since_s: {"state": "running" if since_s < 0.3 else "stopped"})
    swarm.ramps = [before, before, Ramp(True, (), None, "", ("ramp-0",)), Ramp(False, STEPS, 100.0, "errors", NAMES)]
    load = run(clock, RAMP, swarm)

    assert load.ramp is not None
    assert (STEPS, 100.0, "errors") == (load.ramp.steps, load.ramp.breaking_point, load.ramp.bound_by)
    assert (100, {}) == (load.established, load.window.rows[0].errors)
    assert ("errors at 200, where it ended: 9 ECONNREFUSED in connect",) == load.notes


def test_a_ramp_that_does_not_begin_is_given_up(clock: Clock) -> None:
    """One line with what was expected, not a wait for ever."""
    swarm = Swarm(clock)
    swarm.ramps = [Ramp(False, (), None, "")]
    with pytest.raises(NotReady, match=r"^ramp plain: expected its first step in time, seen no steps"):
        run(clock, RAMP, swarm)


@pytest.mark.parametrize(
    ("first", "last", "factor", "steps"), [(50, 200, 2.0, 3), (50, 5000, 1.5, 13), (50, 50, 2.0, 1), (1, 1000, 10.0, 4)]
)
def test_steps_are_counted_up_to_the_last_one(first: float, last: float, factor: float, steps: int) -> None:
    """The last step is `last` itself, however far the factor would go."""
    assert steps == ramping.count_steps(replace(STAIRS, first=first, last=last, factor=factor))


def test_a_runtime_is_asked_before_the_window_and_never_in_it(clock: Clock) -> None:
    """Once, under load, between the order to start and the reading that begins the window."""
    swarm, exporter = Swarm(clock), Exporter(clock)
    run(clock, CLOSED, swarm, exporter)

    assert swarm.started_s is not None
    _, first_s, _ = exporter.read_s
    assert 1 == len(exporter.asked_s)
    assert swarm.started_s < exporter.asked_s[0] < first_s


def test_a_runtime_is_asked_while_all_is_held_and_after_the_parties_agreed(clock: Clock) -> None:
    """The exporter's own connection is in no party's count: the last of their looks comes before it."""
    exporter = Exporter(clock, lambda: 204.0 if len(exporter.read_s) > 1 else 4.0)
    swarm = Swarm(clock, lambda since_s: {"established": 100, "answered": 100 * (since_s > 5)})
    load = run(clock, HOLD, swarm, exporter)

    assert load.parties is not None
    assert load.parties.agree
    held_s, agreed_s, last_s = exporter.read_s[-3:]
    assert 1 == len(exporter.asked_s)
    assert held_s <= agreed_s <= exporter.asked_s[0] < last_s


def test_a_runtime_behind_its_wall_is_not_asked(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who accepts nobody would leave the question in its queue, and a place in it taken."""
    exporter = Exporter(clock)
    monkeypatch.setattr(phase.Phase, "can_ask_servers", False)
    run(clock, CLOSED, Swarm(clock), exporter)

    assert [] == exporter.asked_s


def test_servers_that_cannot_be_asked_are_a_reason_and_no_number() -> None:
    """A process nobody met, or one that does not count, makes the sum unknown."""
    seen = asked.Asked({"0": {"active": 11}}, 0, (1, 2), "ConnectionRefusedError: refused")
    blank = asked.Asked({"0": {"active": None}}, 0, (), "")

    assert (None, "/stats of process 1, 2 could not be had: ConnectionRefusedError: refused") == seen.active
    assert (None, "/stats gives active as [None]") == blank.active
    assert (18, "") == asked.Asked({"0": {"active": 11}, "1": {"active": 9}}, 0, (), "").active
