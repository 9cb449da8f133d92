"""A hold: read with all open, compared among three parties, ended by a delay or by release."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.errors import NotReady
from orchestrator.model import Scenario
from orchestrator.observe.exporter_client import Reading
from orchestrator.offer import asked
from orchestrator.offer import hold as holding
from tests.unit.load_played import HOLD, RELEASE, WORKERS, Clock, Exporter, Swarm, answer, clock, run

__all__ = ["clock"]  # pytest finds the fixture by this name


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


def test_a_hold_whose_target_is_refused_is_not_waited_out(clock: Clock) -> None:
    """Each worker has counted one error and nothing opens: after some seconds the reason is asked for, and ends it."""
    swarm = Swarm(clock, lambda since_s: {"failed": 2} if since_s > 0.5 else {})
    with pytest.raises(NotReady, match=r"^target refused: c-epoll at 127.0.0.1:8080: nothing listens there$"):
        run(clock, replace(RELEASE, connections=100_000), swarm)

    assert clock.now_s < 1010.0


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


def test_servers_that_cannot_be_asked_are_a_reason_and_no_number() -> None:
    """A process nobody met, or one that does not count, makes the sum unknown."""
    seen = asked.Asked({"0": {"active": 11}}, 0, (1, 2), "ConnectionRefusedError: refused")
    blank = asked.Asked({"0": {"active": None}}, 0, (), "")

    assert (None, "/stats of process 1, 2 could not be had: ConnectionRefusedError: refused") == seen.active
    assert (None, "/stats gives active as [None]") == blank.active
    assert (18, "") == asked.Asked({"0": {"active": 11}, "1": {"active": 9}}, 0, (), "").active
