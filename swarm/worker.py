"""The worker's side: users over variants, windows in, reports and scored parts out.

`Worker` joins the pure parts (settings, recorder, bulk) to one Locust runner. Every REPORT_S it folds what the rows
gathered into Locust's statistics and tells the master where its connections stand. A window message may come any
number of times; only a new id has an effect.
"""

from __future__ import annotations

import gc
import logging
import time
from typing import Any

import gevent
from gevent.lock import RLock
from locust.stats import StatsError

from swarm import bulk, client, users
from swarm.recorder import Recorder
from swarm.settings import BadSettings, Choice, Settings, Target, choose

REPORT_S = 0.25  # docs/architecture.md: connection counts are at most this old
IDLE_S = 3600.0

log = logging.getLogger(__name__)
_now_ns = time.monotonic_ns


class Worker:
    """One per process. Without a Locust user it only reports."""

    def __init__(self, environment: Any, settings: Settings):
        self.environment = environment
        self.runner = environment.runner
        self.settings = settings
        self.recorder = Recorder(time.process_time_ns)
        self.choice: Choice | None = None
        self._users: dict[str, int] = {}
        self._closing: gevent.Greenlet | None = None
        self._flushing = RLock()
        self._cpu_ns, self._wall_ns = time.process_time_ns(), _now_ns()

    def start(self) -> None:
        """Listen to the master and to Locust's events, and begin to report."""
        self.runner.register_message("lab_window", lambda environment, msg, **_: self.open_window(msg.data))
        events = self.environment.events
        events.test_start.add_listener(self._begin_test)
        events.test_stop.add_listener(self._end_test)
        # Importing Locust leaves ~100,000 objects; walking them for garbage would pause the load for milliseconds.
        events.spawning_complete.add_listener(lambda user_count, **_: gc.freeze())
        gevent.spawn(client.watch_deadlines)
        gevent.spawn(self._report_for_ever)

    def take_target(self) -> Target | None:
        """Return the target for one more user: the chosen one with the fewest users, in the order of the form."""
        if self.choice is None or not self.choice.targets:
            return None
        # Workers with one user each would otherwise all start with the same variant.
        shift = max(0, getattr(self.runner, "worker_index", 0)) % len(self.choice.targets)
        order = self.choice.targets[shift:] + self.choice.targets[:shift]
        target = min(order, key=lambda candidate: self._users.get(candidate.variant, 0))
        self._users[target.variant] = self._users.get(target.variant, 0) + 1
        return target

    def live(self) -> None:
        """Be one user until killed."""
        target = self.take_target()
        if target is None or self.choice is None:
            gevent.sleep(IDLE_S)
            return
        try:
            users.live(self.recorder, self.choice.scenario, target, once=self.choice.once)
        finally:
            self._users[target.variant] -= 1

    def open_window(self, told: dict[str, Any]) -> None:
        """Keep a scored record from start_s to end_s. A window that is known already is left as it is."""
        start_ns, end_ns = round(told["start_s"] * 1e9), round(told["end_s"] * 1e9)
        if not self.recorder.open_window(told["window_id"], start_ns, end_ns, _now_ns()):
            return
        if self._closing is not None:
            self._closing.kill(block=False)
        self._closing = gevent.spawn(self._close_in_time, told["window_id"], start_ns, end_ns)

    def _close_in_time(self, window_id: str, start_ns: int, end_ns: int) -> None:
        for edge_ns in (start_ns, end_ns):
            while (left_ns := edge_ns - _now_ns()) > 0:
                gevent.sleep(min(left_ns / 1e9, IDLE_S))
            self.recorder.turn(_now_ns())
        window = self.recorder.window
        if window is not None and window.window_id == window_id:
            self._send_part(count_unanswered=self.settings.once)

    def _send_part(self, *, count_unanswered: bool) -> None:
        part = self.recorder.close_window(_now_ns(), count_unanswered=count_unanswered)
        if part is not None:
            self.runner.send_message("lab_part", part)

    def _begin_test(self, **_: Any) -> None:
        options = self.environment.parsed_options
        self.recorder.clear()
        self._users = {}
        self.choice = None
        complaint = ""
        try:
            self.choice = choose(self.settings, options.scenario, options.variants)
            for variant, reason in self.choice.left_out.items():
                log.warning("%s gets no users: %s", variant, reason)
            if not self.choice.targets:
                complaint = "no chosen variant can serve this scenario: " + "; ".join(self.choice.left_out.values())
        except BadSettings as error:
            complaint = str(error)
        if complaint:
            log.error(complaint)
            self.runner.stats.log_error("", str(options.scenario or "no scenario"), complaint)
        gc.unfreeze()  # the users of the last test are garbage by now
        gc.collect()
        gc.freeze()

    def _end_test(self, **_: Any) -> None:
        """The users are gone: what is scored is final, and the last statistics must not meet the next test."""
        window = self.recorder.window
        if window is not None and window.from_ns:
            if self._closing is not None and self._closing is not gevent.getcurrent():
                self._closing.kill(block=False)
            self._send_part(count_unanswered=False)
        self.report()
        if hasattr(self.runner, "_send_stats"):
            self.runner._send_stats()

    def _report_for_ever(self) -> None:
        while True:
            gevent.sleep(REPORT_S)
            try:
                self.report()
            except Exception:  # the next report tries again; without reports the master would go blind
                log.exception("this report was lost")

    def report(self) -> None:
        """Fold the rows into Locust's statistics and tell the master how things stand."""
        with self._flushing:
            deltas = []
            for row in list(self.recorder.rows.values()):
                fold = bulk.Fold(row, row.take())
                for _ in fold.steps():
                    gevent.sleep(0)
                fold.to_stats(self.runner.stats, StatsError, time.time())
                if fold.answered or fold.piece.errors:
                    deltas.append(fold.delta())
            cpu_ns, wall_ns = time.process_time_ns(), _now_ns()
            cpu_ratio = (cpu_ns - self._cpu_ns) / max(1, wall_ns - self._wall_ns)
            self._cpu_ns, self._wall_ns = cpu_ns, wall_ns
            known = self.recorder.window or self.recorder.closed
            report = {
                "at_s": wall_ns / 1e9,
                "window_id": known.window_id if known else None,
                "scenario": self.choice.scenario.name if self.choice else None,
                "cpu_ratio": cpu_ratio,
                "rows": [_standing(row) for row in self.recorder.rows.values()],
                "deltas": deltas,
            }
            self.runner.send_message("lab_report", report)


def _standing(row: Any) -> dict[str, Any]:
    keys = ("variant", "name", "users", "connecting", "established", "opened", "answered", "failed")
    return {key: getattr(row, key) for key in keys}
