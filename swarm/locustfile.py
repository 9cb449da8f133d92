"""The lab's locustfile: one user class, the choices of the start form, and the lab's own routes and messages.

    LAB_SWARM='{...}' locust -f /opt/lab/swarm/locustfile.py --master --web-host 0.0.0.0 --web-port 8089
    LAB_SWARM='{...}' LAB_WORKER_ID=w0 locust -f /opt/lab/swarm/locustfile.py --worker --master-host <ip>

Workers get the file by path, not with `-f -`: the image holds the same file, and a download needs one more round trip
and a writable directory. LAB_WORKER_ID is the name the master shows; without it, the host name is used.

Only the targets in LAB_SWARM can be loaded; Locust's host field is ignored.
"""

from __future__ import annotations

import os
import socket
import sys
from types import SimpleNamespace
from typing import Any

import locust.runners
import locust.stats
from locust import User, events, task

import swarm.fasthttp  # noqa: F401 - a person's own FastHttpUsers beside this file keep their connections
from swarm.bulk import install_fine_rounding
from swarm.settings import BadSettings, parse_settings

try:
    settings = parse_settings(os.environ.get("LAB_SWARM", ""))
except BadSettings as error:
    sys.exit(f"swarm: {error}")

install_fine_rounding(locust.stats)

# A worker's client id is `<host name>_<hex>`, and all workers of a pod share one host name. Locust's runner module
# uses its `socket` for nothing but that name.
_name = os.environ.get("LAB_WORKER_ID") or f"{socket.gethostname()}-{os.getpid()}"
locust.runners.socket = SimpleNamespace(gethostname=lambda: _name)  # type: ignore[attr-defined]

_worker: Any = None


class LabUser(User):
    """One simulated client of one variant; see swarm/users.py for what it does."""

    host = "the lab's own variants only"  # what the page shows as Host; whatever is typed there is ignored

    @task
    def live(self) -> None:
        if _worker is not None:
            _worker.live()


@events.init_command_line_parser.add_listener
def add_choices(parser: Any, **_: Any) -> None:
    """Offer the scenarios and targets of LAB_SWARM as choices, on the command line and on the page."""
    scenarios, variants = list(settings.scenarios), list(settings.targets)
    parser.add_argument(
        "--scenario", choices=scenarios, default=scenarios[0] if scenarios else "", help="The load to offer"
    )
    # The default must not be an empty list: Locust's form would then read every name as an integer.
    parser.add_argument(
        "--variants", nargs="+", choices=variants, default=variants or [""], is_multiple=True, help="Whom to load"
    )


@events.init.add_listener
def join(environment: Any, web_ui: Any, **_: Any) -> None:
    """Attach the lab's parts to this process's runner."""
    global _worker
    runner = environment.runner
    # What failed is in the results; a worker that did its work and was told to go has not failed.
    environment.process_exit_code = 0
    if not isinstance(runner, locust.runners.WorkerRunner):
        from swarm.master import Master

        Master(environment, settings).start(web_ui.app if web_ui else None)
    if not isinstance(runner, locust.runners.MasterRunner):
        from swarm.worker import Worker

        _worker = Worker(environment, settings)
        _worker.start()
