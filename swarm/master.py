"""The master's side: the lab's own routes on the web UI's port, and what it tells the workers.

Routes and shapes: docs/architecture.md, "The master's own routes". A wrong request answers 400 and one line of JSON.
Locust's own form is checked before Locust sees it, so that a name nobody knows becomes a message on the page.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import gevent
from flask import Response, request

from swarm import live, page, patience
from swarm.choice import Choice, choose
from swarm.gauges import OF_WORKERS, read_gauges
from swarm.ledger import Ledger, short_names
from swarm.metrics import CONTENT_TYPE, Metrics
from swarm.ramp import Driver
from swarm.settings import BadSettings, Settings

BUSY = ("spawning", "running")
STRANGER_S = 1.0  # a worker that says "stopped" is unknown for an instant, until it says "ready"
NO_RAMP = {"running": False, "steps": [], "breaking_point": None, "bound_by": "", "windows": []}

HOST_SHOWN = "the lab's own variants only"  # what the page shows as Host

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
        self._strangers: dict[str, float] = {}
        self._ramp: Driver | None = None
        self._ramps = 0
        self._driving: gevent.Greenlet | None = None

    def start(self, web_ui: Any) -> None:
        """Listen to the workers and to Locust's events; add the routes where there is a web UI."""
        self.runner.register_message("lab_report", self._take_report)
        self.runner.register_message("lab_part", self._take_part)
        events = self.environment.events
        events.test_start.add_listener(self._begin_test)
        for ending in (events.test_stopping, events.test_stop):
            ending.add_listener(self._end_ramp)
        events.worker_connect.add_listener(self._meet)
        if web_ui is None:
            return
        page.extend(web_ui, self.ledger.by_row)
        app = web_ui.app
        live.add_routes(app)
        app.before_request(self._check_form)
        for path, view, method in (
            ("/lab/state", self.show_state, "GET"),
            ("/lab/window", self.open_window, "POST"),
            ("/lab/window/<window_id>", self.show_window, "GET"),
            ("/lab/ramp", self.show_ramp, "GET"),
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
                "run_id": self.metrics.run_id,
                "scenario": self.metrics.scenario or (self.choice.scenario.name if self.choice else ""),
                "workers": [{"id": names[client_id], **worker} for client_id, worker in workers.items()],
                "connections": self.ledger.connections(),
                "left_out": dict(self.choice.left_out) if self.choice else {},
                "ramp": _in_words(self._ramp) if self._ramp else "",
            }
        )

    def open_window(self) -> Response:
        """POST /lab/window"""
        try:
            window, is_new = self.ledger.open_window(request.get_json(force=True, silent=True), self._present())
        except BadSettings as error:
            return _json({"error": str(error)}, 400)
        if is_new:
            self.runner.send_message("lab_window", window.message())
        return _json({"ok": True})

    def show_window(self, window_id: str) -> Response:
        """GET /lab/window/<id>, and with ?rows=no"""
        window = self.ledger.windows.get(window_id)
        if window is None:
            return _json({"error": f"no window {window_id!r}; the last ones are {list(self.ledger.windows)}"}, 404)
        return _json(window.summary(with_rows=request.args.get("rows") != "no"))

    def show_ramp(self) -> Response:
        """GET /lab/ramp: the test under way or the last one; no steps when neither was a ramp"""
        return _json(self._ramp.summary() if self._ramp else NO_RAMP)

    def set_labels(self) -> Response:
        """POST /lab/labels

        Another run begins with clean books: who was loaded for the last one is no part of it.
        """
        before = self.metrics.run_id
        try:
            self.metrics.set_labels(request.get_json(force=True, silent=True))
        except BadSettings as error:
            return _json({"error": str(error)}, 400)
        if self.metrics.run_id != before:
            self.ledger.current = None
            if self.runner.state not in BUSY:
                self.choice = None
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
        users = self.runner.target_user_count if self.runner.state in BUSY else 0
        variants = [target.variant for target in self.choice.targets] if self.choice else []
        scenario = self.choice.scenario.name if self.choice else ""
        text = self.metrics.render(scenario, read_gauges(self.ledger, workers, variants, users))
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
            } | {key: report[key] if report else None for key in OF_WORKERS.values()}
        return found

    def _meet(self, client_id: str = "", **_: Any) -> None:
        """Drop workers that went without a word when the next one joins: Locust keeps them for a minute, and until
        then a stopped test stays "stopping". A worker that joins a running test learns how many users there are."""
        for missing in [client.id for client in self.runner.clients.values() if client.state == "missing"]:
            del self.runner.clients[missing]
        patience.grant(len(self.runner.clients))
        if self.runner.state in BUSY and client_id:
            self._tell_users(self.runner.target_user_count, client_id)

    def _tell_users(self, users: int, only: str | None = None) -> None:
        """Tell the workers how many users the swarm has, and each which of how many workers it is."""
        present = list(dict.fromkeys([*self._present(), *([only] if only else [])]))  # a joiner is not there yet
        for rank, client_id in enumerate(present):
            if only in (None, client_id):
                told = {"users": users, "rank": rank, "workers": len(present)}
                self.runner.send_message("lab_users", told, client_id)

    def _welcome_stranger(self, client_id: str) -> None:
        """A worker that reports and that Locust does not know was another master's: ask it to join this one."""
        if client_id in getattr(self.runner, "clients", {client_id: None}):
            self._strangers.pop(client_id, None)
            return
        now_s = time.monotonic()
        if now_s - self._strangers.setdefault(client_id, now_s) >= STRANGER_S:
            self._strangers[client_id] = now_s  # once a second, until it does
            self.runner.send_message("lab_rejoin", None, client_id)

    def _take_report(self, environment: Any, msg: Any, **_: Any) -> None:
        client_id = _client_id(msg)
        self._welcome_stranger(client_id)
        unknown = self.ledger.take_report(client_id, msg.data)
        self.metrics.add(msg.data)
        if unknown is not None:
            # A worker that joined after the window was opened, or whose message came before it listened.
            self.runner.send_message("lab_window", unknown.message(), client_id)

    def _take_part(self, environment: Any, msg: Any, **_: Any) -> None:
        self.ledger.take_part(_client_id(msg), msg.data)

    def _begin_test(self, **_: Any) -> None:
        options = self.environment.parsed_options
        self.environment.host = None  # whatever was typed: hosts come from LAB_SWARM only
        self._ramp = None
        try:
            self.choice = choose(self.settings, options.scenario, options.variants, options.connections_per_user)
        except BadSettings as error:
            self.choice = None
            log.error("%s", error)
            return
        for variant, reason in self.choice.left_out.items():
            log.warning("%s gets no users: %s", variant, reason)
        self._tell_users(self.runner.target_user_count)
        if self.choice.scenario.ramp is not None:
            self._ramps += 1
            self._ramp = Driver(
                self.choice.scenario,
                self._ramps,
                self.ledger,
                self._present,
                lambda: self.runner.state == "running",
                self.runner.send_message,
                gevent.sleep,
            )
            self._driving = gevent.spawn(self._drive, self._ramp)

    def _drive(self, driver: Driver) -> None:
        driver.run()
        log.info("ramp: %s", _in_words(driver))
        self._driving = None  # so that the stop does not kill who asks for it
        self.runner.stop()

    def _end_ramp(self, **_: Any) -> None:
        if self._driving is not None:
            self._driving.kill(block=False)
            self._driving = None

    def _present(self) -> list[str]:
        return [client_id for client_id, worker in self._workers().items() if worker["state"] != "missing"]

    def _check_form(self) -> Response | None:
        """Answer POST /swarm with what is wrong about it, in the shape Locust's page shows; None lets it pass."""
        if request.method != "POST" or not request.path.endswith("/swarm"):
            return None
        options, form = self.environment.parsed_options, request.form
        variants = options.variants
        if "variants" in form:
            # As Locust reads a list: one field with commas, or one field per value.
            first = form["variants"]
            variants = first.split(",") if "," in first else form.getlist("variants")
        per_user = form.get("connections_per_user", options.connections_per_user)
        try:
            wanted = choose(self.settings, form.get("scenario", options.scenario), variants, per_user)
        except BadSettings as error:
            return _refuse(str(error))
        if (host := form.get("host", "")) not in ("", HOST_SHOWN):
            return _refuse(f"target refused: {host[:100]!r}; only this lab's variants are loaded, leave Host as it is")
        if not wanted.targets:
            return _refuse("no chosen variant can serve this: " + "; ".join(wanted.left_out.values()))
        if self.runner.state in BUSY and self.choice is not None and wanted != self.choice:
            return _refuse("a test is under way; stop it before choosing another scenario, variants or connections")
        if getattr(self.runner, "worker_count", 1) == 0:
            return _refuse("no worker is connected, so nobody can load anything")
        if self.runner.state in BUSY and form.get("user_count", "").isdecimal():
            self._tell_users(int(form["user_count"]))
        return None


def _in_words(driver: Driver) -> str:
    told = driver.summary()
    if driver.running and driver.scenario.ramp is not None:
        return f"ramp: step {len(driver.steps) + 1} of at most {len(driver.scenario.ramp.steps())}"
    held = "no step held" if told["breaking_point"] is None else f"held {told['breaking_point']:g}"
    return f"ramp: {held}; bound by: {told['bound_by']}"


def _client_id(msg: Any) -> str:
    return "local_0" if msg.node_id == "local" else str(msg.node_id)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value) + "\n", status=status, content_type="application/json")


def _refuse(message: str) -> Response:
    log.error("not started: %s", message)
    return _json({"success": False, "message": message, "host": ""})
