"""Users are spawned in slices: others get their turn in between, and counting them stays right."""

from __future__ import annotations

import gc
from typing import Any

import gevent
import pytest
from gevent.pool import Group

from swarm.spawn import SLICE, spawn_cheaply


class Runner:
    """Stands for Locust's: remembers what it is asked to spawn, and who had a turn before."""

    def __init__(self) -> None:
        self.user_greenlets = Group()
        self.user_classes: list[type] = [int]
        self.asked: list[dict[str, int]] = []
        self.turns: list[int] = []
        self.ticks = 0

    def spawn_users(self, counts: dict[str, int], wait: bool = False) -> list[Any]:
        self.asked.append(counts)
        self.turns.append(self.ticks)
        return [object()] * sum(counts.values())

    @property
    def user_classes_count(self) -> dict[str, int]:
        """As Locust does: one look at each."""
        return {"walked": len([*self.user_greenlets])}

    def tick(self) -> None:
        while True:
            self.ticks += 1
            gevent.sleep(0.0001)


@pytest.mark.parametrize(
    ("count", "slices"),
    [(0, [{}]), (1, [1]), (SLICE, [SLICE]), (SLICE * 2 + 3, [SLICE, SLICE, 3])],
)
def test_slices_add_up(count: int, slices: list[Any]) -> None:
    """Everybody is spawned once; nobody to spawn is still said to Locust, which keeps its state by it."""
    runner = Runner()
    spawn_cheaply(runner)
    users = runner.spawn_users({"LabUser": count})

    assert count == len(users)
    assert [{"LabUser": part} if part else {} for part in slices] == runner.asked


def test_a_heartbeat_gets_its_turn_between_two_slices() -> None:
    """Another greenlet ran before each slice but the first."""
    runner = Runner()
    spawn_cheaply(runner)
    ticker = gevent.spawn(runner.tick)
    runner.spawn_users({"LabUser": SLICE * 4})
    ticker.kill()

    assert 4 == len(set(runner.turns))


def test_users_of_one_class_are_as_many_as_their_group_holds() -> None:
    """Those of several are looked at one by one, by Locust."""
    runner = Runner()
    spawn_cheaply(runner)
    runner.user_greenlets.spawn(gevent.sleep, 10)

    assert {"int": 1} == runner.user_classes_count
    runner.user_classes.append(str)
    assert {"walked": 1} == runner.user_classes_count
    runner.user_greenlets.kill()
    runner.user_classes.pop()
    assert {"int": 0} == runner.user_classes_count


def test_no_garbage_is_looked_for_while_users_are_spawned() -> None:
    """And it is again afterwards, whatever happened; who is there by then is left out of it."""
    runner, seen = Runner(), []
    spawn_cheaply(runner)
    gevent.spawn_later(0.0, lambda: seen.append(gc.isenabled()))
    gc.unfreeze()
    runner.spawn_users({"LabUser": SLICE * 2})

    assert ([False], True) == (seen, gc.isenabled())
    assert gc.get_freeze_count() > 1000
    gc.unfreeze()


def test_a_user_that_cannot_be_made_leaves_the_collector_on() -> None:
    """Locust says what is wrong with it; the worker goes on."""

    class Broken(Runner):
        def spawn_users(self, counts: dict[str, int], wait: bool = False) -> list[Any]:
            raise AssertionError("no environment")

    runner = Broken()
    spawn_cheaply(runner)
    with pytest.raises(AssertionError):
        runner.spawn_users({"LabUser": 1})

    assert gc.isenabled()
    gc.unfreeze()
