"""Users are spawned in slices: others get their turn in between, and Locust's own counting stays right."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.pool import Group

from swarm.spawn import SLICE, spawn_in_slices


class Runner:
    """Stands for Locust's: remembers what it is asked to spawn, and who had a turn before."""

    def __init__(self) -> None:
        self.user_greenlets = Group()
        self.asked: list[dict[str, int]] = []
        self.turns: list[int] = []
        self.ticks = 0

    def spawn_users(self, counts: dict[str, int], wait: bool = False) -> list[Any]:
        self.asked.append(counts)
        self.turns.append(self.ticks)
        return [object()] * sum(counts.values())

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
    spawn_in_slices(runner)
    users = runner.spawn_users({"LabUser": count})

    assert count == len(users)
    assert [{"LabUser": part} if part else {} for part in slices] == runner.asked


def test_a_heartbeat_gets_its_turn_between_two_slices() -> None:
    """Another greenlet ran before each slice but the first."""
    runner = Runner()
    spawn_in_slices(runner)
    ticker = gevent.spawn(runner.tick)
    runner.spawn_users({"LabUser": SLICE * 4})
    ticker.kill()

    assert 4 == len(set(runner.turns))
