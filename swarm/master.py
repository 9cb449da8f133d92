"""The master's side: the lab's own routes on the web UI's port, and what it tells the workers.

Routes and shapes: docs/architecture.md, "The master's own routes". A wrong request answers 400 and one line of JSON.
Locust's own form is checked before Locust sees it, so that a name nobody knows becomes a message on the page.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from flask import Response, request

from swarm.ledger import Ledger, short_names
from swarm.metrics import CONTENT_TYPE, Metrics
from swarm.settings import BadSettings, Choice, Settings, choose

BUSY = ("spawning", "running")

log = logging.getLogger(__name__)


class Master:
    """One per master process (or per process that runs without workers)."""

    def __init__(self, environment: Any, settings: Settings):
        self.environment = environment
        self.runner = environment.runner
        self.settings = settings
        self.ledger = Ledger()
        self.metrics = Metrics()
        self.choice: Choice | None = None

    def start(self, app: Any) -> None:
        """Listen to the workers and to Locust's events; add the routes where there is a web UI."""
        self.runner.register_message("lab_report", self._take_report)
        self.runner.register_message("lab_part", self._take_part)
        self.environment.events.test_start.add_listener(self._begin_test)
        self.environment.events.worker_connect.add_listener(self._forget_missing)
        if app is None:
            return
        app.before_request(self._check_form)
        for path, view, method in (
            ("/lab/state", self.show_state, "GET"),
            ("/lab/window", self.open_window, "POST"),
            ("/lab/window/<window_id>", self.show_window, "GET"),
            ("/lab/labels", self.set_labels, "POST"),
            ("/lab/forget", self.forget_workers, "POST"),
            ("/metrics", self.show_metrics, "GET"),
        ):
            app.add_url_rule(path, f"lab{path}", view, methods=[method])

    def show_state(self) -> Response:
        """GET /lab/state"""
        workers = self._workers()
        self.ledger.forget_all_but(workers)
        names = short_names(workers)
        return _json(
            {
                "monotonic_s": time.monotonic(),
                "state": self.runner.state,
                "user_count": self.runner.user_count,
                "workers": [{"id": names[client_id], **worker} for client_id, worker in workers.items()],
                "connections": self.ledger.connections(),
                "left_out": dict(self.choice.left_out) if self.choice else {},
            }
        )

    def open_window(self) -> Response:
        """POST /lab/window"""
        present = [client_id for client_id, worker in self._workers().items() if worker["state"] != "missing"]
        try:
            window, is_new = self.ledger.open_window(request.get_json(force=True, silent=True), present)
        except BadSettings as error:
            return _json({"error": str(error)}, 400)
        if is_new:
            self.runner.send_message("lab_window", window.message())
        return _json({"ok": True})

    def show_window(self, window_id: str) -> Response:
        """GET /lab/window/<id>"""
        window = self.ledger.windows.get(window_id)
        if window is None:
            return _json({"error": f"no window {window_id!r}; the last ones are {list(self.ledger.windows)}"}, 404)
        return _json(window.summary())

    def set_labels(self) -> Response:
        """POST /lab/labels"""
        try:
            self.metrics.set_labels(request.get_json(force=True, silent=True))
        except BadSettings as error:
            return _json({"error": str(error)}, 400)
        return _json({"ok": True})

    def forget_workers(self) -> Response:
        """POST /lab/forget

        A worker told to go while its test is stopping may say "ready" after its goodbye; Locust then keeps it for
        four seconds. Whoever ended the process knows better.
        """
        body = request.get_json(force=True, silent=True)
        gone = body.get("workers") if isinstance(body, dict) else None
        if not isinstance(gone, list):
            return _json({"error": f"expected {{'workers': [id, ...]}}, saw {str(body)[:200]}"}, 400)
        for client_id, name in short_names(self._workers()).items():
            if name in gone and client_id in self.runner.clients:
                client = self.runner.clients[client_id]
                del self.runner.clients[client_id]
                if self.runner._users_dispatcher is not None:
                    self.runner._users_dispatcher.remove_worker(client)
        return _json({"ok": True})

    def show_metrics(self) -> Response:
        """GET /metrics"""
        workers = self._workers()
        self.ledger.forget_all_but(workers)
        names = short_names(workers)
        variants = [target.variant for target in self.choice.targets] if self.choice else []
        several = variants[0] if len(variants) == 1 else "all"  # a worker's CPU belongs to all it loads
        total = self.runner.target_user_count if self.runner.state in BUSY else 0
        share, rest = divmod(total, len(variants) or 1)
        connections = {
            (variant, (("state", state),)): count
            for state in ("connecting", "established")
            for variant, count in self.ledger.by_variant(state).items()
        }
        cpu = {
            (several, (("worker", names[client_id]),)): worker["cpu_ratio"]
            for client_id, worker in workers.items()
            if worker["cpu_ratio"] is not None
        }
        text = self.metrics.render(
            self.choice.scenario.name if self.choice else "",
            {
                "lab_client_users": ("Users now.", {(v, ()): n for v, n in self.ledger.by_variant("users").items()}),
                "lab_client_users_target": (
                    "Users asked for.",
                    {(variant, ()): share + (place < rest) for place, variant in enumerate(variants)},
                ),
                "lab_client_connections": ("Connections now, by state.", connections),
                "lab_client_cpu_ratio": ("CPU of one worker since its last report, in cores.", cpu),
            },
        )
        return Response(text, content_type=CONTENT_TYPE)

    def _workers(self) -> dict[str, dict[str, Any]]:
        """Return client id -> state, users and CPU of every worker Locust knows."""
        clients = getattr(self.runner, "clients", None)
        states = {c.id: c.state for c in clients.values()} if clients is not None else {"local_0": self.runner.state}
        found = {}
        for client_id, state in states.items():
            report = self.ledger.reports.get(client_id)
            found[client_id] = {
                "state": state,
                "users": sum(row["users"] for row in report["rows"]) if report else 0,
                "cpu_ratio": report["cpu_ratio"] if report else None,
            }
        return found

    def _forget_missing(self, **_: Any) -> None:
        """Drop workers that went without a word when the next one joins: Locust keeps them for a minute, and until
        then a stopped test stays "stopping"."""
        for client_id in [client.id for client in self.runner.clients.values() if client.state == "missing"]:
            del self.runner.clients[client_id]

    def _take_report(self, environment: Any, msg: Any, **_: Any) -> None:
        client_id = _client_id(msg)
        unknown = self.ledger.take_report(client_id, msg.data)
        self.metrics.add(msg.data)
        if unknown is not None:
            # A worker that joined after the window was opened, or whose message came before it listened.
            self.runner.send_message("lab_window", unknown.message(), client_id)

    def _take_part(self, environment: Any, msg: Any, **_: Any) -> None:
        self.ledger.take_part(_client_id(msg), msg.data)

    def _begin_test(self, **_: Any) -> None:
        options = self.environment.parsed_options
        try:
            self.choice = choose(self.settings, options.scenario, options.variants)
        except BadSettings as error:
            self.choice = None
            log.error("%s", error)
            return
        for variant, reason in self.choice.left_out.items():
            log.warning("%s gets no users: %s", variant, reason)

    def _check_form(self) -> Response | None:
        """Answer POST /swarm with what is wrong about it, in the shape Locust's page shows; None lets it pass."""
        if request.method != "POST" or not request.path.endswith("/swarm"):
            return None
        options = self.environment.parsed_options
        scenario = request.form.get("scenario", options.scenario)
        variants = options.variants
        if "variants" in request.form:
            # As Locust reads a list: one field with commas, or one field per value.
            first = request.form["variants"]
            variants = first.split(",") if "," in first else request.form.getlist("variants")
        try:
            wanted = choose(self.settings, scenario, variants)
        except BadSettings as error:
            return _refuse(str(error))
        if self.runner.state in BUSY and self.choice is not None and wanted != self.choice:
            return _refuse("a test is under way; stop it before choosing another scenario or other variants")
        if getattr(self.runner, "worker_count", 1) == 0:
            return _refuse("no worker is connected, so nobody can load anything")
        return None


def _client_id(msg: Any) -> str:
    return "local_0" if msg.node_id == "local" else str(msg.node_id)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value) + "\n", status=status, content_type="application/json")


def _refuse(message: str) -> Response:
    log.error("not started: %s", message)
    return _json({"success": False, "message": message, "host": ""})
