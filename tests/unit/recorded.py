"""A recorder whose process has used no CPU, and its units of time."""

from __future__ import annotations

from typing import Any

from swarm.recorder import Recorder

S = 10**9
US = 1000


class Waiting:
    """An exchange under way."""

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns


def make_recorder() -> Recorder:
    """A recorder whose process has used no CPU."""
    return Recorder(lambda: 0)


def close(recorder: Recorder, now_ns: int, *, count_unanswered: bool = False) -> dict[str, Any]:
    part = recorder.close_window(now_ns, count_unanswered=count_unanswered)
    assert part is not None
    return part
