"""Ask a server for its own counts from within its pod: fed to the swarm image's `python3 -c`.

argv: a function of this module, and what it is told as JSON. Prints what it saw as one line of JSON. Every wait is
bounded.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from swarm.blocking import Client

HOST, PORT = "127.0.0.1", 8080
PATIENCE_S = 20.0
TRIES_PER_INSTANCE = 40  # which process takes a fresh connection is the kernel's choice; a miss of all is < 1e-15


def asked(client: Client) -> tuple[float, dict[str, Any]]:
    """Return the instant half-way between question and answer, and the server's counts."""
    before_s = time.monotonic()
    told: dict[str, Any] = json.loads(client.ask("/stats").body)
    return (before_s + time.monotonic()) / 2, told


def rate(told: dict[str, Any]) -> dict[str, Any]:
    """Return the requests that the server took in a window, and the window's length.

    told: measure_s; from_s: when the window begins, or null: settle_s after `connections` are open, within wait_s.
    """
    with Client(HOST, PORT, PATIENCE_S) as client:
        from_s = told["from_s"]
        if from_s is None:
            end_s = time.monotonic() + told["wait_s"]
            while asked(client)[1]["active"] < told["connections"] + 1:  # this one is among them
                if time.monotonic() > end_s:
                    return {"error": f"no {told['connections']} connections within {told['wait_s']} s"}
                time.sleep(0.05)
            from_s = time.monotonic() + told["settle_s"]
        time.sleep(max(0.0, from_s - time.monotonic()))
        first_s, first = asked(client)
        time.sleep(max(0.0, from_s + told["measure_s"] - time.monotonic()))
        last_s, last = asked(client)
    return {"requests": last["requests"] - first["requests"], "took_s": last_s - first_s}


def rates(told: dict[str, Any]) -> dict[str, Any]:
    """Return the requests per second that the server took in each of several windows, one after the other.

    told: windows, [from_s, to_s] each, of CLOCK_MONOTONIC; connections, at least so many must be open as each begins.
    """
    found: list[float] = []
    with Client(HOST, PORT, PATIENCE_S) as client:
        for from_s, to_s in told["windows"]:
            time.sleep(max(0.0, from_s - time.monotonic()))
            first_s, first = asked(client)
            if first["active"] < told["connections"] + 1:  # this one is among them
                return {"error": f"{first['active'] - 1} of {told['connections']} connections were open"}
            time.sleep(max(0.0, to_s - time.monotonic()))
            last_s, last = asked(client)
            found.append((last["requests"] - first["requests"]) / (last_s - first_s))
    return {"rates": found}


def count(told: dict[str, Any]) -> dict[str, Any]:
    """Return active, accepted and errors summed over the server's processes. told: processes."""
    found: dict[int, dict[str, Any]] = {}
    for _ in range(TRIES_PER_INSTANCE * told["processes"]):
        with Client(HOST, PORT, PATIENCE_S) as client:
            seen = asked(client)[1]
        if "instance" not in seen and told["processes"] > 1:
            return {"error": "/stats names no instance, so that several processes cannot be told apart"}
        found[int(seen.get("instance", 0))] = seen
        if len(found) == told["processes"]:
            break
    else:
        return {"error": f"only {len(found)} of {told['processes']} processes answered"}
    errors: dict[str, int] = {}
    for seen in found.values():
        for name, number in seen["errors"].items():
            errors[name] = errors.get(name, 0) + number
    sums = {key: sum(seen[key] for seen in found.values()) for key in ("active", "accepted", "requests")}
    # Each /stats has one connection of its own, open while it is answered.
    return {**sums, "active": sums["active"] - len(found), "errors": errors}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](json.loads(sys.argv[2]))), flush=True)
