"""Let many raw clients ask at once, each with bytes of its own: `python3 -m swarm.burst '{"host": ..., "port": ...}'`.

JSON in (host, port, clients, patience_s), one JSON object out: how many got their own bytes back (`own`), somebody
else's (`other`), nothing in time (`hung`) or an end without an answer (`lost`). Standard library, blocking sockets.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from typing import Any

MESSAGE = b"client-%06d"  # 13 bytes: a raw server answers with the first 13 that it read


def burst(host: str, port: int, clients: int, patience_s: float) -> dict[str, int]:
    """Connect all, send all, then read all; whoever has no answer after patience_s counts as hung."""
    crowd = [socket.create_connection((host, port), timeout=patience_s) for _ in range(clients)]
    try:
        for number, sock in enumerate(crowd):
            sock.sendall(MESSAGE % number)
        deadline_s = time.monotonic() + patience_s
        seen = {"own": 0, "other": 0, "hung": 0, "lost": 0}
        for number, sock in enumerate(crowd):
            sock.settimeout(max(0.001, deadline_s - time.monotonic()))
            seen[_answer(sock, MESSAGE % number)] += 1
        return seen
    finally:
        for sock in crowd:
            sock.close()


def _answer(sock: socket.socket, sent: bytes) -> str:
    try:
        got = sock.recv(64)
    except TimeoutError:
        return "hung"
    except ConnectionError:
        return "lost"
    return "own" if got == sent else "other" if got else "lost"


def main() -> int:
    told: dict[str, Any] = json.loads(sys.argv[1])
    seen = burst(told["host"], int(told["port"]), int(told["clients"]), float(told["patience_s"]))
    print(json.dumps(seen), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
