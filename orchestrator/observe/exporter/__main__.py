"""Run the exporter: `python3 -m exporter`. LAB_CGROUP_ROOT names the host's cgroup mount; LAB_PORT the port."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from .sampler import Sampler
from .server import Server


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    sampler = Sampler(Path(os.environ.get("LAB_CGROUP_ROOT", "/sys/fs/cgroup")))
    server = Server(("0.0.0.0", int(os.environ.get("LAB_PORT", "9100"))), sampler)
    sampler.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for serve_forever, which runs in this thread: ask from another one.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()
    sampler.stop()


if __name__ == "__main__":
    main()
