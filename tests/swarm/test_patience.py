"""How long Locust's master waits for a worker's heartbeat: Locust's own value is what its runner reads each time."""

from __future__ import annotations

import locust.runners
import pytest

from swarm import patience


@pytest.mark.parametrize(("workers", "expected"), [(1, 3), (4, 3), (5, 4), (10, 5), (51, 13)])
def test_the_more_workers_the_longer_each_may_be_silent(workers: int, expected: int) -> None:
    assert expected == patience.heartbeats(workers)


def test_what_is_granted_is_what_locusts_master_gives_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """3: what Locust 2.47 has; the next heartbeat of each worker sets its count to this."""
    assert patience.LEAST == locust.runners.HEARTBEAT_LIVENESS
    monkeypatch.setattr(locust.runners, "HEARTBEAT_LIVENESS", patience.LEAST)
    patience.grant(51)
    handled = locust.runners.MasterRunner.handle_message.__code__.co_names
    assert (13, True) == (locust.runners.HEARTBEAT_LIVENESS, "HEARTBEAT_LIVENESS" in handled)
