"""Spawn Locust's users in slices, so that heartbeats go out in between, and as cheaply as they can be had.

Locust 2.47 makes all users of a spawn message in one go (runners.py, `spawn_users`). Ten workers on one core that make
10,000 each are silent for longer than the master waits: it calls them missing and, when all are, ends the test.

Three things are left out that nobody here looks at: Locust counts its users by walking over all of them, for each slice
and each report (an eighth of a worker's samples while ten of them opened 100,000 connections); the collector does in
search of garbage, though users stay; gevent notes for each of them by whom and from where it was spawned.
"""

from __future__ import annotations

import gc
from typing import Any

import gevent

SLICE = 500  # users; some 50 ms of work, half a second where ten workers share a core. A heartbeat is due each second.
PAUSE_S = 0.001  # not 0: a real wait lets timers run as well as whoever is ready


def spawn_cheaply(runner: Any) -> None:
    """Make `runner` pause after every SLICE users it spawns, and spare it what is not needed meanwhile."""
    gevent.config.track_greenlet_tree = False
    _count_by_group(runner)
    spawn = runner.spawn_users

    def spawn_users(counts: dict[str, int], wait: bool = False) -> list[Any]:
        users: list[Any] = []
        gc.disable()
        try:
            for name, count in counts.items():
                for done in range(0, count, SLICE):
                    if done:
                        gevent.sleep(PAUSE_S)
                    users += spawn({name: min(SLICE, count - done)})
        finally:
            gc.freeze()
            gc.enable()
        if not users:
            spawn({})  # it also keeps the runner's state
        if wait:
            runner.user_greenlets.join()
        return users

    runner.spawn_users = spawn_users


def _count_by_group(runner: Any) -> None:
    """Where all users are of one class there are as many as their group holds."""

    class Counting(type(runner)):  # type: ignore[misc]
        @property
        def user_classes_count(self) -> dict[str, int]:
            if len(self.user_classes) == 1:
                return {self.user_classes[0].__name__: len(self.user_greenlets)}
            counted: dict[str, int] = super().user_classes_count
            return counted

    runner.__class__ = Counting
