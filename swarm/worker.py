"""The worker's side: users over variants, windows in, reports and scored parts out.

`Worker` joins the pure parts (settings, recorder, bulk) and the engine's (fleet) to one Locust runner. Every REPORT_S
it folds what the rows gathered into Locust's statistics and tells the master where its connections stand. A window
message may come any number of times; only a new id has an effect.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import RLock
from locust import __version__ as locust_version
from locust.rpc import Message
from locust.runners import STATE_INIT
from locust.stats import StatsError

from swarm import bulk, client, users
from swarm.choice import Choice, choose, is_for_engine
from swarm.engine.binding import EngineMissing, EngineRefused
from swarm.fleet import Fleet
from swarm.guard import Guard, TargetRefused
from swarm.looplag import LoopLag
from swarm.own import Own
from swarm.recorder import Recorder
from swarm.release import release_for_ever
from swarm.settings import BadSettings, Scenario, Settings, Target
from swarm.spawn import spawn_cheaply

REPORT_S = 0.25  # docs/architecture.md: connection counts are at most this old, with few workers
REPORT_OF_EACH_S = 0.02  # with many, so that the master takes 50 reports a second and no more
SETTLE_S = 0.1  # between two looks whether everything planned has an outcome
IDLE_S = 3600.0

log = logging.getLogger(__name__)
_now_ns = time.monotonic_ns
_page_bytes = os.sysconf("SC_PAGE_SIZE")


class Worker:
    """One per process. Without a Locust user it only reports. own_classes: a person's, instead of the lab's users."""

    def __init__(
        self, environment: Any, settings: Settings, guard: Guard, share: tuple[int, int] | None, own_classes: list[Any]
    ):
        self.environment = environment
        self.runner = environment.runner
        self.settings = settings
        self.guard = guard
        self.recorder = Recorder(
            time.process_time_ns,
            lambda: self.fleet.read_cpu_ns(),
            lambda start_ns, end_ns: self.fleet.window(start_ns, end_ns),
        )
        self._report_s = max(REPORT_S, REPORT_OF_EACH_S * (share[1] if share else 1))
        self.fleet = Fleet(self.recorder, client.ME, settings.opening, share)
        self.own = Own(own_classes, self.recorder) if own_classes else None
        self.choice: Choice | None = None
        self._lag = LoopLag()
        self._users: dict[str, int] = {}
        self._complained: set[str] = set()
        self._releases = False
        self._is_leaving = False
        self._closing: gevent.Greenlet | None = None
        self._releasing: gevent.Greenlet | None = None
        self._flushing = RLock()
        self._cpu_ns, self._engine_ns, self._wall_ns = time.process_time_ns(), 0, _now_ns()

    def start(self) -> None:
        """Listen to the master and to Locust's events, and begin to report."""
        for kind, listen in (
            ("lab_window", self.open_window),
            ("lab_users", self._take_users),
            ("lab_change", self.fleet.change),
            ("lab_rejoin", self._rejoin),
        ):
            self.runner.register_message(kind, lambda environment, msg, listen=listen, **_: listen(msg.data))
        events = self.environment.events
        events.test_start.add_listener(self._begin_test)
        events.test_stop.add_listener(self._end_test)
        events.quitting.add_listener(self._leave)
        if self.own is not None:
            self.own.listen(events)
        spawn_cheaply(self.runner)
        gevent.spawn(client.watch_deadlines)
        gevent.spawn(self._lag.watch, gevent.sleep)
        gevent.spawn(self._report_for_ever)

    def take_target(self) -> Target | None:
        """Return the target for one more user: the chosen one with the fewest users, in the order of the form."""
        if self.choice is None or not self.choice.targets:
            return None
        target = self.choice.targets[0]
        if len(self.choice.targets) > 1:
            # Workers with one user each would otherwise all start with the same variant.
            shift = max(0, getattr(self.runner, "worker_index", 0)) % len(self.choice.targets)
            order = self.choice.targets[shift:] + self.choice.targets[:shift]
            target = min(order, key=lambda candidate: self._users.get(candidate.variant, 0))
        self._users[target.variant] = self._users.get(target.variant, 0) + 1
        return target

    def live(self) -> None:
        """Be one user until killed."""
        target = self.take_target()
        choice = self.choice
        if target is None or choice is None:
            gevent.sleep(IDLE_S)
            return
        try:
            if not self._admit(choice.scenario, target):
                gevent.sleep(IDLE_S)
            elif self.own is not None:
                self.own.live(self.environment, self, target)
            elif is_for_engine(choice.scenario, target):
                self.load_with_engine(choice.scenario, target, choice.connections_per_user, once=choice.once)
            else:
                users.live(self.recorder, choice.scenario, target, once=choice.once)
        finally:
            self._users[target.variant] -= 1

    def load_with_engine(
        self, scenario: Scenario, target: Target, per_user: int, *, once: bool, is_alone: bool = False
    ) -> None:
        """Be one engine user until killed. is_alone: the scenario is this user's own, as in a person's locustfile."""
        self.fleet.worker_users = self.runner.target_user_count
        try:
            with self.fleet.loading(scenario, target, per_user, once=once, is_alone=is_alone):
                gevent.sleep(users.FOREVER_S)
        except (EngineMissing, EngineRefused) as error:
            self._complain(scenario, target, str(error))
            gevent.sleep(IDLE_S)

    def _admit(self, scenario: Scenario, target: Target) -> bool:
        """Return whether the guard lets `target` be loaded; a refusal is counted and shown once per test."""
        try:
            self.guard.check(target)
        except TargetRefused as refused:
            self._complain(scenario, target, str(refused))
            return False
        return True

    def _complain(self, scenario: Scenario, target: Target, kind: str) -> None:
        if kind in self._complained:
            return
        self._complained.add(kind)
        log.error("%s", kind)
        now_ns = _now_ns()
        self.recorder.error(users.find_row(self.recorder, scenario, target), kind, now_ns, now_ns)

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
        patience_ns = end_ns + round(self.fleet.patience_s * 1e9)
        while _now_ns() < patience_ns and any(row.pending() for row in list(self.recorder.rows.values())):
            gevent.sleep(SETTLE_S)
        window = self.recorder.window
        if window is not None and window.window_id == window_id:
            self._send_part(count_unanswered=self.settings.once)

    def _send_part(self, *, count_unanswered: bool) -> None:
        part = self.recorder.close_window(_now_ns(), count_unanswered=count_unanswered)
        if part is not None:
            here = {"memory_bytes": _read_rss_bytes(), "cpus": len(os.sched_getaffinity(0))}
            self.runner.send_message("lab_part", part | here)

    def _take_users(self, told: dict[str, Any]) -> None:
        """The master says how many users the whole swarm has, and which of its workers this one is."""
        self._releases = told["rank"] == 0  # one worker does it
        self.fleet.rescale(int(told["users"]), (int(told["rank"]), int(told["workers"])))

    def _rejoin(self, _: Any) -> None:
        """A restarted master does not know this worker: stop what the last one asked for, and say ready again."""
        if self._is_leaving:
            return
        log.warning("the master was restarted; joining it again")
        if self.runner.worker_state != STATE_INIT:
            self.runner.stop()
        ready = Message("client_ready", locust_version, self.runner.client_id)  # type: ignore[no-untyped-call]  # Locust's
        self.runner.client.send(ready)
        self.runner.worker_state = STATE_INIT

    def _begin_test(self, **_: Any) -> None:
        options = self.environment.parsed_options
        self.environment.host = None  # whatever was typed: hosts come from LAB_SWARM only
        self.recorder.clear()
        self.fleet.begin_test()
        self.guard.forget()
        self._users, self._complained, self.choice = {}, set(), None
        complaint = ""
        try:
            self.choice = choose(self.settings, options.scenario, options.variants, options.connections_per_user)
            for variant, reason in self.choice.left_out.items():
                log.warning("%s gets no users: %s", variant, reason)
            self.guard.look_at(self.choice.targets)
            if not self.choice.targets:
                complaint = "no chosen variant can serve this scenario: " + "; ".join(self.choice.left_out.values())
        except BadSettings as error:
            complaint = str(error)
        if complaint:
            log.error(complaint)
            self.runner.stats.log_error("", str(options.scenario or "no scenario"), complaint)
        elif self.choice is not None and self._is_to_release(self.choice):
            self._releasing = gevent.spawn(release_for_ever, self.recorder, self.choice.targets)
        # The users of the last test are garbage by now. What stays is frozen: importing Locust leaves ~100,000 objects,
        # and walking them would pause the load for milliseconds.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def _is_to_release(self, choice: Choice) -> bool:
        """In a trial the orchestrator releases; in the arena one worker does."""
        return choice.scenario.answer == "release" and self._releases and not choice.once

    def _end_test(self, **_: Any) -> None:
        """The users are gone: what is scored is final, and the last statistics must not meet the next test."""
        if self._releasing is not None:
            self._releasing.kill(block=False)
        window = self.recorder.window
        if window is not None and window.from_ns:
            if self._closing is not None and self._closing is not gevent.getcurrent():
                self._closing.kill(block=False)
            self._send_part(count_unanswered=False)
        self.report()
        if hasattr(self.runner, "_send_stats"):
            self.runner._send_stats()

    def _leave(self, **_: Any) -> None:
        """Locust says goodbye to the master now; a report after that would look like a worker it does not know."""
        self._is_leaving = True

    def _report_for_ever(self) -> None:
        while not self._is_leaving:
            gevent.sleep(self._report_s)
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
                if not fold.is_empty:
                    deltas.append(fold.delta())
            cpu_ns, engine_ns, wall_ns = time.process_time_ns(), self.fleet.read_cpu_ns(), _now_ns()
            passed_ns = max(1, wall_ns - self._wall_ns)
            known = self.recorder.window or self.recorder.closed
            report = {
                "at_s": wall_ns / 1e9,
                "window_id": known.window_id if known else None,
                "scenario": self.choice.scenario.name if self.choice else None,
                "cpu_ratio": (cpu_ns - self._cpu_ns) / passed_ns,
                "engine_cpu_ratio": None if engine_ns is None else (engine_ns - self._engine_ns) / passed_ns,
                "loop_lag_s": self._lag.worst_s(),
                "memory_bytes": _read_rss_bytes(),
                "rows": [row.standing() for row in self.recorder.rows.values()],
                "deltas": deltas,
            }
            self._cpu_ns, self._engine_ns, self._wall_ns = cpu_ns, engine_ns or 0, wall_ns
            if not self._is_leaving:
                self.runner.send_message("lab_report", report)


def _read_rss_bytes() -> int:
    """Return this process's resident memory: proc_pid_statm(5), second field."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * _page_bytes
