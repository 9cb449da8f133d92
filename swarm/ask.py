"""Ask every process behind one port for its /stats, or tell all of them to release who waits in /hold.

    python3 -m swarm.ask '{"host": "127.0.0.1", "port": 8080, "instances": 6, "release": false}'

Run by the orchestrator inside a pod, whose loopback only the pod can reach. With SO_REUSEPORT the kernel picks the
process by a hash of the connection's addresses, so fresh connections are made until each has answered. Prints
    {"instances": {"0": {<its /stats>}, ...}, "released": 0, "missing": [5], "error": "" or why the last try failed}
and ends with 0 when none is missing. Each /stats counts the very connection it was asked over as active.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from swarm.blocking import Client
from swarm.http1 import ClosedEarly, Malformed

TRIES_EACH = 40  # with W processes, W * ln(W) fresh connections meet each of them once on average; W = 60: 246 of 2,400
ANSWER_S = 5.0
ALL_S = 20.0


def ask_all(host: str, port: int, instances: int, *, release: bool, all_s: float = ALL_S) -> dict[str, Any]:
    """Return the latest /stats of each instance; with `release`, until nobody waits in any of them."""
    found: dict[int, dict[str, Any]] = {}
    released, error = 0, ""
    ends_s = time.monotonic() + all_s
    for _ in range(TRIES_EACH * instances):
        if _is_done(found, instances, release=release) or time.monotonic() > ends_s:
            break
        try:
            with Client(host, port, ANSWER_S) as client:
                # The same connection is the same process: what it says was released is what its /stats then shows.
                if release:
                    released += int(json.loads(client.ask("/release", "POST").body)["released"])
                told = json.loads(client.ask("/stats").body)
                found[int(told.get("instance") or 0)] = told
        except (OSError, ClosedEarly, Malformed, ValueError, KeyError, TypeError, AttributeError) as why:
            error = f"{type(why).__name__}: {why}"
            time.sleep(0.01)  # a server without descriptors must not be hammered
    missing = [number for number in range(instances) if number not in found]
    return {"instances": found, "released": released, "missing": missing, "error": error if missing else ""}


def _is_done(found: dict[int, dict[str, Any]], instances: int, *, release: bool) -> bool:
    if len(found) < instances:
        return False
    return not release or not any(told.get("held") for told in found.values())


def main() -> int:
    try:
        told = json.loads(sys.argv[1])
        wanted = str(told["host"]), int(told["port"]), int(told["instances"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        print(json.dumps({"instances": {}, "released": 0, "missing": [], "error": f"expected one JSON: {error!r}"}))
        return 2
    answer = ask_all(*wanted, release=bool(told.get("release")))
    print(json.dumps(answer))
    return 1 if answer["missing"] else 0


if __name__ == "__main__":
    sys.exit(main())
