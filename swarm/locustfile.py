"""The lab's locustfile: one user class, the choices of the start form, and the lab's own routes and messages.

    LAB_SWARM='{...}' locust -f /opt/lab/swarm/locustfile.py --master --web-host 0.0.0.0 --web-port 8089
    LAB_SWARM='{...}' LAB_WORKER_ID=w0 locust -f /opt/lab/swarm/locustfile.py --worker --master-host <ip>

Workers get the file by path, not with `-f -`: the image holds the same file, and a download needs one more round trip
and a writable directory. LAB_WORKER_ID is the name the master shows; without it, the host name is used.
LAB_WORKER_SHARE and LAB_LOCUSTFILE: docs/architecture.md, "What the swarm is told".

Only the targets in LAB_SWARM can be loaded, whatever is typed or written elsewhere: swarm/guard.py.
"""

from __future__ import annotations

import os
import socket
import sys
from types import SimpleNamespace
from typing import Any, NoReturn

import locust.argument_parser
import locust.runners
import locust.stats
from locust import User, events, task

import swarm.fasthttp  # noqa: F401 - a person's own FastHttpUsers beside this file keep their connections
from swarm.arguments import keep_defaults
from swarm.bulk import install_fine_rounding
from swarm.guard import Guard, install
from swarm.master import HOST_SHOWN, Master
from swarm.settings import BadSettings, parse_settings, parse_share

IS_MASTER = "--master" in sys.argv or "LOCUST_MODE_MASTER" in os.environ


def _give_up(error: BadSettings) -> NoReturn:
    print(f"swarm: {error}", file=sys.stderr)
    sys.exit(2)


try:
    settings = parse_settings(os.environ.get("LAB_SWARM", ""))
    _share = parse_share(os.environ.get("LAB_WORKER_SHARE", ""))
except BadSettings as error:
    _give_up(error)

install_fine_rounding(locust.stats)
keep_defaults(locust.argument_parser)

# A worker's client id is `<host name>_<hex>`, and all workers of a pod share one host name. Locust's runner module
# uses its `socket` for nothing but that name.
_name = os.environ.get("LAB_WORKER_ID") or f"{socket.gethostname()}-{os.getpid()}"
locust.runners.socket = SimpleNamespace(gethostname=lambda: _name)  # type: ignore[assignment,attr-defined]

_guard = Guard()
if not IS_MASTER:
    install(_guard)  # before a person's file is imported

_own: list[Any] = []
if os.environ.get("LAB_LOCUSTFILE") and not IS_MASTER:
    from swarm.own import load_own

    try:
        _own = load_own(os.environ["LAB_LOCUSTFILE"])
    except BadSettings as error:
        _give_up(error)

_worker: Any = None


class LabUser(User):
    """One simulated client of one variant; see swarm/worker.py for what it does."""

    host = HOST_SHOWN  # whatever is typed on the page instead is refused

    @task
    def live(self) -> None:
        if _worker is not None:
            _worker.live()


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # Locust's
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
    parser.add_argument(
        "--connections-per-user",
        type=int,
        default=1,
        help="Connections of each engine user; 0: its share of the scenario's",
    )


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust's
def join(environment: Any, web_ui: Any, **_: Any) -> None:
    """Attach the lab's parts to this process's runner."""
    global _worker
    runner = environment.runner
    # What failed is in the results; a worker that did its work and was told to go has not failed.
    environment.process_exit_code = 0
    if environment.host:
        _give_up(BadSettings(f"target refused: --host {environment.host!r}; only the targets in LAB_SWARM are loaded"))
    if not isinstance(runner, locust.runners.WorkerRunner):
        Master(environment, settings).start(web_ui)
    if not isinstance(runner, locust.runners.MasterRunner):
        from swarm.worker import Worker

        _guard.allow_master(getattr(runner, "master_host", ""), getattr(runner, "master_port", 0))
        _worker = Worker(environment, settings, _guard, _share, _own)
        _worker.start()
