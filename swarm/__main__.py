"""`python3 -m swarm ...` is `locust ...` that can be told to go from its first moment.

As the first process of a container it would otherwise ignore SIGTERM until Locust installs its own handler, which is
after the imports and after the master answered. The arguments are Locust's.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sys.argv[0] = "locust"
    from locust.main import main as run_locust

    run_locust()  # type: ignore[no-untyped-call]  # Locust has no annotation there


if __name__ == "__main__":
    main()
