"""How long the master waits for a worker's heartbeat before it calls the worker missing.

Locust 2.47 waits for three, one a second, however many workers share a core; when the last worker is missing it ends
the test. 51 workers that began a million connections on one core were all silent for 4.9 s once, and were back a second
later to a test that was over. A worker that has died is seen by its container, whatever is waited for here.
"""

from __future__ import annotations

import locust.runners

LEAST = 3  # heartbeats; Locust's own
WORKERS_EACH = 5  # one heartbeat more for so many workers


def heartbeats(workers: int) -> int:
    """Return how many heartbeats in a row each of so many workers may miss."""
    return LEAST + workers // WORKERS_EACH


def grant(workers: int) -> None:
    """Have Locust's master wait so long; it counts anew with each worker's next heartbeat."""
    locust.runners.HEARTBEAT_LIVENESS = heartbeats(workers)
