"""Spawn Locust's users in slices, so that heartbeats go out in between.

Locust 2.47 makes all users of a spawn message in one go (runners.py, `spawn_users`). Ten workers on one core that make
10,000 each are silent for longer than the master waits: it calls them missing and, when all are, ends the test.
"""

from __future__ import annotations

from typing import Any

import gevent

SLICE = 500  # users; some 50 ms of work, half a second where ten workers share a core. A heartbeat is due each second.
PAUSE_S = 0.001  # not 0: a real wait lets timers run as well as whoever is ready


def spawn_in_slices(runner: Any) -> None:
    """Make `runner` pause after every SLICE users it spawns."""
    spawn = runner.spawn_users

    def spawn_users(counts: dict[str, int], wait: bool = False) -> list[Any]:
        users: list[Any] = []
        for name, count in counts.items():
            for done in range(0, count, SLICE):
                if done:
                    gevent.sleep(PAUSE_S)
                users += spawn({name: min(SLICE, count - done)})
        if not users:
            spawn({})  # it also keeps the runner's state
        if wait:
            runner.user_greenlets.join()
        return users

    runner.spawn_users = spawn_users
