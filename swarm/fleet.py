"""What a worker loads through its engine: one engine, its rows, and one group for each engine user.

The engine starts with the first engine user. Totals become parts here: with K connections per user a group has K and
its share of the rate by the number of users; with 0 it has this worker's share of everything.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gevent.lock import RLock

from swarm.choice import path_of, share_of
from swarm.client import SOURCES, shared_sources, source_addresses
from swarm.engine.binding import Engine, Group
from swarm.engine_row import EngineRow
from swarm.http1 import render_get
from swarm.recorder import Recorder
from swarm.settings import Scenario, Target

SOON_S = 0.25  # before the first arrival or burst: time to begin everywhere, and to open some of the pool
SAMPLE = 16  # of how many answers the body is compared; status and length always are

log = logging.getLogger(__name__)
_now_ns = time.monotonic_ns


@dataclass(frozen=True, slots=True)
class Part:
    """What one engine user takes of the swarm's totals: which of how many, from 0."""

    number: int
    of: int

    @property
    def phase(self) -> float:
        """Its place between two arrivals of its own, so that everybody's together are evenly spaced."""
        return self.number % self.of / self.of

    def connections(self, total: float) -> int:
        return share_of(math.ceil(total), (self.number, self.of))

    def rate_per_s(self, total: float) -> float:
        return total / self.of


class Fleet:
    """The engine's side of one worker. share: LAB_WORKER_SHARE. swarm_users and place: as the master told."""

    def __init__(self, recorder: Recorder, me: str, opening: int, share: tuple[int, int] | None):
        self._recorder, self._me, self._opening, self._share = recorder, me, opening, share
        self._sources = " ".join(itertools.islice(source_addresses(me), SOURCES))
        self._rows: dict[tuple[str, str, bool, bool], EngineRow] = {}
        self._groups: dict[int, tuple[Scenario, Part, bool]] = {}
        self._has_share = False  # this worker's, in a scripted run
        self._totals: dict[str, float] = {}
        self._ordinals = itertools.count()
        self._one_at_a_time = RLock()  # loading the library lets other greenlets run, and they want it too
        self.engine: Engine | None = None
        self.swarm_users = 1
        self.place = 0, 1  # which of how many workers, as the master counts them
        self.worker_users = 1

    def read_cpu_ns(self) -> int | None:
        """Return the CPU time of the engine's thread; None without one."""
        return self.engine.cpu_ns() if self.engine else None

    def window(self, start_ns: int, end_ns: int) -> None:
        """Open the engine's window, where there is an engine."""
        if self.engine is not None:
            self.engine.window(start_ns, end_ns)

    @property
    def patience_s(self) -> float:
        """How long the most patient of what is under way may take to have an outcome, connect and answer together."""
        return max((2 * scenario.patience_s for scenario, _, _ in self._groups.values()), default=0.0)

    def start(self) -> Engine:
        """Return the engine, started at the first call. Raises EngineMissing, EngineRefused."""
        with self._one_at_a_time:
            if self.engine is None:
                self.engine = Engine()
                if (window := self._recorder.window) is not None:
                    self.engine.window(window.start_ns, window.end_ns)
            return self.engine

    def begin_test(self) -> None:
        """Forget the totals and counts of the last test; an open window goes on."""
        self._totals, self._ordinals = {}, itertools.count()
        for row in self._rows.values():
            row.begin_test()
        if self.engine is not None and self._recorder.window is None:
            self.engine.window(1, 1)  # nothing lies in it, and the counts restart

    def row(self, scenario: Scenario, target: Target) -> EngineRow:
        """Return the row this scenario fills for this target. Raises EngineMissing, EngineRefused."""
        name = path_of(scenario, target).partition("?")[0]
        key = (target.variant, name, scenario.kind == "hold", scenario.is_scheduled)
        engine = self.start()
        with self._one_at_a_time:
            row = self._rows.get(key)
            if row is None:
                row = self._rows[key] = EngineRow(
                    engine, target.variant, name, holds=key[2], is_scheduled=key[3], body_bytes=len(target.body)
                )
        self._recorder.rows["engine", *key] = row
        return row

    @contextmanager
    def loading(
        self, scenario: Scenario, target: Target, per_user: int, *, once: bool, is_alone: bool = False
    ) -> Iterator[None]:
        """Load `target` while the block runs. per_user: connections; 0: this worker's share of the scenario's.

        is_alone: the scenario is this user's own, nobody takes a part of it. Raises EngineMissing, EngineRefused.
        """
        is_share = per_user == 0 and self._share is not None and not is_alone
        if is_share and self._has_share:
            # Locust gives the user of a worker that it misses to another. Opening a share twice would load more than
            # was asked for; the trial is void either way.
            log.warning("one user more than this worker's share has room for: it opens nothing")
            yield
            return
        part = self._next_part(per_user, is_alone=is_alone)
        row = self.row(scenario, target)
        engine = self.start()
        group = self._plan(scenario, target, part, per_user, once=once)
        row.users += 1
        number = -1
        self._has_share = self._has_share or is_share
        try:
            if group.connections:  # fewer connections than workers leave some without
                number = engine.add_group(row.number, group)
                self._groups[number] = (scenario, part, is_alone or per_user == 0)
            yield
        finally:
            row.users -= 1
            self._has_share = self._has_share and not is_share
            if number >= 0:
                del self._groups[number]
                engine.end_group(number, count_unanswered=once)

    def change(self, totals: dict[str, float]) -> None:
        """Take a ramp's next step. totals: the whole swarm's connections or rate_per_s."""
        self._totals = totals
        for number, (scenario, part, _) in self._groups.items():
            if self.engine is None or scenario.ramp is None:
                continue
            if "connections" in totals:
                self.engine.change_group(number, connections=max(1, part.connections(totals["connections"])))
            else:
                self.engine.change_group(number, rate_per_s=part.rate_per_s(totals["rate_per_s"]), phase=part.phase)

    def rescale(self, swarm_users: int, place: tuple[int, int]) -> None:
        """The swarm has another number of users now: each gets its part of the rate anew."""
        self.swarm_users, self.place = max(1, swarm_users), place
        for number, (scenario, part, is_share) in list(self._groups.items()):
            if self.engine is None or is_share or scenario.kind != "open":
                continue
            part = Part(part.number, self.swarm_users)
            self._groups[number] = (scenario, part, False)
            self.engine.change_group(number, rate_per_s=part.rate_per_s(scenario.rate_per_s), phase=part.phase)

    def _next_part(self, per_user: int, *, is_alone: bool) -> Part:
        if is_alone:
            return Part(0, 1)
        if per_user == 0 and self._share is not None:
            return Part(*self._share)
        # Locust deals its users out in turn, so this worker's are every n-th of the swarm's.
        rank, workers = self.place
        return Part((next(self._ordinals) * workers + rank) % self.swarm_users, self.swarm_users)

    def _plan(self, scenario: Scenario, target: Target, part: Part, per_user: int, *, once: bool) -> Group:
        kind, connections = scenario.kind, per_user or part.connections(scenario.connections)
        rate_per_s = part.rate_per_s(scenario.rate_per_s)
        if (ramp := scenario.ramp) is not None:
            kind = "closed" if ramp.of == "connections" else "open"
            if kind == "closed":
                connections = max(1, part.connections(self._totals.get("connections", ramp.first)))
            else:
                rate_per_s = part.rate_per_s(self._totals.get("rate_per_s", ramp.first))
        now_ns = _now_ns()
        first_ns = 0
        if kind == "open":
            connections = max(1, connections)  # a pool smaller than the workers' number still has its part of the rate
            period_ns = 1e9 / rate_per_s
            first_ns = self._on_grid(period_ns, part.phase * period_ns, now_ns)
        elif kind == "storm":
            window = self._recorder.window
            is_ahead = window is not None and window.start_ns > now_ns
            first_ns = window.start_ns if window and is_ahead else self._on_grid(scenario.every_s * 1e9, 0, now_ns)
        return Group(
            kind=kind,
            host=target.host,
            port=target.port,
            request=render_get(path_of(scenario, target), target.host, target.port),
            body=target.body,
            connections=connections,
            patience_s=scenario.patience_s,
            opening=max(1, self._opening // max(1, self.worker_users)),
            sources=shared_sources(scenario.sources) or self._sources,
            seed=zlib.crc32(f"{self._me}/{part.number}/{now_ns}".encode()) + 1,
            sample=1 if kind in ("hold", "storm") else SAMPLE,
            opens_per_s=_opens_per_s(scenario, connections),
            once=once,
            stays=once and kind == "hold",
            rate_per_s=rate_per_s,
            arrivals=scenario.arrivals,
            first_ns=first_ns,
            every_s=scenario.every_s,
        )

    def _on_grid(self, period_ns: float, shift_ns: float, now_ns: int) -> int:
        """Return the first instant soon that is whole periods and a shift from an origin all workers know."""
        origin_ns = self._recorder.window.start_ns if self._recorder.window else 0
        least_ns = now_ns + SOON_S * 1e9
        periods = math.ceil((least_ns - origin_ns - shift_ns) / period_ns)
        return round(origin_ns + shift_ns + periods * period_ns)


def _opens_per_s(scenario: Scenario, connections: int) -> float:
    """Return how fast loops open. Those with a delay ask again when they first asked: spread over it, or each round is
    a burst. A ramp's loops open as fast as they can, because its steps are short."""
    return connections / scenario.delay_s if scenario.kind == "closed" and scenario.delay_s else 0.0
