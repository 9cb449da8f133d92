"""Release what a server holds: the arena's holds have no orchestrator that would.

One worker of a test does this, the one the master named. At most one POST /release per target and second, each
bounded; a server that does not answer costs its connections' patience, as in a trial.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import gevent

from swarm.blocking import Client
from swarm.http1 import ClosedEarly, Malformed
from swarm.recorder import Recorder
from swarm.settings import Target

EVERY_S = 1.0
PATIENCE_S = 5.0

log = logging.getLogger(__name__)


def release_for_ever(recorder: Recorder, targets: Iterable[Target]) -> None:
    """Release each target once all of this worker's connections to it are established; never returns."""
    while True:
        gevent.sleep(EVERY_S)
        for target in targets:
            standing = [row.standing() for row in list(recorder.rows.values()) if row.variant == target.variant]
            is_ready = sum(row["waiting"] for row in standing) and not sum(row["connecting"] for row in standing)
            if is_ready:
                _release(target)


def _release(target: Target) -> None:
    try:
        with Client(target.host, target.port, PATIENCE_S) as client:
            answer = client.ask("/release", "POST")
    except (OSError, Malformed, ClosedEarly) as error:
        log.warning("%s: POST /release: %s: %s", target.variant, type(error).__name__, error)
        return
    if answer.status != 200:
        log.warning("%s: POST /release: expected status 200, saw %d", target.variant, answer.status)
