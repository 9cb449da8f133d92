"""A person's own requests in the lab's rows: each under its name and kind, as long as these are names and kinds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from swarm.kinds import REFUSED
from swarm.own import MOST_KINDS, MOST_NAMES, OTHER_KINDS, OTHER_NAMES, Own
from swarm.recorder import Recorder


def asked(own: Own) -> Any:
    """Return what Locust calls with each request."""
    listening: list[Any] = []
    own.listen(SimpleNamespace(request=SimpleNamespace(add_listener=listening.append)))
    (listener,) = listening
    return listener


def test_an_id_in_the_path_makes_no_row_for_each_item() -> None:
    """Every answer is counted; the names that were there first keep theirs."""
    recorder = Recorder(lambda: 0)
    take = asked(Own([], recorder))
    for number in range(3 * MOST_NAMES):
        take("GET", f"/item/{number}", 1.0, 13)
    take("GET", "/item/0", 1.0, 13)
    answered = {row.name: row.standing()["answered"] for row in recorder.rows.values()}

    assert MOST_NAMES + 1 == len(answered)
    assert (2, 1, 2 * MOST_NAMES) == (answered["/item/0"], answered["/item/1"], answered[OTHER_NAMES])


def test_an_id_in_the_error_makes_no_kind_for_each() -> None:
    """Every failure is counted; so the metrics do not grow with the run."""
    recorder = Recorder(lambda: 0)
    take = asked(Own([], recorder))
    for number in range(3 * MOST_KINDS):
        take("GET", "/plain", 1.0, 13, ValueError(f"expected 1, saw {number}"))
    take("GET", "/plain", 1.0, 13, PermissionError(f"{REFUSED}: 127.0.0.1:99 is no checked target"))
    (row,) = recorder.rows.values()
    errors = row.take().errors

    assert MOST_KINDS + 2 == len(errors)
    assert 1 == errors[f"{REFUSED}: {OTHER_KINDS}"]  # a refusal stays one: it voids a trial
    assert (1, 2 * MOST_KINDS) == (errors["ValueError: expected 1, saw 0"], errors[OTHER_KINDS])
