"""Ask the service from within its own container: `python3 -m service.ask METHOD PATH [JSON]`.

Prints the body of the answer. Exit codes: 0 for an answer of 200, 1 for any other, 2 when none came. The orchestrator
calls it through the engine, so that the service needs no port on the host.
"""

from __future__ import annotations

import http.client
import os
import sys

_PATIENCE_S = 90.0  # a window's end is waited for in one call


def main(arguments: list[str]) -> int:
    """Ask once."""
    if len(arguments) not in (2, 3):
        print("ask: expected METHOD PATH [JSON]", file=sys.stderr)
        return 2
    method, path, *body = arguments
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("LAB_PORT", "9101")), timeout=_PATIENCE_S)
    try:
        connection.request(method, path, body=body[0] if body else None)
        answer = connection.getresponse()
        sys.stdout.write(answer.read().decode())
    except (OSError, http.client.HTTPException) as why:
        print(f"ask: {method} {path}: {why}", file=sys.stderr)
        return 2
    finally:
        connection.close()
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
