"""One run of wrk against one server, in turns of seconds with something on and off, counted by the server's /stats.

A core here is slower or faster for seconds at a time, by a quarter: what is compared must lie side by side, and there
must be much of it. Turns go on, off, off, on, and so forth; each two of them are a pair.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from bench.stand import Stand
from bench.witness import INSIDE
from bench.wrk import Slot, command, load_beside, read_report
from orchestrator.containers.launch import Running, run_inside
from orchestrator.containers.pods import Site
from orchestrator.errors import NotReady
from orchestrator.pod import Pod

BEGIN_S = 3.0  # for wrk to start and its connections to open
TURN_S = 3.0
SKIPPED_S = 0.5  # at the beginning of a turn, while the switch is made and what it sets off settles


def order(pairs: int, *, on_first: bool) -> list[bool]:
    """Return of each turn whether it is on: both of a pair side by side, and who is first changes."""
    return [is_on for n in range(pairs) for is_on in ((True, False) if (n % 2 == 0) == on_first else (False, True))]


def paired(turns: Sequence[bool], rates: Sequence[float], wrong: int) -> list[tuple[Slot, Slot]]:
    """Return (on, off) of each pair. rates: answers per second of each turn. wrong: of the whole run."""
    slots = [Slot("wrk", rate, None, wrong) for rate in rates]
    both = zip(turns[::2], slots[::2], slots[1::2], strict=True)
    return [(one, other) if is_on else (other, one) for is_on, one, other in both]


def run_in_turns(
    stand: Stand, site: Site, pod: Pod, tools: Running, turns: Sequence[bool],
    switched: Callable[[bool], AbstractContextManager[None]],
) -> list[tuple[Slot, Slot]]:  # fmt: skip
    """Let wrk load the pod's server through all turns; return (on, off) of each pair. Raises NotReady.

    switched: puts whatever is compared into the state of a turn, for as long as its context lasts.
    """
    connections, _ = load_beside(stand)
    begin_s = time.monotonic() + BEGIN_S  # every container of one kernel shares this clock
    edges_s = [begin_s + n * TURN_S for n in range(len(turns) + 1)]
    told = {"windows": [[edge_s + SKIPPED_S, edge_s + TURN_S] for edge_s in edges_s[:-1]], "connections": connections}
    words = command("127.0.0.1", connections, round(BEGIN_S + len(turns) * TURN_S) + 1)
    with ThreadPoolExecutor(max_workers=2) as pool:
        loading = pool.submit(run_inside, site.client, tools.id, words)
        counting = pool.submit(
            run_inside, site.client, pod.workers[0].id, ["python3", "-c", INSIDE, "rates", json.dumps(told)]
        )
        time.sleep(max(0.0, begin_s - time.monotonic()))
        for is_on, ends_s in zip(turns, edges_s[1:], strict=True):
            with switched(is_on):
                time.sleep(max(0.0, ends_s - time.monotonic()))
        (code, output), (counted, seen) = loading.result(), counting.result()
    for what, ended, said in ((" ".join(words), code, output), ("counting", counted, seen)):
        if ended != 0:
            raise NotReady(f"'{what}' ended with {ended}: {said[-200:]!r}")
    rates = json.loads(seen)
    if "error" in rates:
        raise NotReady(str(rates["error"]))
    return paired(turns, rates["rates"], int(read_report(output)["wrong"]))
