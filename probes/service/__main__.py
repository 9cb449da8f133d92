"""Run the service: `python3 -m service`. LAB_READER names the reader's program; LAB_PORT the port."""

from __future__ import annotations

import os
import signal
import threading

from .ladder import Ladder
from .server import Server


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    ladder = Ladder(os.environ.get("LAB_READER", "/opt/lab/reader"))
    server = Server(("0.0.0.0", int(os.environ.get("LAB_PORT", "9101"))), ladder)
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for serve_forever, which runs in this thread: ask from another one.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    # What this host allows is found out on ourselves: before the first window, and at no server's cost.
    threading.Thread(target=ladder.find_rung, args=(os.getpid(),), daemon=True).start()
    server.serve_forever()
    server.server_close()
    ladder.close()


if __name__ == "__main__":
    main()
